"""One run's connections: which cluster, through which programs, told once and used by every action."""

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct

from ddhelm.access import Access, resolve
from ddhelm.errors import DdhelmError
from ddhelm.reads import NODES
from ddhelm.run import Runner, Secrets, find

if TYPE_CHECKING:  # loaded by the first who uses them: a plan without a cluster needs no kubectl, a status no helm
    from ddhelm.answers import Answer
    from ddhelm.helm import Helm
    from ddhelm.kubectl import Kubectl
    from ddhelm.library import Library
    from ddhelm.masking import Masker
    from ddhelm.nodes import Node

Observer = Callable[[object], None]
"""Told of events while an action runs; a view, never the action, turns them into words."""


def silent(_event: object) -> None:
    """The observer of somebody who does not look."""


def _nodes(pieces: Iterable[bytes]) -> "tuple[Node, ...]":
    from ddhelm.nodes import nodes_of

    return nodes_of(pieces)


_PIECEWISE = {NODES: _nodes}


class Session(Struct, frozen=True, dict=True):
    """The cluster and the tools of one run. Opening it reads the kubeconfig and starts no process."""

    access: Access
    secrets: Secrets

    @classmethod
    def open(
        cls, *, kubeconfig: str | None = None, context: str | None = None, namespace: str | None = None
    ) -> "Session":
        """Resolve kubeconfig, context and namespace once; raises ClusterError or ConfigError."""
        return cls(resolve(kubeconfig=kubeconfig, context=context, namespace=namespace), Secrets())

    @cached_property
    def runner(self) -> Runner:
        """Starts every process of this run."""
        return Runner(self.secrets)

    @cached_property
    def kubectl(self) -> "Kubectl":
        """kubectl, bound to this cluster; ToolError where there is none."""
        from ddhelm.kubectl import Kubectl

        return Kubectl(self.runner, find("kubectl"), self.access, proxied=True)

    def begin(self, paths: Sequence[str] = ()) -> None:
        """Let kubectl come up, and GET ``paths``, while the caller loads the rest; who asks is told what fails."""
        with suppress(DdhelmError):
            self.kubectl.start(paths, _PIECEWISE)

    def ask(self, paths: Sequence[str]) -> "tuple[Answer, ...]":
        """GET several paths in one round, as ``begin`` may have done already: the nodes are ``made`` as they arrive."""
        return self.kubectl.raws(paths, _PIECEWISE)

    def close(self) -> None:
        """End what runs beside the run. Nothing else is held: no connection, no lock."""
        if "kubectl" in self.__dict__:  # asked for at all
            self.kubectl.close()

    def kubectl_within(self, seconds: int) -> "Kubectl":
        """The same with another limit for each request to the API server."""
        return self.kubectl.within(seconds)

    @cached_property
    def helm(self) -> "Helm":
        """helm, bound to this cluster; ToolError where there is none."""
        from ddhelm.helm import Helm

        return Helm(self.runner, find("helm"), self.access)

    @cached_property
    def library(self) -> "Library":
        """The layers of ``charts-values/``."""
        from ddhelm.library import load

        return load()

    @cached_property
    def masker(self) -> "Masker":
        """Masks secret fields with a key that lives as long as this run."""
        from ddhelm.masking import Masker

        return Masker(os.urandom(32))
