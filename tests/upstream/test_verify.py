"""The proof of each pull request, on the real sources: what `rtstt-shim pr --verify` runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from upstream_sources import npm_package

from rtstt_core.cli import main
from rtstt_testkit.upstream.fixes import load_fixes
from rtstt_testkit.upstream.outages import OUTAGES, failures
from rtstt_testkit.upstream.pull_request import PullRequest
from rtstt_testkit.upstream.rules import apply_rules
from rtstt_testkit.upstream.source import open_source
from rtstt_testkit.upstream.verify_npm import workbench

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
        ("1.4.4", FIXED, "5 failed, 12 passed, 1 skipped | 17 passed, 1 skipped"),
        pytest.param(
            "1.4.6", FIXED, "5 failed, 12 passed, 1 skipped | 17 passed, 1 skipped", marks=pytest.mark.release
        ),
        pytest.param(
            "1.4.7", WORKS, "4 failed, 14 passed, 1 skipped | 18 passed, 1 skipped", marks=pytest.mark.release
        ),
        ("1.9.0", WORKS, "4 failed, 44 passed, 1 skipped | 48 passed, 1 skipped"),
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
    assert "- [ ] All tests pass" in text
    assert "- [ ] **Build passes**" in text
    assert "- not run: `lint` of plugins/openai/: the source is a package, not a checkout" in text


@pytest.mark.node
@pytest.mark.parametrize(
    ("fix", "version", "failed", "row"),
    [
        (
            "ws-warning",
            "1.9.0",
            1,
            "| HTTP 401 | `Error`: Unexpected server response, 1 attempt, 0 warnings "
            "| `Error`: Unexpected server response, 1 attempt, 1 warning |",
        ),
        (
            "ws-first-event",
            "1.4.7",
            1,
            "| refused right after the handshake | no error, 1 attempt, 0 warnings "
            "| `Error`: Incorrect API key provided, 1 attempt, 0 warnings |",
        ),
        (
            "ws-close-code",
            "1.5.5",
            1,
            "| closed with 1011 | no error, 1 attempt, 0 warnings "
            "| `Error`: OpenAI realtime transcription closed (code=1011, reason=server_error), 1 attempt, 0 warnings |",
        ),
        (
            "ws-api-errors",
            "1.4.4",
            9,
            "| HTTP 503 | `Error`: Unexpected server response, 1 attempt, 0 warnings "
            "| `APIStatusError`: OpenAI realtime transcription refused with status 503, 2 attempts, 1 warning |",
        ),
    ],
)
def test_each_fix_of_the_error_path_is_proven_on_the_npm_source(
    npm_source: Callable[[str], Path], tmp_path: Path, fix: str, version: str, failed: int, row: str
) -> None:
    text = verified(f"agents-js/{fix}", npm_source(version), tmp_path)
    assert f"new tests included | {failed} failed, " in text
    assert "| `tsc` | clean | clean |" in text
    assert "leaves the rejection of a failed stream unhandled" in text
    assert row in text


@pytest.mark.node
@pytest.mark.parametrize("version", [pytest.param("1.4.4", marks=pytest.mark.release), "1.9.0"])
def test_all_fixes_of_the_plugin_together_survive_every_outage_with_one_warning_a_failure(
    npm_source: Callable[[str], Path], version: str
) -> None:
    fixes = [fix for fix in load_fixes() if fix.name.startswith("agents-js/")]
    last = fixes[-1]
    source = open_source(last, npm_source(version))
    texts = {"source": source.read(last.source) or ""}
    before = {last.source: texts["source"]}
    for fix in fixes:
        rules = [rule for rule in fix.rules if rule.file == "source"]
        texts = dict(apply_rules(rules, texts, {"source": "stt.ts"}).texts)
    after = {**before, last.new_tests or "": ""}  # no test of one fix is run here
    request = PullRequest(last, source, next(iter(last.variants.values())), before, after)
    with workbench(request, print) as bench:
        assert bench.run_outages is not None
        results = bench.run_outages({last.source: texts["source"]})
    runs = {outage.name: run for outage, run in zip(OUTAGES, results, strict=True)}
    assert [name for name, run in runs.items() if run.crash or len(run.warnings) != failures(run)] == []
    assert [name for name, run in runs.items() if not run.errors] == ["aborted while connecting"]
    decided = {name: run.errors[0]["retryable"] for name, run in runs.items() if run.errors}
    final = ["HTTP 401", "HTTP 403", "HTTP 404", "refused right after the handshake"]
    assert [name for name, retryable in decided.items() if not retryable] == final
    assert all(run.attempts in (None, 2 if decided[name] else 1) for name, run in runs.items() if run.errors)


@pytest.mark.node
def test_the_session_of_a_call_is_proven_on_the_npm_source(tmp_path: Path) -> None:
    source = shutil.copytree(npm_package("2026.1.31", "openclaw-cn"), tmp_path / "source")
    text = verified("openclaw-cn/ga-session", source, tmp_path)
    assert "| `stt-openai-realtime.test.ts`, new tests included | 3 failed | 3 passed |" in text
    assert "| `prettier --check` | clean | clean |" in text
    assert "| `tsc` | clean | clean |" in text
    assert f"| api.openai.com | 0 transcripts: `beta_api_shape_disabled`, close 4000 | {WITHOUT} |" in text
    assert "- [ ] `pnpm test`" in text


@pytest.mark.parametrize(
    ("fix", "package", "version", "tests"),
    [
        pytest.param(
            "agents/regional-hosts",
            "livekit-plugins-openai",
            "1.6.6",
            "4 failed, 1 passed | 5 passed",
            marks=pytest.mark.release,
        ),
        ("agents/regional-hosts", "livekit-plugins-openai", "1.8.9", "4 failed, 1 passed | 5 passed"),
        ("speech-to-speech/regional-hosts", "speech-to-speech", "1.1.0", "6 failed, 1 passed | 7 passed"),
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
