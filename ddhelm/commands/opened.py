"""Opens the session that a command line asks for."""

from ddhelm.actions.session import Session
from ddhelm.calls import Calls
from ddhelm.flaggroups import Options
from ddhelm.pasting import Place
from ddhelm.views import logs, pasted

calls: list[Calls] = []
"""The log of each session of this process, to be written when its run ends."""
_sessions: list[Session] = []


def session(options: Options) -> Session:
    """The session of a command's cluster flags; ``--verbose`` shows what its programs are asked."""
    opened = Session.open(kubeconfig=options["kubeconfig"], context=options["context"], namespace=options["namespace"])
    _sessions.append(opened)
    pasted.at(opened.access.place)
    calls.append(Calls(opened.secrets, opened.access.server, opened.access.namespace).start())
    if options["verbose"]:
        logs.to_stderr(opened.secrets.hide)
    return opened


def none(options: Options) -> None:
    """Of a command that needs no session: what it tells to type next goes to the cluster of its flags all the same."""
    flags = (("-n", options["namespace"]), ("--context", options["context"]), ("--kubeconfig", options["kubeconfig"]))
    pasted.at(Place(ddhelm=tuple((flag, value) for flag, value in flags if value)))


def in_namespace(options: Options, namespace: str) -> Session:
    """One more session of the same command, for a namespace that only a plan file names."""
    one = Session.open(kubeconfig=options["kubeconfig"], context=options["context"], namespace=namespace)
    _sessions.append(one)
    pasted.at(one.access.place)
    return one


def close() -> None:
    """End what the sessions of this process started."""
    while _sessions:
        _sessions.pop().close()
