"""From settings to values: the profile of the cluster, and what helm would be sent for each release."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from ddhelm import etcd, profile, values
from ddhelm import settings as settings_
from ddhelm.actions.session import Session
from ddhelm.facts import ClusterFacts
from ddhelm.profile import Profile
from ddhelm.release import Release, Role
from ddhelm.settings import FORMAT, Settings


def recognise(
    session: Session, read_facts: ClusterFacts, wanted: Settings, remembered: Mapping[str, Any] | None
) -> Profile:
    """The profile of the cluster; ClusterError where it is unknown or ambiguous and `--distribution` was not given."""
    found = profile.of(
        read_facts,
        session.library.distributions(),
        node_kinds=session.library.node_kinds(),
        override=wanted.distribution,
        remembered=remembered,
        own_certificate=wanted.etcd_secret is not None,
    )
    if "etcd" in wanted.drop_checks:
        return replace(found, notes=tuple(note for note in found.notes if note not in etcd.OF_ASKING))
    return found


def build(
    session: Session,
    read_facts: ClusterFacts,
    found: Profile,
    wanted: Settings,
    releases: Sequence[Release],
    user: Mapping[Role, Sequence[values.Layer]] | None = None,
) -> Mapping[str, values.Values]:
    """The values of each release, by name, with ddhelm's own record under the key ``ddhelm``.

    ``releases`` are all that fit the cluster: what one is sent depends on whether there is the other. ``user`` are the
    user's layers where they are to say who set what; otherwise those of the settings are taken.
    """
    tolerations = values.cluster_agent_tolerations(read_facts.nodes, found, wanted.tolerate)
    known = {**found.to_record(), **({"clusterAgentTolerations": tolerations} if tolerations else {})}
    kept = {"format": FORMAT, **settings_.to_record(wanted), "facts": known}
    return {
        release.name: values.build(
            values.layers_for(
                release.role,
                releases=releases,
                settings=wanted,
                profile=found,
                library=session.library,
                nodes=read_facts.nodes,
                user=None if user is None else user[release.role],
                record=kept,
            )
        )
        for release in releases
    }
