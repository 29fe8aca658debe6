"""A dataclass's `field()` in a Struct becomes the default itself, which neither Python nor mypy notices."""

import importlib
import io
import pkgutil
from collections.abc import Iterator
from dataclasses import Field

from msgspec import Struct
from rich.console import Console
from rich.pretty import Pretty

import ddhelm
from ddhelm.answers import Answer
from ddhelm.applying import ApplyResult


def structs(base: type[Struct] = Struct) -> Iterator[type[Struct]]:
    for each in base.__subclasses__():
        yield each
        yield from structs(each)


def test_no_struct_takes_the_field_of_a_dataclass() -> None:
    for module in pkgutil.walk_packages(ddhelm.__path__, "ddhelm."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    ours = [each for each in structs() if each.__module__.startswith("ddhelm.")]
    assert len(ours) > 150
    assert not [each for each in ours if any(isinstance(value, Field) for value in each.__struct_defaults__)]


def test_what_a_record_reserves_is_shown_by_nobody() -> None:
    found = Answer("/api", b"hunter2", made="hunter2")
    console = Console(file=io.StringIO(), force_terminal=False)
    console.print(Pretty(found))
    for shown in (repr(found), console.file.getvalue()):  # type: ignore[attr-defined]
        assert "hunter2" not in shown
        assert "path='/api'" in shown


def test_what_the_server_answered_is_not_printed() -> None:
    assert "hunter2" not in repr(ApplyResult(({"kind": "Secret", "stringData": {"password": "hunter2"}},)))
