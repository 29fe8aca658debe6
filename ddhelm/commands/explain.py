"""explain: what an error means and what to do about it, from the page that ships with ddhelm."""

from difflib import get_close_matches

from ddhelm import errorpage
from ddhelm.errors import UsageError
from ddhelm.views import explain as view


def explain(name: str | None) -> None:
    """Print the section of one error, or the names of all; UsageError for a name that is none."""
    known = errorpage.load()
    if name is None:
        view.names(known)
        return
    section = known.get(name)
    if section is None:
        near = get_close_matches(name, known, n=1)
        raise UsageError(
            f"there is no error `{name}`", hint=f"ddhelm explain {' '.join(near)}".rstrip(), anchor="unknown-error"
        )
    view.section(name, section)
