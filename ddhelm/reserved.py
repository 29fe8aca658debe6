"""A record that does not show all it holds: what is secret, or long, stays out of logs and tracebacks."""

from typing import Any, ClassVar

from msgspec import Struct


class Reserved(Struct, frozen=True):
    """A Struct whose ``repr`` leaves out the fields named in ``unshown``; Rich asks for them in a way of its own."""

    unshown: ClassVar[tuple[str, ...]] = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in self.__struct_fields__ if name not in self.unshown]
