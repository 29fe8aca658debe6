"""Loads a package without the modules that it imports and that nothing here makes it use."""

import builtins
import importlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from threading import Lock
from types import SimpleNamespace
from typing import Any

_lock = Lock()


def load(name: str, left_out: Mapping[str, object]) -> Any:
    """The package ``name``, loaded once; its own import statements get the objects of ``left_out`` for these modules.

    Only those of its top file: an import statement asks the builtins of the module that it stands in, so no other
    module sees what is left out. ImportError where there is no such package.
    """
    with _lock:
        if name in sys.modules:
            return sys.modules[name]
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        module = importlib.util.module_from_spec(spec)
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": _importer(left_out)}
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return sys.modules[name]


def without(missing: str, name: str) -> None:
    """Import the package ``name`` as it is where ``missing``, which it can do without, is not installed.

    Nothing where either has been imported.
    """
    with _lock:
        if missing in sys.modules or name in sys.modules:
            return
        sys.modules[missing] = None  # type: ignore[assignment]  # what Python takes for "there is none"
        try:
            importlib.import_module(name)
        finally:
            del sys.modules[missing]


def _importer(left_out: Mapping[str, object]) -> Any:
    def imported(
        name: str,
        given: Mapping[str, object] | None = None,
        local: Mapping[str, object] | None = None,
        names: Sequence[str] | None = (),
        level: int = 0,
    ) -> object:
        if names and all(f"{name}.{each}" in left_out for each in names):
            return SimpleNamespace(**{each: left_out[f"{name}.{each}"] for each in names})
        if name in left_out:
            return left_out[name]
        return builtins.__import__(name, given, local, names or (), level)

    return imported
