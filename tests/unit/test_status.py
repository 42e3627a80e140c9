"""`rtstt_shim.status()` logs once that nothing in the environment needs the shim any more."""

from __future__ import annotations

import logging

import pytest

import rtstt_core.status as status_module
import rtstt_shim
from rtstt_core.clients import python_environments
from rtstt_core.clients.python_environments import PythonEnvironment


@pytest.fixture(autouse=True)
def first_status(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, shim: None) -> None:
    """The next status is the first of its process."""
    monkeypatch.setattr(status_module, "_examined", False)
    caplog.set_level(logging.INFO, logger="rtstt_shim")


def look(monkeypatch: pytest.MonkeyPatch, installed: dict[str, str], corrected: int = 0) -> None:
    """Ask for the status twice in an environment with these packages, after so many corrected URLs."""
    environment = PythonEnvironment("Python", installed)
    active = status_module.installation.status()
    monkeypatch.setattr(status_module.installation, "status", lambda: active._replace(corrected=corrected))
    monkeypatch.setattr(python_environments, "own", lambda unread: environment)
    assert rtstt_shim.status().active
    rtstt_shim.status()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the shim logged."""
    return [record.getMessage() for record in caplog.records if record.name == "rtstt_shim"]


def test_a_client_that_is_fixed_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    look(monkeypatch, {"litellm": "1.109.1"})
    assert lines(caplog) == [
        "rtstt_shim: nothing in this environment needs the shim any more: litellm 1.109.1 is fixed"
    ]


@pytest.mark.parametrize("installed", [{}, {"litellm": "1.100.0"}, {"litellm": "1.109.1", "liveai": "1.1.0"}])
def test_an_environment_that_needs_it_or_has_no_known_client_gets_no_line(
    installed: dict[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    look(monkeypatch, installed)
    assert lines(caplog) == []


def test_a_shim_that_corrected_a_url_is_needed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    look(monkeypatch, {"litellm": "1.109.1"}, corrected=1)
    assert lines(caplog) == []


def test_an_environment_that_cannot_be_examined_costs_the_line_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(unread: object) -> PythonEnvironment:
        raise OSError("no such folder")

    active = status_module.installation.status()
    monkeypatch.setattr(status_module.installation, "status", lambda: active._replace(corrected=0))
    monkeypatch.setattr(python_environments, "own", fail)
    assert rtstt_shim.status().active
    assert lines(caplog) == []
