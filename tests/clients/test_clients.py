"""Real clients in their versions, at their hosts, without the shim and with it.

The result of each usage has to be what ``rtstt_core.clients.python_table`` implies; ``rtstt-shim doctor`` reads it too.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

_env = pytest.importorskip("_env", reason="needs the project's scripts")
_clients = pytest.importorskip("_clients", reason="needs the project's scripts")
_drive = pytest.importorskip("_drive", reason="needs the project's scripts")

pytestmark = [pytest.mark.client, pytest.mark.timeout(600)]


def failures(
    client: _clients.Client, usage: _clients.Usage, before: _drive.Observed, after: _drive.Observed
) -> Iterator[str]:
    """Yield what differs from the expectation.

    Args:
        client: The client.
        usage: How it was used.
        before: The result without the shim.
        after: The result with it.
    """
    endpoint = "/v1/realtime?"
    expected = client.expected(usage)
    ours = [line for line in after.stderr.splitlines() if "rtstt_shim" in line]
    if "rtstt_shim" in before.stderr:
        yield "the shim logged where it was not imported"
    if not all(url.startswith(f"wss://{usage.host}/") for url in before.urls + after.urls):
        yield "it connected to another host"
    if expected == "fixed" and not (before.urls and all("model=" in url for url in before.urls)):
        yield "without the shim its URL has no `model`"
    if expected in ("fixed", "beta"):
        if any("model=" in url for url in after.urls) or not after.urls:
            yield "with the shim its URL has `model`, or it never connected"
        if not all(url.endswith(f"{endpoint}intent=transcription") for url in after.urls):
            yield "with the shim its URL is not the right one"
    if expected == "fixed":
        if not before.refused:
            yield "without the shim it is not refused"
        if not after.transcribed or after.result["error"] or after.result["raised"] or len(after.urls) != 1:
            yield "with the shim its transcript does not come"
        if ours:
            yield "the shim logged a failure of a session that succeeded"
    elif expected == "beta":
        if not (before.refused_with("beta_api_shape_disabled") and after.refused_with("beta_api_shape_disabled")):
            yield "it is not refused for its beta header"
        if not any(
            re.search(r"OpenAI-Beta: realtime=v1.*(client\.realtime instead|upgrade the client)", line) for line in ours
        ):
            yield "no warning gives the reason and the replacement"
    else:
        # Not how often: some reconnect until they are stopped.
        pairs = (before.urls, after.urls), (before.rejections, after.rejections)
        if before.result != after.result or any(set(one) != set(other) for one, other in pairs):
            yield "the shim changes the result"
        if expected == "no-route":
            if before.transcribed or not before.urls or any("model=" in url for url in before.urls):
                yield "the gateway accepts it, or it sends `model`"
        elif expected == "both":
            if before.transcribed or not before.urls or not all("model=" in url for url in before.urls):
                yield "Azure accepts it, or it sends no `model`"
        elif expected == "unchanged":
            if not before.refused:
                yield "it is not refused"
        elif not (before.transcribed and after.transcribed):
            yield "its transcript does not come"
        elif ours and not after.errors:  # LiteLLM 1.84 asks a transcription session for a response, which is an error
            yield "the shim logged a failure of a session that succeeded"
        if expected == "routed" and not all("model=" in url for url in after.urls):
            yield "`model` was removed for a server that is not OpenAI's"


@pytest.mark.parametrize(
    "client",
    [
        pytest.param(
            client,
            id=f"{client.name} {Path(client.driver).stem}",
            marks=[getattr(pytest.mark, client.tier)] if client.tier != "default" else [],
        )
        for client in _clients.CLIENTS
    ],
)
def test_a_client_in_each_way_it_is_used(client: _clients.Client) -> None:
    if client.interpreter() is None:
        pytest.skip(f"{client.name} needs {client.pythons}, which is not installed")
    wheel = _env.wheel()
    try:
        client.python(wheel)
    except _env.SetupError as error:
        if not client.missing or "not reachable" in str(error):
            raise
        pytest.xfail(f"not installable: {client.missing}")
    before = _drive.run_client(client, client.usages, wheel, shim=False)
    after = _drive.run_client(client, client.usages, wheel, shim=True)
    problems = []
    for usage, *pair in zip(client.usages, before, after, strict=True):
        for failure in failures(client, usage, *pair):
            problems.append(f"{client.name}, {usage.name or usage.arguments} at {usage.host}: {failure}")
            for name, seen in zip(("without", "with"), pair, strict=True):
                problems.append(f"    {name}: {seen._replace(stderr=seen.stderr[-1000:])}")
    assert not problems, "\n".join(problems)


def test_only_versions_that_add_no_behavior_wait_for_a_release() -> None:
    """A result that the table expects of a client is seen with --all too; so are the ends of what the shim patches."""
    behaviors: dict[bool, set[tuple[str, str, str]]] = {False: set(), True: set()}
    for client in _clients.CLIENTS:
        if not client.missing:
            behaviors[client.tier == "release"] |= {
                (client.package, client.driver, client.expected(usage)) for usage in client.usages
            }
    assert behaviors[True] <= behaviors[False]
    for package in ("websockets", "aiohttp", "websocket-client"):
        tiers = [client.tier for client in _clients.CLIENTS if client.package == package]
        assert "release" not in (tiers[0], tiers[-1])


NOTHING: dict[str, object] = {"transcript": None, "events": {"error": 1}, "error": "invalid_model", "raised": None}
TRANSCRIBED: dict[str, object] = {"transcript": _drive.TEXT, "events": {"turn": 1}, "error": None, "raised": None}
BETA_WARNING = "rtstt_shim: ... `OpenAI-Beta: realtime=v1`, ... Stop sending it: ... use client.realtime instead of ..."


class Seen(NamedTuple):
    """A session in short."""

    model: bool
    """Whether its URL had `model`."""
    transcribed: bool
    """Whether its transcript came."""
    code: str = "invalid_model"
    """The code of the refusal if it did not."""
    stderr: str = ""
    elsewhere: str = ""
    """The host, if it is not the usage's."""

    def at(self, host: str) -> _drive.Observed:
        query = "intent=transcription" + ("&model=gpt-4o-mini-transcribe" if self.model else "")
        close = "1000" if self.transcribed else f"4000 invalid_request_error.{self.code}"
        result = TRANSCRIBED if self.transcribed else NOTHING
        return _drive.Observed([f"wss://{self.elsewhere or host}/v1/realtime?{query}"], [close], result, self.stderr)


