from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from rtstt_core.cli import main
from rtstt_core.clients import python_installed
from rtstt_core.clients.python_installed import find_python_clients
from rtstt_core.clients.python_table import PYTHON_CLIENTS


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What is installed, as the test sets it."""
    versions: dict[str, str] = {}

    def version(name: str) -> str:
        if name not in versions:
            raise python_installed.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(python_installed.metadata, "version", version)
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
        ("litellm", "1.85.0", True),
        ("litellm", "1.105.7", True),
        ("litellm", "1.106.0", False),
        ("livekit-plugins-openai", "1.6.5", False),
        ("livekit-plugins-openai", "1.6.6", True),
        ("livekit-plugins-openai", "1.8.9", True),
        ("livekit-plugins-openai", "1.6.6.dev1", True),
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


@pytest.mark.parametrize("version", ["1.75.7", "1.79.3", "1.84.10"])
def test_a_client_that_sends_the_beta_header_cannot_be_covered(
    version: str, installed: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    installed.update({"litellm": version, "websockets": "13.1"})
    assert main(["doctor", str(tmp_path)]) == 1
    assert " ".join(capsys.readouterr().out.split()).startswith(
        f"! litellm {version} AFFECTED: sends `model` beside intent=transcription to OpenAI, and sends the header "
        "OpenAI-Beta: realtime=v1, which OpenAI refuses since 2026-05-12 "
        "the shim: says why a session failed, and cannot save it; upgrade; not needed from 1.106.0 "
    )


def test_an_old_openai_agents_cannot_be_covered_either(installed: dict[str, str]) -> None:
    installed.update({"openai-agents": "0.2.11", "websockets": "15.0.1"})
    client = find_python_clients()[0]
    assert (client.affected, client.covered, client.not_needed_from) == (True, False, "0.3.0")


def test_a_version_that_upstream_fixed_says_since_when(
    installed: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    installed.update({"litellm": "1.109.1", "websockets": "15.0.1"})
    assert main(["doctor", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith(
        "- litellm 1.109.1    not affected: leaves `model` out for OpenAI's hosts\n"
        "                     the shim: not needed from 1.106.0\n"
    )


@pytest.mark.parametrize("version", ["1.74.8", "0"])
def test_a_version_older_than_the_bug_is_not_told_to_upgrade(version: str, installed: dict[str, str]) -> None:
    installed.update({"litellm": version})
    [found] = find_python_clients()
    assert (found.affected, found.not_needed_from) == (False, None)


def test_a_version_that_is_none_is_taken_for_the_oldest(installed: dict[str, str]) -> None:
    installed.update({"openai": "main", "websockets": "15.0.1"})
    assert not find_python_clients()[0].affected


@pytest.mark.parametrize(
    ("package", "version", "host", "told", "refused", "to_gateways"),
    [
        ("openai", "2.0.1", "api.openai.com", False, True, True),
        ("openai", "2.1.0", "api.openai.com", False, False, False),
        ("openai", "2.1.0", "api.openai.com", True, True, True),
        ("livekit-plugins-openai", "1.8.9", "api.openai.com", False, False, True),
        ("livekit-plugins-openai", "1.8.9", "API.openai.com", False, False, True),
        ("livekit-plugins-openai", "1.8.9", "api.openai.com.", False, True, True),
        ("livekit-plugins-openai", "1.8.9", "eu.api.openai.com", False, True, True),
        ("livekit-plugins-openai", "1.6.5", "eu.api.openai.com", True, False, False),
        ("openai", "2.0.1", "gateway.example.com", True, False, True),
        ("litellm", "1.74.9", "api.openai.com", False, True, False),
        ("litellm", "1.84.0", "api.openai.com", False, True, True),
        ("litellm", "1.106.0", "api.openai.com", False, False, True),
    ],
)
def test_what_the_table_says_of_a_host(
    package: str, version: str, host: str, told: bool, refused: bool, to_gateways: bool
) -> None:
    known = next(known for known in PYTHON_CLIENTS if known.name == package)
    assert known.at(version).refused_at(host, told) is refused
    assert known.at(version).sends_to_gateways(told) is to_gateways


def test_the_help_names_every_field_of_the_json(
    installed: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    installed.update({"openai": "2.0.1", "websockets": "15.0.1"})
    npm_plugin(tmp_path)
    main(["doctor", "--json", str(tmp_path)])
    found = json.loads(capsys.readouterr().out)
    with pytest.raises(SystemExit):
        main(["doctor", "--help"])
    named = re.findall(r"^  ([a-z_]+)  +\S", capsys.readouterr().out, re.MULTILINE)
    for client in found:
        assert sorted(client) == sorted(named)


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
    installed.update({"litellm": "1.90.0", **transport})
    assert main(["doctor", "--json", str(tmp_path)]) == 1
    [client, *_] = json.loads(capsys.readouterr().out)
    assert client == {
        "registry": "PyPI",
        "path": None,
        "name": "litellm",
        "version": "1.90.0",
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
    monkeypatch.setenv("NODE_OPTIONS", "--import=file:///x/rtstt_core/node/register.mjs")
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
