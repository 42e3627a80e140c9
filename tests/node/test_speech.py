"""Real Node clients stream a recording of speech to the mock and get its words through their own API."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rtstt_testkit.speech import load

from . import npm
from .conftest import DRIVER, Cell, Endpoint, run

pytestmark = [pytest.mark.node, pytest.mark.client, pytest.mark.heavy, pytest.mark.timeout(300)]

SPEECH = load("hello")
WAV = npm.installed("rtstt_testkit", "speech", "hello.wav")


def test_the_openai_sdk_hears_the_words_with_the_preload(cell: Cell, endpoint: Endpoint) -> None:
    script = cell(openai="6.49.0", ws="8.18.3") / "speech_openai.mjs"
    env = {**endpoint.env, "APP_WAV": str(WAV)}
    without = run(script, shim=False, env=env)
    assert without.line == {"deltas": "", "transcript": None, "code": "invalid_model"}
    having = run(script, shim=True, env=env)
    assert having.line == {"deltas": SPEECH.text, "transcript": SPEECH.text, "code": None}
    assert having.stderr == ""


@pytest.mark.parametrize("shim", [False, True], ids=["plain", "with the preload"])
def test_a_voice_session_of_openai_agents_is_transcribed_and_left_alone(
    shim: bool, cell: Cell, endpoint: Endpoint
) -> None:
    """It opens a conversation session, whose URL needs `model`."""
    packages = {"@openai__agents": "0.20.0", "ws": "8.21.3", "zod": "4"}
    outcome = run(cell(**packages) / "speech_agents.mjs", shim=shim, env={**endpoint.env, "APP_WAV": str(WAV)})
    assert outcome.line == {"transcript": SPEECH.text, "code": None}
    assert outcome.stderr == ""
    [session] = endpoint.server.sessions
    assert session.handshake.query == {"model": ["gpt-realtime"]}
    assert session.kind == "realtime"


@pytest.mark.parametrize("shim", [False, True], ids=["plain", "with the preload"])
def test_the_livekit_plugin_hears_the_words(shim: bool, cell: Cell, endpoint_with: Callable[..., Endpoint]) -> None:
    endpoint = endpoint_with()
    packages = {
        "@livekit__agents": "1.9.0",
        "@livekit__agents_plugin_openai": "1.9.0",
        "@livekit__rtc_node": "0.13.34",
        "zod": "3",
        "ws": "8.18.3",
    }
    project = cell(**packages)
    line = run(DRIVER, "--project", str(project), "--wav", str(WAV), shim=shim, env=endpoint.env).line
    assert (line["transcript"], line["ended"], line["stderr"]) == (SPEECH.text, "complete", "")
