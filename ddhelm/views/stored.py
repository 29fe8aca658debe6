"""A plan's JSON document read back into what it was made of, so that one view shows the plan and its file."""

from collections.abc import Mapping

from ddhelm import tree
from ddhelm.coverage import Blame
from ddhelm.drift import Change, Fate, FieldDrift, ObjectDrift
from ddhelm.managedfields import Writer
from ddhelm.manifest import ObjectRef
from ddhelm.plan import Action, ObjectChange, Restart, Step, StepKind
from ddhelm.pools import Pool
from ddhelm.release import Release, Role
from ddhelm.tree import Tree


def steps(data: Tree) -> tuple[Step, ...]:
    """The steps, as far as a document tells: no bodies of objects, and nothing of ddhelm's own record."""
    return tuple(_step(each, data["namespace"]["name"]) for each in data["steps"])


def layers(data: Tree) -> Mapping[str, Mapping[tree.Path, str]]:
    """Release, path of a value → the layer that sets it, of the values that the steps change."""
    found: dict[str, dict[tree.Path, str]] = {}
    for step in data["steps"]:
        for each in step["values"]:
            found.setdefault(step["release"], {})[tree.read_path(each["path"])] = each["layer"]
    return found


def changed_in_cluster(data: Tree) -> tuple[ObjectDrift, ...]:
    """What others changed of the objects that the steps touch."""
    return tuple(
        ObjectDrift(each["release"], _ref(each), each["missing"], tuple(map(_drifted, each["fields"])))
        for each in data["changedInCluster"]
    )


def pools(data: Tree) -> tuple[Pool, ...]:
    """The pools of nodes; which host ports clash is not in a document."""
    exceptions = {each["node"]: each for each in data["coverage"]["exceptions"]}
    return tuple(
        _pool(each, exceptions.get(next(iter(each["examples"]), ""), {})) for each in data["coverage"]["pools"]
    )


def _step(step: Tree, namespace: str) -> Step:
    objects = tuple(map(_object, step["objects"]))
    return Step(
        StepKind(step["kind"]),
        Release(Role(step["role"]), step["release"], namespace),
        step["why"],
        objects,
        tuple(
            Restart(ObjectRef("", each["kind"], namespace, each["name"]), tuple(each["because"]), key == "onDelete")
            for key in ("restarts", "onDelete")
            for each in step.get(key, ())  # a file of an earlier version has the first alone
        ),
        target=step["target"],
        values_changes=tuple(map(_change, step["values"])),
        unchanged=step["unchanged"],
        gone=tuple(each.ref for each in objects if str(each.ref) in step["gone"]),
        agents=frozenset((each["kind"], each["name"]) for each in step.get("agents", ())),
    )


def _object(each: Tree) -> ObjectChange:
    fields = tuple(map(_change, each["fields"]))
    noise = tuple(tree.Change(tree.read_path(path), "replace", None, None) for path in each["noise"])
    return ObjectChange(_ref(each), Action(each["action"]), fields, noise)


def _change(each: Tree) -> tree.Change:
    return tree.Change(tree.read_path(each["path"]), each["op"], each["old"], each["new"])


def _ref(each: Tree) -> ObjectRef:
    return ObjectRef(each.get("apiVersion", ""), each["kind"], each["namespace"], each["name"])


def _drifted(field: Tree) -> FieldDrift:
    return FieldDrift(
        tree.read_path(field["path"]),
        Change(field["change"]),
        field["deployed"],
        field["live"],
        tuple(Writer(**writer) for writer in field["by"]),
        Fate(field["nextUpgrade"]),
        field["admission"],
        field["toRemove"],
    )


def _pool(pool: Tree, exception: Tree) -> Pool:
    return Pool(
        pool["name"],
        tuple(pool["roles"]),
        pool["nodes"],
        tuple(pool["examples"]),
        tuple(pool["releases"]),
        tuple(exception.get("untilRestart", ())),
        Blame("", pool["why"], exception.get("fix", "")) if pool["why"] else None,
        tuple(pool["taints"]),
        pool["os"],
        pool["arch"],
        exception.get("accepted", False),
        exception.get("transient", False),
    )
