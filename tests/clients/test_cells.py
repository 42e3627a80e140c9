"""The matrix: real clients in their versions, at their hosts, without the shim and with it.

Each case has to come out as ``rtstt_core.clients.python_table`` says, which is what ``rtstt-shim doctor`` says too.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

_env = pytest.importorskip("_env", reason="needs the project's scripts")
_cells = pytest.importorskip("_cells", reason="needs the project's scripts")

pytestmark = [pytest.mark.client, pytest.mark.timeout(600)]


def failures(cell: _cells.Cell, case: _cells.Case, before: _cells.Observed, after: _cells.Observed) -> Iterator[str]:
    """What is not as it should be in one case.

    Args:
        cell: The client.
        case: How it is used.
        before: What came of it without the shim.
        after: What came of it with it.
    """
    endpoint = "/v1/realtime?"
    expected = cell.expected(case)
    ours = [line for line in after.stderr.splitlines() if "rtstt_shim" in line]
    if "rtstt_shim" in before.stderr:
        yield "the shim spoke where it was not imported"
    if not all(url.startswith(f"wss://{case.host}/") for url in before.urls + after.urls):
        yield "it connected to another host"
    if expected == "affected" and not (before.urls and all("model=" in url for url in before.urls)):
        yield "without the shim its URL holds no `model`"
    if expected in ("affected", "unsaveable"):
        if any("model=" in url for url in after.urls) or not after.urls:
            yield "with the shim its URL holds `model`, or it never connected"
        if not all(url.endswith(f"{endpoint}intent=transcription") for url in after.urls):
            yield "with the shim its URL is not the right one"
    if expected == "affected":
        if not before.refused:
            yield "without the shim it is not refused"
        if not after.transcribed or after.said["error"] or after.said["raised"] or len(after.urls) != 1:
            yield "with the shim its transcript does not come"
        if ours:
            yield "the shim spoke of a session that went well"
    elif expected == "unsaveable":
        if not (before.refused_with("beta_api_shape_disabled") and after.refused_with("beta_api_shape_disabled")):
            yield "it is not refused for its beta header"
        if not any(
            re.search(r"OpenAI-Beta: realtime=v1.*(client\.realtime instead|upgrade the client)", line) for line in ours
        ):
            yield "no warning says why and what to use instead"
    else:
        # Not how often: some try again until they are stopped.
        pairs = (before.urls, after.urls), (before.rejections, after.rejections)
        if before.said != after.said or any(set(one) != set(other) for one, other in pairs):
            yield "the shim changes what happens"
        if expected == "unroutable":
            if before.transcribed or not before.urls or any("model=" in url for url in before.urls):
                yield "the gateway takes it, or it sends `model`"
        elif expected == "left":
            if not before.refused:
                yield "it is not refused"
        elif not (before.transcribed and after.transcribed):
            yield "its transcript does not come"
        elif ours and not after.errors:  # LiteLLM 1.84 asks a transcription session for a response, and is told off
            yield "the shim spoke of a session that went well"
        if expected == "routed" and not all("model=" in url for url in after.urls):
            yield "`model` did not stay for a server that is not OpenAI's"


@pytest.mark.parametrize(
    "cell",
    [
        pytest.param(
            cell, id=f"{cell.name} {Path(cell.driver).stem}", marks=[] if cell.everyday else [pytest.mark.heavy]
        )
        for cell in _cells.CELLS
    ],
)
def test_a_client_in_each_way_it_is_used(cell: _cells.Cell) -> None:
    if cell.interpreter() is None:
        pytest.skip(f"{cell.name} wants {cell.pythons}, which is not here")
    wheel = _env.wheel()
    try:
        cell.python(wheel)
    except _env.Unavailable as problem:
        if not cell.missing or "out of reach" in str(problem):
            raise
        pytest.xfail(f"not installable: {cell.missing}")
    before = _cells.observe_cell(cell, cell.cases, wheel, shim=False)
    after = _cells.observe_cell(cell, cell.cases, wheel, shim=True)
    told = []
    for case, *pair in zip(cell.cases, before, after, strict=True):
        for failure in failures(cell, case, *pair):
            told.append(f"{cell.name}, {case.what or case.words} at {case.host}: {failure}")
            for name, seen in zip(("without", "with"), pair, strict=True):
                told.append(f"    {name}: {seen._replace(stderr=seen.stderr[-1000:])}")
    assert not told, "\n".join(told)


NOTHING: dict[str, object] = {"transcript": None, "events": {"error": 1}, "error": "invalid_model", "raised": None}
HEARD: dict[str, object] = {"transcript": _cells.TEXT, "events": {"turn": 1}, "error": None, "raised": None}
BETA_WARNING = "rtstt_shim: ... `OpenAI-Beta: realtime=v1`, ... Stop sending it: ... use client.realtime instead of ..."


class Seen(NamedTuple):
    """What came of a session, in short."""

    model: bool
    """Whether its URL held `model`."""
    heard: bool
    """Whether its transcript came."""
    code: str = "invalid_model"
    """What it was refused for if it did not."""
    stderr: str = ""
    elsewhere: str = ""
    """The host, if it is not the case's."""

    def at(self, host: str) -> _cells.Observed:
        query = "intent=transcription" + ("&model=gpt-4o-mini-transcribe" if self.model else "")
        close = "1000" if self.heard else f"4000 invalid_request_error.{self.code}"
        said = HEARD if self.heard else NOTHING
        return _cells.Observed([f"wss://{self.elsewhere or host}/v1/realtime?{query}"], [close], said, self.stderr)


