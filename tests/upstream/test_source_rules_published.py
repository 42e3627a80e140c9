"""The source rules on published packages: healthy ones are left alone, and the faults of the others are found."""

from __future__ import annotations

from pathlib import Path

import pytest
from upstream_sources import npm_package, pypi_wheel

from rtstt_core.clients.tree import Unread
from rtstt_testkit.source.scan import scan_folder

pytestmark = [pytest.mark.client, pytest.mark.heavy, pytest.mark.timeout(900)]

HEALTHY = {
    "ag2": "1.2.1",
    "hermes-talk": "0.22.0",
    "litellm": "1.106.0",
    "livekit-plugins-openai": "1.8.9",
    "openai-agents": "0.24.0",
    "pipecat-ai": "1.14.0",
    "pydantic-ai-slim": "2.68.0",
    "scribe-cli": "1.2.1",
    "speech-to-speech": "1.1.0",
    "strands-agents": "1.62.0",
}
"""Ten packages that OpenAI's endpoint accepts at `api.openai.com`."""

REFUSED = {
    ("liveai", "1.1.0"): {"beta-header", "beta-update", "beta-fields"},
    ("livelink", "0.1.1"): {"sdk-update-without-session-type"},
    ("livekit-plugins-openai", "1.3.6"): {"beta-header", "beta-update", "beta-fields"},
    ("openai-realtime-client", "0.1.0"): {"beta-header"},
    ("realtime-websocket-conversation", "0.1.2"): {"beta-client", "sdk-update-without-session-type"},
    ("transcriber-sh", "0.1.2"): {"beta-header", "beta-secrets"},
}


def refused(folder: Path) -> set[str]:
    """The rules of what is certainly refused."""
    unread = Unread()
    found = scan_folder(folder, unread, python_active=False, node_active=False)
    assert not unread.notes
    return {finding.rule for finding in found if finding.verdict == "affected"}


@pytest.mark.parametrize(("name", "version"), HEALTHY.items(), ids=list(HEALTHY))
def test_a_healthy_package_is_left_alone(name: str, version: str) -> None:
    assert refused(pypi_wheel(name, version)) == set()


@pytest.mark.parametrize(("package", "rules"), REFUSED.items(), ids=["-".join(package) for package in REFUSED])
def test_the_faults_of_a_package_are_found(package: tuple[str, str], rules: set[str]) -> None:
    assert refused(pypi_wheel(*package)) == rules


@pytest.mark.parametrize(
    ("version", "rules"), [("1.4.2", set()), ("1.4.4", {"search-params-model-beside-intent"}), ("1.9.0", set())]
)
def test_the_livekit_plugin_for_node(version: str, rules: set[str]) -> None:
    assert refused(npm_package(version) / "src") == rules
