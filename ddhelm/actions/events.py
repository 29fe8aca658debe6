"""What an observer is told while a change is carried out."""

from dataclasses import dataclass

from ddhelm.plan import Step


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step begins."""

    step: Step


@dataclass(frozen=True, slots=True)
class StepDone:
    """A step ended well; ``revision`` is the one that it made, ``seconds`` what helm took."""

    step: Step
    revision: int | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Wrote:
    """Something outside of the releases was written: `namespace`, `Secret` …"""

    what: str


@dataclass(frozen=True, slots=True)
class Warned:
    """A line of helm's that means something."""

    line: str
