"""A dataclass's `field()` in a Struct becomes the default itself, which neither Python nor mypy notices."""

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import Field

from msgspec import Struct

import ddhelm
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


def test_what_the_server_answered_is_not_printed() -> None:
    assert "hunter2" not in repr(ApplyResult(({"kind": "Secret", "stringData": {"password": "hunter2"}},)))
