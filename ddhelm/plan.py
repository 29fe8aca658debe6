"""What a plan is: where the releases stand, what they shall be, and the steps between, in the words of all who read it.

How the steps come about is told in ``steps``, what is said besides them in ``notices``.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar

from msgspec import Struct

from ddhelm import tree
from ddhelm.claim import Result
from ddhelm.coverage import Coverage
from ddhelm.manifest import Identity, Manifest, Object, ObjectRef
from ddhelm.release import Release
from ddhelm.reserved import Reserved
from ddhelm.values import Values

WORKLOADS = ("DaemonSet", "Deployment", "StatefulSet")


class StepKind(StrEnum):
    """What is done to a release."""

    INSTALL = "install"
    UPGRADE = "upgrade"
    ROLLBACK = "rollback"
    REPAIR = "repair"
    UNINSTALL = "uninstall"
    NOTHING = "nothing"


class Action(StrEnum):
    """What happens to one object."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    KEEP = "keep"
    RECREATE = "recreate"
    RESTORE = "restore"


class Head(Struct, frozen=True):
    """The newest revision of a release, as Helm recorded it.

    ``modified``: when its deployment or its uninstall began, Unix seconds.
    """

    revision: int
    status: str
    modified: int = 0

    @property
    def pending(self) -> bool:
        """Whether a helm process may be at work on this release."""
        return self.status.startswith("pending-") or self.status == "uninstalling"


class Deployed(Struct, frozen=True):
    """A release that stands in the cluster: its head, and the revision that Helm would compare with.

    ``base`` is the newest revision that stood, mostly the head (None: a first install that never got there, or an
    uninstall has begun); ``manifest`` and ``config`` are that revision's, or the head's where there is none.
    """

    release: Release
    head: Head
    base: int | None
    manifest: Manifest
    config: tree.Tree
    chart: str = ""
    chart_version: str = ""
    app_version: str = ""
    updated: str = ""
    apply_method: str = ""
    rolled_back: bool = False
    """Whether that revision is an earlier one that was brought back."""
    description: str = ""
    """Helm's word for that revision; ddhelm's begin with its name."""
    unfinished: Manifest | None = None
    """The manifest of a head that is another revision. A rollback compares with that one (3.22, 4.3)."""

    @property
    def newest(self) -> Manifest:
        """The head's manifest."""
        return self.manifest if self.unfinished is None else self.unfinished


class Desired(Struct, frozen=True):
    """What a release shall be: its values and the manifest that the chart makes of them in this cluster."""

    release: Release
    values: Values
    manifest: Manifest
    chart_version: str
    app_version: str = ""


class Conflict(Struct, frozen=True):
    """A field that another manager owns with another value: server-side apply would refuse it."""

    ref: ObjectRef
    field: str
    manager: str


class LiveChange(Reserved, frozen=True):
    """How an object of the desired manifest differs live: gone, or fields that applying it would set back.

    ``before`` and ``after`` are the masked bodies: as it stands, and as applying it would leave it. ``in_passing``: no
    reason for a step by itself, because nobody altered it and only admission would at the next write, or because
    somebody scaled it (``scaled``). ``unsent``: client-side, helm writes it only where the chart changes it.
    """

    unshown: ClassVar[tuple[str, ...]] = (
        "before",
        "after",
    )

    ref: ObjectRef
    missing: bool
    changes: tuple[tree.Change, ...] = ()
    before: tree.Tree | None = None
    after: tree.Tree | None = None
    in_passing: bool = False
    unsent: bool = False
    scaled: bool = False

    @property
    def admitted(self) -> bool:
        """Whether only admission would change it."""
        return self.in_passing and not self.scaled


class Live(Struct, frozen=True):
    """What applying the desired objects would meet, per identity.

    ``server_side``: whether helm may apply so, which writes every object again and not only those that changed.
    ``standing`` are those of the objects that are there. ``keeps``: of objects that stand and leave a manifest, whether
    they are annotated to be kept. ``steady``: the workloads whose pod template server-side apply leaves as it stands.
    """

    changes: Mapping[Identity, LiveChange]
    conflicts: tuple[Conflict, ...] = ()
    server_side: bool = False
    standing: frozenset[Identity] = frozenset()
    keeps: Mapping[Identity, bool] = {}
    steady: frozenset[Identity] = frozenset()


