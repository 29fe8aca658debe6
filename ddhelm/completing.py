"""What a shell offers behind a flag: names from files of this machine, never from a cluster.

A completion that waits for an API server is worse than none. Whatever goes wrong offers nothing: a shell shows errors
in the middle of the line that is being typed.
"""

import contextlib
import io
import os
import sys
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import contextmanager, suppress


@contextmanager
def serving_bash(environ: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """Answer a bash that completes as if it did not take words apart at colons, which every name of an EKS cluster has.

    It tells the pieces, `arn` `:` `aws` `:` …, and puts a reply in the place of the last one. Done here and not in the
    script of the shell, which many have written into a file.
    """
    asked = environ.get("_DDHELM_COMPLETE") == "complete_bash"
    pieces = environ["COMP_WORDS"].split("\n")[: int(environ["COMP_CWORD"]) + 1] if asked else []
    if not any(map(_colons, pieces)):
        yield
        return
    words: list[str] = []
    for at, piece in enumerate(pieces):
        if words and (_colons(piece) or _colons(pieces[at - 1])):
            words[-1] += piece
        else:
            words.append(piece)
    environ["COMP_WORDS"], environ["COMP_CWORD"] = "\n".join(words), str(len(words) - 1)
    there = words[-1].removesuffix(pieces[-1].lstrip(":"))
    replies = io.StringIO()
    try:
        with contextlib.redirect_stdout(replies):
            yield
    finally:
        sys.stdout.writelines(line.removeprefix(there) for line in replies.getvalue().splitlines(keepends=True))


def _colons(piece: str) -> bool:
    return bool(piece) and not piece.strip(":")


def contexts(ctx: object, incomplete: str) -> list[str]:
    """Contexts of the kubeconfig that `--kubeconfig`, KUBECONFIG or the usual place names."""
    from ddhelm import access

    given = getattr(ctx, "params", {}).get("kubeconfig")
    with suppress(Exception):
        return _starting(access.contexts(given), incomplete)
    return []


def distributions(incomplete: str) -> list[str]:
    """Every distribution that has a file."""
    from ddhelm import library

    with suppress(Exception):
        return _starting(library.load().names(), incomplete)
    return []


def sites(incomplete: str) -> list[str]:
    """Datadog's sites."""
    from ddhelm.settings import SITES

    return _starting(SITES, incomplete)


def checks(incomplete: str) -> list[str]:
    """The control-plane checks."""
    from ddhelm.settings import CHECKS

    return _starting((*CHECKS, "none"), incomplete)


def claims(incomplete: str) -> list[str]:
    """What `ddhelm check --list` lists."""
    from ddhelm.proof import CLAIMS

    return _starting((claim.name for claim in CLAIMS), incomplete)


def errors(incomplete: str) -> list[str]:
    """Every error that has a section on the page of errors."""
    from ddhelm import errorpage

    with suppress(Exception):
        return _starting(errorpage.load(), incomplete)
    return []


def formats(incomplete: str) -> list[str]:
    """Output formats of most commands."""
    return _starting(("table", "json", "yaml"), incomplete)


def diff_formats(incomplete: str) -> list[str]:
    """Output formats of plan and diff."""
    return _starting(("table", "json", "yaml", "markdown", "unified"), incomplete)


def shown_formats(incomplete: str) -> list[str]:
    """Output formats of a plan file that is shown."""
    return _starting(("table", "json", "yaml", "markdown"), incomplete)


def forms(incomplete: str) -> list[str]:
    """Forms of a diff."""
    return _starting(("structural", "unified", "summary"), incomplete)


def crds(incomplete: str) -> list[str]:
    """How much of CRDs a diff shows."""
    return _starting(("summary", "full"), incomplete)


def _starting(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
