"""The proof of each pull request, on the real sources: what `rtstt-shim pr --verify` runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rtstt_core.cli import main

pytestmark = [pytest.mark.client, pytest.mark.heavy, pytest.mark.timeout(900)]

REFUSED = "0 transcripts: `invalid_model`, close 4000"
WITHOUT = "transcript 'Hello from the mock.' (URL without `model`)"
WITH = "transcript 'Hello from the mock.' (URL with `model`)"
WORKS = f"| {WITHOUT} | {WITHOUT} |"
FIXED = f"| {REFUSED} | {WITHOUT} |"
GATEWAY = f"| gateway.example.com | {WITH} | {WITH} |"


def verified(fix: str, source: Path, tmp_path: Path) -> str:
    assert main(["pr", fix, "--source", str(source), "--out", str(tmp_path / "out"), "--verify"]) == 0
    return (tmp_path / "out" / "PR.md").read_text(encoding="utf-8")


@pytest.mark.node
@pytest.mark.parametrize(
    ("version", "native", "tests"),
    [
        ("1.4.4", FIXED, "6 failed, 12 passed, 1 skipped | 18 passed, 1 skipped"),
        ("1.4.6", FIXED, "6 failed, 12 passed, 1 skipped | 18 passed, 1 skipped"),
        ("1.4.7", WORKS, "4 failed, 15 passed, 1 skipped | 19 passed, 1 skipped"),
        ("1.9.0", WORKS, "4 failed, 45 passed, 1 skipped | 49 passed, 1 skipped"),
    ],
)
def test_model_param_is_proven_on_the_npm_source(
    npm_source: Callable[[str], Path], tmp_path: Path, version: str, native: str, tests: str
) -> None:
    text = verified("agents-js/model-param", npm_source(version), tmp_path)
    assert f"| `stt.test.ts`, new tests included | {tests} |" in text
    assert "| `prettier --check` | clean | clean |" in text
    assert "| `tsc` | clean | clean |" in text
    assert "Stubbed for this run: `@livekit/agents-plugin-silero` and `@livekit/agents-plugins-test`, " in text
    assert f"| api.openai.com {native}" in text
    assert f"| eu.api.openai.com {FIXED}" in text
    assert GATEWAY in text
    assert "- [x] All tests pass" in text
    assert "- [x] **Build passes**" in text


@pytest.mark.node
@pytest.mark.parametrize("version", ["1.4.4", "1.4.6", "1.4.7", "1.9.0"])
def test_ws_errors_is_proven_on_the_npm_source(npm_source: Callable[[str], Path], tmp_path: Path, version: str) -> None:
    text = verified("agents-js/ws-errors", npm_source(version), tmp_path)
    assert "3 failed, " in text
    assert "| `tsc` | clean | clean |" in text
    assert (
        f"| eu.api.openai.com | {REFUSED}; no `APIError`; 0 warnings logged "
        f"| {REFUSED}; `APIError`, not retryable; 1 warning logged |"
    ) in text


@pytest.mark.parametrize(
    ("fix", "package", "version", "tests"),
    [
        ("agents/regional-hosts", "livekit-plugins-openai", "1.6.6", "4 failed, 1 passed | 5 passed"),
        ("agents/regional-hosts", "livekit-plugins-openai", "1.8.9", "4 failed, 1 passed | 5 passed"),
        ("speech-to-speech/regional-hosts", "speech-to-speech", "1.1.0", "5 failed, 1 passed | 6 passed"),
    ],
)
def test_regional_hosts_are_proven_on_the_pypi_source(
    pypi_source: Callable[[str, str], Path], tmp_path: Path, fix: str, package: str, version: str, tests: str
) -> None:
    text = verified(fix, pypi_source(package, version), tmp_path)
    assert f", new tests included | {tests} |" in text
    assert "| `ruff format --check` | clean | clean |" in text
    assert "| `ruff check` | clean | clean |" in text
    assert f"| api.openai.com {WORKS}" in text
    assert f"| eu.api.openai.com {FIXED}" in text
    assert GATEWAY in text