class ObjectChange(Reserved, frozen=True):
    """One object and what happens to it; ``noise`` holds the changed fields that mean nothing.

    ``old`` and ``new`` are what ``before`` and ``after`` show: an object, or a body that is masked already.
    """

    unshown: ClassVar[tuple[str, ...]] = ("old", "new")

    ref: ObjectRef
    action: Action
    changes: tuple[tree.Change, ...] = ()
    noise: tuple[tree.Change, ...] = ()
    old: Object | tree.Tree | None = None
    new: Object | tree.Tree | None = None

    @property
    def before(self) -> tree.Tree | None:
        """The masked body as it stands; None where there is none. One that nobody looks at is never parsed."""
        return self.old.body if isinstance(self.old, Object) else self.old

    @property
    def after(self) -> tree.Tree | None:
        """The masked body as it will be; None where there is none."""
        return self.new.body if isinstance(self.new, Object) else self.new


class Restart(Struct, frozen=True):
    """Pods of a workload that are replaced, and the fields of its pod template that cause it.

    With the update strategy ``OnDelete`` none is before somebody deletes it.
    """

    ref: ObjectRef
    because: tuple[str, ...]
    on_delete: bool = False


class Step(Struct, frozen=True):
    """One change of one release. ``target`` is the revision that is brought back; ``values`` what helm is sent.

    ``unchanged`` counts the objects that stay as they are, ``gone`` names those that change and are no longer there.
    ``agents``: kind and name of the node agents (DaemonSet) and of the Cluster Agent (Deployment).
    """

    kind: StepKind
    release: Release
    why: str = ""
    objects: tuple[ObjectChange, ...] = ()
    restarts: tuple[Restart, ...] = ()
    revision: int | None = None
    target: int | None = None
    values: tree.Tree | None = None
    values_changes: tuple[tree.Change, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    unchanged: int = 0
    gone: tuple[ObjectRef, ...] = ()
    agents: frozenset[tuple[str, str]] = frozenset()

    @property
    def deleted(self) -> tuple[ObjectRef, ...]:
        """The objects that it deletes; an uninstall names none."""
        return tuple(each.ref for each in self.objects if each.action is Action.DELETE)

    @property
    def deleted_crds(self) -> tuple[ObjectRef, ...]:
        """The CRDs among them; the objects of their kinds go with them."""
        return tuple(ref for ref in self.deleted if ref.kind == "CustomResourceDefinition")


class Problem(Struct, frozen=True):
    """Something that stops the plan from being carried out: one line, further lines, what to type, where to read."""

    text: str
    hint: str = ""
    anchor: str = ""
    details: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """The problem as lines, its hint last."""
        return (self.text, *(f"  {d}" for d in self.details), *([f"  hint: {self.hint}"] if self.hint else []))


class Plan(Struct, frozen=True):
    """Ordered steps with what was proven about their end state. ``writes`` lists Secret keys that will be written.

    ``taken_over``: releases that ddhelm did not write, with the values of theirs that it overrides; shown first.
    """

    steps: tuple[Step, ...]
    coverage: Coverage
    results: tuple[Result, ...]
    lost_crds: tuple[ObjectRef, ...] = ()
    creates_namespace: bool = False
    labels_namespace: Mapping[str, str] | None = None
    writes: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    taken_over: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether anything at all would be done."""
        return bool(self.writes or self.labels_namespace or self.creates_namespace) or any(
            step.kind is not StepKind.NOTHING for step in self.steps
        )


def exit_code(plan: Plan, *, detailed: bool) -> int:
    """0 for nothing to do, 2 for changes where a detailed exit code was asked for."""
    return 2 if detailed and plan.changes else 0
