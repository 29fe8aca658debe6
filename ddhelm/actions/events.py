"""What an observer is told while a change is carried out."""

from msgspec import Struct

from ddhelm.plan import Step


class StepStarted(Struct, frozen=True):
    """A step begins."""

    step: Step


class StepDone(Struct, frozen=True):
    """A step ended well; ``revision`` is the one that it made, ``seconds`` what helm took."""

    step: Step
    revision: int | None
    seconds: float


class Wrote(Struct, frozen=True):
    """Something outside of the releases was written: `namespace`, `Secret` …"""

    what: str


class Warned(Struct, frozen=True):
    """Something worth a line: what the API server warns helm of, or what a forecast cannot tell."""

    line: str
