"""The import contracts speak of all the modules that they should."""

import configparser
import re

from tests.docs.pages import ROOT

EDGE_ENDS = {"access", "interrupts", "journal", "lean", "process", "record", "source", "wholefile"}


def contract(name: str) -> configparser.SectionProxy:
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    return parser[f"importlinter:contract:{name}"]


def floors() -> list[set[str]]:
    lines = contract("layers")["layers"].split("\n")
    return [set(re.findall(r"\w+", line)) for line in lines if line.strip()]


def test_the_core_is_every_layer_below_the_edge() -> None:
    layers = floors()
    (edge,) = (number for number, modules in enumerate(layers) if modules == EDGE_ENDS)
    below = {module for modules in layers[edge + 1 :] for module in modules}
    named = {line.removeprefix("ddhelm.") for line in contract("core")["source_modules"].split()}
    assert named == {module for module in below if (ROOT / "ddhelm" / f"{module}.py").exists()}


def test_no_module_stands_on_two_floors() -> None:
    modules = [module for floor in floors() for module in floor]
    assert len(modules) == len(set(modules))