WITH_MODEL, WITHOUT = Seen(True, True), Seen(False, True)
WITH_MODEL_REFUSED, WITHOUT_REFUSED = Seen(True, False), Seen(False, False)
BETA, BETA_WITHOUT = (Seen(model, False, "beta_api_shape_disabled") for model in (True, False))
FAILED = "rtstt_shim: it failed"

#: By what is expected: a client, how it is used, what is right without the shim and with it, and what is wrong.
JUDGED = {
    "affected": (
        ("openai", "2.0.1", _cells.at(_cells.API)),
        (WITH_MODEL_REFUSED, WITHOUT),
        [
            (WITH_MODEL_REFUSED, WITH_MODEL_REFUSED),
            (WITH_MODEL, WITHOUT),
            (WITHOUT, WITHOUT),
            (WITH_MODEL_REFUSED, WITHOUT._replace(stderr=FAILED)),
            (WITH_MODEL_REFUSED, WITHOUT._replace(elsewhere=_cells.EU)),
            (WITH_MODEL_REFUSED._replace(stderr=FAILED), WITHOUT),
        ],
    ),
    "clean": (
        ("openai", "3.54.0", _cells.at(_cells.API)),
        (WITHOUT, WITHOUT),
        [
            (WITH_MODEL_REFUSED, WITHOUT),
            (WITHOUT_REFUSED, WITHOUT_REFUSED),
            (WITHOUT, WITHOUT._replace(stderr=FAILED)),
        ],
    ),
    "routed": (
        ("openai", "2.0.1", _cells.at(_cells.GATEWAY)),
        (WITH_MODEL, WITH_MODEL),
        [(WITH_MODEL, WITHOUT), (WITHOUT, WITHOUT)],
    ),
    "unroutable": (
        ("livekit-plugins-openai", "1.6.5", _cells.at(_cells.GATEWAY)),
        (WITHOUT_REFUSED, WITHOUT_REFUSED),
        [(WITHOUT, WITHOUT), (WITH_MODEL_REFUSED, WITH_MODEL_REFUSED)],
    ),
    "unsaveable": (
        ("litellm", "1.84.0", _cells.at(_cells.API)),
        (BETA, BETA_WITHOUT._replace(stderr=BETA_WARNING)),
        [(BETA, BETA_WITHOUT), (WITH_MODEL_REFUSED, WITHOUT)],
    ),
    "left": (
        ("pipecat-ai", "1.14.0", _cells.at(_cells.API, told=True, left=True)),
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
def test_a_client_that_is_stopped_while_it_connects_again_was_refused_before(closes: list[str], refused: bool) -> None:
    assert _cells.Observed([], closes, NOTHING, "").refused is refused


@pytest.mark.parametrize("expected", JUDGED)
def test_what_comes_out_otherwise_is_told(expected: str) -> None:
    (package, version, case), right, wrong = JUDGED[expected]
    cell = _cells.Cell(package, version, "", (case,), ())

    def told(before: Seen, after: Seen) -> list[str]:
        return list(failures(cell, case, before.at(case.host), after.at(case.host)))

    assert cell.expected(case) == expected
    assert told(*right) == []
    for pair in wrong:
        assert told(*pair), pair


@pytest.mark.node
@pytest.mark.skipif(_env.node() is None, reason="needs Node.js 20 or newer with npm")
class TestLiveKitJs:
    """livekit/agents-js#1756 as it was reported: the plugin's 1.4.4, unpatched and with its one line removed."""

    @pytest.fixture
    def project(self) -> Path:
        return _env.npm_project(_cells.LIVEKIT_JS)

    def test_nothing_comes_and_nothing_is_logged(self, project: Path) -> None:
        seen = _cells.observe(_cells.node_driver(project), _cells.API)
        assert seen.refused, seen
        assert seen.said["events"] == {}
        assert seen.said["stderr"] == ""
        assert seen.said["stdout"] == ""
        for url in seen.urls:
            assert url == f"wss://{_cells.API}/v1/realtime?intent=transcription&model={_cells.MODEL}"

    def test_with_its_one_line_removed_every_event_comes(self, project: Path) -> None:
        with tempfile.TemporaryDirectory(dir=_env.CACHE) as folder:
            repaired = _cells.repaired(project, Path(folder) / "project")
            seen = _cells.observe(_cells.node_driver(repaired), _cells.API)
        assert seen.transcribed, seen
        assert set(seen.said["events"]) >= {
            "START_OF_SPEECH",
            "INTERIM_TRANSCRIPT",
            "FINAL_TRANSCRIPT",
            "END_OF_SPEECH",
            "RECOGNITION_USAGE",
        }
