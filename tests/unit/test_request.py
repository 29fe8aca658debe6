"""What a command line asks for where its flags speak of two releases."""

import pytest

from ddhelm.actions import offline
from ddhelm.actions.request import UserSources, idle_values
from ddhelm.commands import values
from ddhelm.commands.requests import user_sources
from ddhelm.errors import UsageError
from ddhelm.release import Role


def test_values_for_the_release_that_is_left_alone_are_said_to_do_nothing() -> None:
    user = user_sources({"control_plane_set": ["a.b=1", "a.c=2"], "set_": ["d=1"]})
    said = "--control-plane-set: without effect on the worker release, and this run is about no other"
    assert idle_values(user, Role.WORKER) == (said,)
    assert idle_values(user, Role.CONTROL_PLANE) == ()
    assert idle_values(user, None) == ()
    assert idle_values(UserSources(), Role.WORKER) == ()


def test_values_of_one_release_and_only_the_other_is_a_contradiction() -> None:
    with pytest.raises(UsageError) as caught:
        values.values(offline.session(None), {"only": Role.CONTROL_PLANE}, Role.WORKER, explain=False)
    assert caught.value.message == "`ddhelm values worker` and `--only control-plane` name two releases"
    assert caught.value.hint == "ddhelm values control-plane"
