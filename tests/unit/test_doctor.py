from __future__ import annotations

import json
from pathlib import Path

import pytest

from rtstt_shim import doctor_python
from rtstt_shim.cli import main
from rtstt_shim.doctor_python import find_python_clients


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What is installed, as the test sets it."""
    versions: dict[str, str] = {}

    def version(name: str) -> str:
        if name not in versions:
            raise doctor_python.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(doctor_python.metadata, "version", version)
    monkeypatch.delenv("NODE_OPTIONS", raising=False)
    return versions


@pytest.mark.parametrize(
    ("name", "version", "affected"),
    [
        ("openai", "1.102.9", False),
        ("openai", "1.103.0", True),
        ("openai", "2.0.1", True),
        ("openai", "2.1.0", False),
        ("openai", "3.54.0", False),
        ("litellm", "1.74.8", False),
        ("litellm", "1.74.9", True),
        ("litellm", "1.105.7", True),
        ("litellm", "1.106.0", False),
        ("livekit-plugins-openai", "1.6.5", False),
        ("livekit-plugins-openai", "1.6.6", True),
        ("livekit-plugins-openai", "1.8.9", True),
        ("pipecat-ai", "1.14.0", False),
        ("openai-agents", "0.24.0", False),
        ("speech-to-speech", "1.1.0", True),
    ],
)
def test_the_versions_that_have_the_bug(installed: dict[str, str], name: str, version: str, affected: bool) -> None:
    installed.update({name: version, "websockets": "15.0.1", "aiohttp": "3.14.5"})
    client = find_python_clients()[0]
    assert (client.name, client.version, client.affected) == (name, version, affected)
    assert client.covered
    assert client.why


def test_what_people_read(installed: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    installed.update({"openai": "2.0.1", "websockets": "15.0.1"})
    assert main(["doctor", str(tmp_path)]) == 0
    assert capsys.readouterr().out == (
        "+ openai 2.0.1       affected, covered: "
        "client.realtime.connect() cannot leave `model` out (openai/openai-python#2652)\n"
        "                     the shim: corrects its URLs, on websockets 15.0.1; "
        "not needed from 2.1.0, with `model` left out\n"
        "- websockets 15.0.1  not affected: sends what the application puts into the URL\n"
    )


@pytest.mark.parametrize(
    ("transport", "shim"),
    [
        ({}, "nothing: websockets, which it connects with, is not installed"),
        ({"websockets": "18.0"}, "nothing: it was not tested with websockets 18.0"),
        ({"websockets": "12.0"}, "nothing: it was not tested with websockets 12.0"),
    ],
)
def test_what_is_affected_and_not_covered_is_said_and_ends_with_1(
    transport: dict[str, str],
    shim: str,
    installed: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    installed.update({"litellm": "1.80.0", **transport})
    assert main(["doctor", "--json", str(tmp_path)]) == 1
    [client, *_] = json.loads(capsys.readouterr().out)
    assert client == {
        "registry": "PyPI",
        "path": None,
        "name": "litellm",
        "version": "1.80.0",
        "affected": True,
        "why": "sends `model` beside intent=transcription to OpenAI",
        "shim": shim,
        "covered": False,
        "not_needed_from": "1.106.0",
    }


def npm_plugin(folder: Path) -> None:
    package = folder / "node_modules" / "@livekit" / "agents-plugin-openai"
    (package / "dist").mkdir(parents=True)
    (package / "package.json").write_text('{"version": "1.4.4"}', encoding="utf-8")
    (package / "dist" / "stt.js").write_text(
        'url.searchParams.set("intent", "transcription");\nurl.searchParams.set("model", model);\n', encoding="utf-8"
    )


def test_npm_packages_stand_beside_the_python_ones(
    installed: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm_plugin(tmp_path)
    assert main(["doctor", str(tmp_path)]) == 1
    assert capsys.readouterr().out.startswith("! @livekit/agents-plugin-openai 1.4.4  AFFECTED: sends `model` beside ")
    monkeypatch.setenv("NODE_OPTIONS", "--import=file:///x/rtstt_shim/node/register.mjs")
    assert main(["doctor", str(tmp_path)]) == 0


def test_nothing_here_is_said(installed: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["doctor", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "no realtime speech-to-text client is installed here\n"


def test_a_folder_that_is_not_there_is_wrong_use(
    installed: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["doctor", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err == (
        f"rtstt-shim: cannot look for npm packages: {tmp_path / 'nowhere'} is not a folder; "
        "give the folder of a project\n"
    )
