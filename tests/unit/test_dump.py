"""What goes into a support dump: texts masked by key and form, parts that could not be read, one archive."""

import io
import shlex
import tarfile

import pytest

from ddhelm import dump
from ddhelm.commands import support_dump
from ddhelm.dump import Part
from ddhelm.masking import Masker

MASKER = Masker(b"test")
KEY = "a51f00dfacade00dabad1deadec0de77"


def test_every_text_is_masked_by_the_key_above_it_and_by_its_form() -> None:
    tree = {
        "secretKeys": ["api-key", "token"],
        "annotations": {"example.com/password": "hunter2", "plain": "kept"},
        "env": [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "DB_HOST", "value": "kept"}],
        "note": f"the key {KEY} is wrong, and so is password=hunter2",
        "number": 7,
        "pair": ("kept", None),
    }
    made = dump.leaves(tree, MASKER)
    assert "hunter2" not in repr(made)
    assert KEY not in repr(made)
    assert made["secretKeys"] == ["api-key", "token"]
    assert made["annotations"]["plain"] == made["env"][1]["value"] == made["pair"][0] == "kept"
    assert made["number"] == 7
    assert dump.leaves(made, MASKER) == made


def test_a_part_that_was_not_read_says_why_in_its_place() -> None:
    part = Part("plan.json", "the plan", error="forbidden", details=("by RBAC", "hint: ask"))
    assert part.file == "plan.json.not-read.txt"
    assert part.content == "forbidden\n  by RBAC\n  hint: ask\n"


def test_a_part_is_cut_where_it_is_too_long() -> None:
    part = Part("x", "", text="x" * (dump.SIZE + 5))
    assert len(part.content) < dump.SIZE + 100
    assert part.content.endswith("… cut here by ddhelm\n")


def test_the_archive_has_a_page_that_names_every_file() -> None:
    parts = [Part("a.json", "about a", "{}"), Part("b/c.txt", "about c", error="no")]
    page = dump.readme(parts, "0.1.0", "2026-11-27T00:00:00Z")
    data = dump.archive("folder", parts, page, 1_800_000_000)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getnames() == ["folder/README.md", "folder/a.json", "folder/b/c.txt.not-read.txt"]
        assert {(each.mode, each.uid, each.mtime) for each in tar.getmembers()} == {(0o600, 0, 1_800_000_000)}
    assert "a.json" in page
    assert "NOT READ: about c" in page


def test_how_to_read_the_archive_can_be_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    support_dump._tell("/tmp/it's mine.tar.gz", 2048, [])
    assert shlex.split(capsys.readouterr().out.rpartition("first: ")[2]) == ["tar", "xzf", "/tmp/it's mine.tar.gz"]
