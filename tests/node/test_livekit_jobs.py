"""LiveKit's job process, the place of #1756: the preload reaches it, and its warning reaches the worker's terminal."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import KEY, Cell, Endpoint
from .test_real_clients import EU, GLOBAL, LIVEKIT_NODES, assert_silence, assert_transcribed, run_plugin

pytestmark = [pytest.mark.node, pytest.mark.client, pytest.mark.timeout(500)]

JOBS: list[tuple[str, str | None]] = [("1.4.4", GLOBAL), ("1.9.0", EU)]
"""The first affected version and the newest, and the base URL at which it is refused."""


def without_hints(line: Any) -> Any:
    """Remove LiveKit's hints: that a job joined no room, after 10 seconds, and that the machine is slow."""
    hint = re.compile(r'"msg":"(?:room not connect|event loop|process not scheduled|job (?:executor )?is unresponsive)')
    kept = [text for text in line["stdout"].splitlines(keepends=True) if not hint.search(text)]
    return {**line, "stdout": "".join(kept)}


@pytest.mark.parametrize(
    ("version", "base_url", "node", "preload_by"),
    [
        pytest.param(
            version,
            base_url,
            node,
            preload_by,
            id=f"{version}-node{node}-{preload_by}",
            marks=pytest.mark.heavy
            if (version, node, preload_by) == ("1.4.4", "system", "command line")
            else pytest.mark.release,
        )
        for version, base_url in JOBS
        for node in ("system", *LIVEKIT_NODES)
        for preload_by in ("command line", "NODE_OPTIONS")
    ],
)
def test_a_job_process_gets_no_event_without_the_preload_and_its_transcript_with_it(
    version: str, base_url: str | None, node: str, preload_by: str, cell: Cell, endpoint_with: Callable[..., Endpoint]
) -> None:
    endpoint = endpoint_with(refuse="on-update")
    without, having = (
        run_plugin(
            cell, version, base_url, "--job", node=node, shim=shim, env=endpoint.env, preload_by=preload_by, timeout=200
        )
        for shim in (False, True)
    )
    assert_silence(without_hints(without))
    assert_transcribed(having)


@pytest.mark.parametrize(
    ("version", "base_url"),
    [JOBS[0], pytest.param(*JOBS[1], marks=pytest.mark.release)],
)
@pytest.mark.heavy
def test_a_key_that_is_refused_in_a_job_process_is_one_warning_in_the_terminal_of_the_worker(
    version: str, base_url: str | None, cell: Cell, endpoint: Endpoint
) -> None:
    key = "sk-proj-invalid" + KEY[8:]
    env = {**endpoint.env, "OPENAI_API_KEY": key}
    # A refusal right after the handshake is lost on 1.4.4, which then waits for ever.
    having = run_plugin(
        cell, version, base_url, "--job", "--seconds", "15", node="system", shim=True, env=env, timeout=200
    )
    (line,) = having["stderr"].splitlines()
    assert line.startswith("rtstt_shim: realtime transcription session failed: the API key was refused")
    assert key not in line
    assert having["events"] == {}
