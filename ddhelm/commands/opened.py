"""Opens the session that a command line asks for."""

from ddhelm.actions.session import Session
from ddhelm.flags import Options
from ddhelm.views import logs, pasted


def session(options: Options) -> Session:
    """The session of a command's cluster flags; ``--verbose`` shows what its programs are asked."""
    opened = Session.open(kubeconfig=options["kubeconfig"], context=options["context"], namespace=options["namespace"])
    pasted.at(opened.access.place)
    if options["verbose"]:
        logs.to_stderr(opened.secrets.hide)
    return opened