WITH_MODEL, WITHOUT = Seen(True, True), Seen(False, True)
WITH_MODEL_REFUSED, WITHOUT_REFUSED = Seen(True, False), Seen(False, False)
BETA, BETA_WITHOUT = (Seen(model, False, "beta_api_shape_disabled") for model in (True, False))
FAILED = "rtstt_shim: it failed"

#: By expectation: a client, its usage, the right pair without the shim and with it, and wrong pairs.
JUDGED = {
    "fixed": (
        ("openai", "2.0.1", _clients.at(_clients.API)),
        (WITH_MODEL_REFUSED, WITHOUT),
        [
            (WITH_MODEL_REFUSED, WITH_MODEL_REFUSED),
            (WITH_MODEL, WITHOUT),
            (WITHOUT, WITHOUT),
            (WITH_MODEL_REFUSED, WITHOUT._replace(stderr=FAILED)),
            (WITH_MODEL_REFUSED, WITHOUT._replace(elsewhere=_clients.EU)),
            (WITH_MODEL_REFUSED._replace(stderr=FAILED), WITHOUT),
        ],
    ),
    "works": (
        ("openai", "3.54.0", _clients.at(_clients.API)),
        (WITHOUT, WITHOUT),
        [
            (WITH_MODEL_REFUSED, WITHOUT),
            (WITHOUT_REFUSED, WITHOUT_REFUSED),
            (WITHOUT, WITHOUT._replace(stderr=FAILED)),
        ],
    ),
    "routed": (
        ("openai", "2.0.1", _clients.at(_clients.GATEWAY)),
        (WITH_MODEL, WITH_MODEL),
        [(WITH_MODEL, WITHOUT), (WITHOUT, WITHOUT)],
    ),
    "no-route": (
        ("livekit-plugins-openai", "1.6.5", _clients.at(_clients.GATEWAY)),
        (WITHOUT_REFUSED, WITHOUT_REFUSED),
        [(WITHOUT, WITHOUT), (WITH_MODEL_REFUSED, WITH_MODEL_REFUSED)],
    ),
    "both": (
        ("livekit-plugins-openai", "1.8.9", _clients.at(_clients.AZURE)),
        (WITH_MODEL_REFUSED, WITH_MODEL_REFUSED),
        [(WITH_MODEL, WITH_MODEL), (WITH_MODEL_REFUSED, WITHOUT), (WITHOUT_REFUSED, WITHOUT_REFUSED)],
    ),
    "beta": (
        ("litellm", "1.84.0", _clients.at(_clients.API)),
        (BETA, BETA_WITHOUT._replace(stderr=BETA_WARNING)),
        [(BETA, BETA_WITHOUT), (WITH_MODEL_REFUSED, WITHOUT)],
    ),
    "unchanged": (
        ("pipecat-ai", "1.14.0", _clients.at(_clients.API, passes_model=True, uncertain=True)),
        (WITH_MODEL_REFUSED, WITH_MODEL_REFUSED),
        [(WITH_MODEL_REFUSED, WITHOUT), (WITH_MODEL, WITH_MODEL)],
    ),
}


