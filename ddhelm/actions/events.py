"""What an observer is told while a change is carried out."""

from collections.abc import Callable

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


class Told:
    """What an observer was told of a run, for one that ends without an outcome: raised, or interrupted."""

    def __init__(self) -> None:
        self.begun = False
        """Whether anything was written, or may have been."""
        self.wrote: list[str] = []
        self.done: list[StepDone] = []

    def telling(self, observer: Callable[[object], None]) -> Callable[[object], None]:
        """An observer that notes what it is told, and tells it on."""

        def tell(event: object) -> None:
            if isinstance(event, Wrote):
                self.wrote.append(event.what)
            elif isinstance(event, StepDone):
                self.done.append(event)
            self.begun = self.begun or isinstance(event, Wrote | StepStarted)
            observer(event)

        return tell


class Warned(Struct, frozen=True):
    """Something worth a line: what the API server warns helm of, or what a forecast cannot tell."""

    line: str
