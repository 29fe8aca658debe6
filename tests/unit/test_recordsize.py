"""How big a release's record will be: a bound where that is enough, and packed where it may not fit."""

import random
from collections.abc import Mapping
from typing import NoReturn

from ddhelm import recordsize
from ddhelm.manifest import Manifest, parse
from ddhelm.masking import Masker


def manifest(text: str = "a") -> Manifest:
    document = f"---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  a: {text}\n"
    return parse(document, "datadog", Masker(b"k" * 32))


def noise(size: int) -> str:
    return random.Random(1).randbytes(size // 2).hex()


def unread() -> NoReturn:
    raise AssertionError("the chart was read")


def test_a_usual_chart_is_not_unpacked_for_it() -> None:
    assert 600_000 < recordsize.forecast({}, manifest(), 323_071, unread) < recordsize.NEAR


def test_sub_charts_are_no_part_of_a_record_and_what_is_large_is_packed() -> None:
    files: Mapping[str, str] = {"templates/a.yaml": noise(400_000), "charts/operator/crds.yaml": noise(4_000_000)}
    near = recordsize.forecast({}, manifest(), 2_000_000, lambda: files)
    assert 200_000 < near < 500_000
    assert near == recordsize.forecast({}, manifest(), None, lambda: files)


def test_values_and_manifest_count_each_for_itself() -> None:
    big = noise(1_000_000)
    alone = recordsize.forecast({"a": big}, manifest(), None, dict)
    assert alone > 600_000
    assert recordsize.forecast({"a": big}, manifest(big), None, dict) > recordsize.LIMIT