@pytest.mark.parametrize(
    ("closes", "refused"),
    [
        (["4000 invalid_request_error.invalid_model"], True),
        (["4000 invalid_request_error.invalid_model", "1006"], True),
        (["4000 invalid_request_error.invalid_model", "1000"], False),
        (["4000 invalid_request_error.invalid_model", "4000 invalid_request_error.missing_model"], False),
        (["1006"], False),
        ([], False),
    ],
)
def test_a_client_that_is_stopped_while_it_reconnects_was_refused_before(closes: list[str], refused: bool) -> None:
    assert _drive.Observed([], closes, NOTHING, "").refused is refused


@pytest.mark.parametrize("expected", JUDGED)
def test_a_result_that_is_not_expected_is_a_failure(expected: str) -> None:
    (package, version, usage), right, wrong = JUDGED[expected]
    client = _clients.Client(package, version, "", (usage,), ())

    def found(before: Seen, after: Seen) -> list[str]:
        return list(failures(client, usage, before.at(usage.host), after.at(usage.host)))

    assert client.expected(usage) == expected
    assert found(*right) == []
    for pair in wrong:
        assert found(*pair), pair


@pytest.mark.node
@pytest.mark.skipif(_env.node() is None, reason="needs Node.js 20 or newer with npm")
class TestLiveKitJs:
    """livekit/agents-js#1756 as it was reported: the plugin's 1.4.4, unpatched and with its one line removed."""

    @pytest.fixture
    def project(self) -> Path:
        return _env.npm_project(_clients.LIVEKIT_JS)

    def test_nothing_comes_and_nothing_is_logged(self, project: Path) -> None:
        seen = _drive.run_driver(_drive.livekit_js_command(project, seconds=8), _clients.API)  # none comes
        assert seen.refused, seen
        assert seen.result["events"] == {}
        assert seen.result["stderr"] == ""
        assert seen.result["stdout"] == ""
        for url in seen.urls:
            assert url == f"wss://{_clients.API}/v1/realtime?intent=transcription&model={_clients.MODEL}"

    def test_with_its_one_line_removed_every_event_comes(self, project: Path) -> None:
        with tempfile.TemporaryDirectory(dir=_env.CACHE) as folder:
            repaired = _drive.without_model_line(project, Path(folder) / "project")
            seen = _drive.run_driver(_drive.livekit_js_command(repaired), _clients.API)
        assert seen.transcribed, seen
        assert set(seen.result["events"]) >= {
            "START_OF_SPEECH",
            "INTERIM_TRANSCRIPT",
            "FINAL_TRANSCRIPT",
            "END_OF_SPEECH",
            "RECOGNITION_USAGE",
        }
