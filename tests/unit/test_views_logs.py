"""What `--verbose` shows holds no secret, known or only looking like one."""

import logging
from collections.abc import Iterator

import pytest

from ddhelm.views import logs

log = logging.getLogger("ddhelm.run")


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    logger = logging.getLogger("ddhelm")
    level, propagate, handlers = logger.level, logger.propagate, list(logger.handlers)
    yield
    logger.setLevel(level)
    logger.propagate, logger.handlers[:] = propagate, handlers


def test_a_secret_is_hidden_whether_the_run_knows_it_or_not(capsys: pytest.CaptureFixture[str]) -> None:
    logs.to_stderr(lambda text: text.replace("known", "***"))
    log.debug("helm get values x known -H 'X-Token: planted' --password planted  # exit 0, 0.10 s")
    told = capsys.readouterr().err
    assert "helm get values x *** -H 'X-Token: ***" in told
    assert told.endswith("  # exit 0, 0.10 s\n")
    assert "planted" not in told
