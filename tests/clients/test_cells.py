"""The demo's table, asserted: each real client fails without the shim as it does at OpenAI, and works with it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

_env = pytest.importorskip("_env", reason="needs the project's scripts")
_cells = pytest.importorskip("_cells", reason="needs the project's scripts")

pytestmark = [pytest.mark.client, pytest.mark.timeout(600)]


@pytest.fixture(params=_cells.PYTHON_CELLS, ids=lambda cell: f"{cell.name} {cell.version}")
def cell(request: pytest.FixtureRequest) -> _cells.Cell:
    return request.param


@pytest.fixture
def driver(cell: _cells.Cell) -> list[str | Path]:
    python = _env.environment(cell.requirements, wheel=_env.wheel())
    return [python, _cells.DRIVERS / cell.driver[0], *cell.driver[1:]]


def test_without_the_shim_it_is_refused_and_gets_no_transcript(cell: _cells.Cell, driver: list[str | Path]) -> None:
    seen = _cells.observe(driver, cell.host)
    assert seen.urls
    for url in seen.urls:
        assert url.startswith(f"wss://{cell.host}/v1/realtime?")
        assert "intent=transcription" in url
        assert f"model={_cells.MODEL}" in url
    assert seen.refused, seen
    assert seen.said["error"] == "invalid_model"


def test_with_the_shim_its_transcript_comes(cell: _cells.Cell, driver: list[str | Path]) -> None:
    seen = _cells.observe([*driver, "--shim"], cell.host)
    assert seen.urls == [f"wss://{cell.host}/v1/realtime?intent=transcription"]
    assert seen.transcribed, seen
    assert seen.said["error"] is None
    assert seen.said["raised"] is None
    assert seen.stderr == ""


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
