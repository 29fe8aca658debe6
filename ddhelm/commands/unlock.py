"""unlock: show who holds the lock, ask, take it away."""

import time

from ddhelm.actions import identity
from ddhelm.actions import unlock as action
from ddhelm.actions.session import Session
from ddhelm.commands import asking, recording
from ddhelm.views import console, pasted


def unlock(session: Session, *, force: bool, yes: bool) -> None:
    """Give the lock back for its holder; nothing to do where nobody holds it."""
    screen = console.out()
    held = action.look(session.kubectl, session.access.namespace, time.time)
    if held is None:
        screen.print(f"Nobody holds the lock in namespace `{session.access.namespace}`.", markup=False)
        return
    gone = "its process on this machine has ended" if held.holder.ended else "it did not renew it in time"
    state = "alive" if held.alive else f"gone: {gone}"
    age = f"renewed {held.age:.0f} s ago (it lasts {held.holder.duration} s)"
    screen.print(f"Held by {held.holder.who}", markup=False)
    screen.print(f"since {held.holder.since}, {age}: {state}.", markup=False)
    if not force:
        action.refuse_living(held)
    if not yes:
        asking.needed("take the lock away", "look at the holder, then add --yes")
        where = asking.about(session.access, identity.uid(session.kubectl))
        asking.confirm("Take the lock away?", where=where, hint="ddhelm unlock")
    with recording.recorded(session, "unlock") as run:
        run.began(f"lock of {held.holder.who} taken away")
        action.give_back(session.kubectl, held)
    told = "The lock is free. `ddhelm history` shows how far that run came, `ddhelm plan` what is left to do."
    screen.print(pasted.sentence(told), markup=False)
