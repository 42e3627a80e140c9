"""``rtstt-shim doctor``: the verdict on Python clients, and what people and programs read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from rtstt_core.cli import main
from rtstt_core.clients.python_environments import PythonEnvironment
from rtstt_core.clients.python_installed import find_python_clients
from rtstt_core.clients.python_table import PYTHON_CLIENTS
from rtstt_core.clients.results import Client
from rtstt_core.commands import doctor

PYTHON = "Python 3.11.7, /usr/bin/python"
SHIM = {"rtstt-shim": "0.1.0", "wrapt": "2.4.0"}


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VIRTUAL_ENV", "NODE_OPTIONS", "RTSTT_SHIM_DISABLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What is installed in this process's environment, as the test sets it."""
    versions = dict(SHIM)
    # The folder makes it an environment; nothing is in it.
    environment = PythonEnvironment(PYTHON, versions, (Path("/nonexistent"),))
    monkeypatch.setattr(doctor, "own", lambda unread: environment)
    return versions


def client(name: str, version: str, **others: str) -> Client:
    """What the doctor finds of one client, where a tested version of each transport is installed."""
    transports = {"websockets": "15.0.1", "aiohttp": "3.14.5", "websocket-client": "1.8.0"}
    versions = {**SHIM, **transports, name: version, **others}
    return find_python_clients(PythonEnvironment(PYTHON, versions))[0]


def read(capsys: pytest.CaptureFixture[str]) -> str:
    """What was printed, each run of white space as one space."""
    return " ".join(capsys.readouterr().out.split())


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
        ("livekit-plugins-openai", "1.3.7", False),
        ("livekit-plugins-openai", "1.6.5", False),
        ("livekit-plugins-openai", "1.6.6", True),
        ("livekit-plugins-openai", "1.8.9", True),
        ("livekit-plugins-openai", "1.6.6.dev1", True),
        ("pipecat-ai", "1.14.0", False),
        ("openai-agents", "0.24.0", False),
        ("speech-to-speech", "1.0.0", True),
        ("speech-to-speech", "1.1.0", True),
    ],
)
def test_the_versions_that_have_the_bug(name: str, version: str, affected: bool) -> None:
    found = client(name, version)
    assert (found.name, found.version, found.verdict == "affected") == (name, version, affected)
    assert found.covered
    assert found.why


@pytest.mark.parametrize(
    ("name", "version", "fixed_in"),
    [
        ("litellm", "1.74.9", "1.106.0"),
        ("litellm", "1.75.7", "1.106.0"),
        ("litellm", "1.79.3", "1.106.0"),
        ("litellm", "1.84.10", "1.106.0"),
        ("livekit-plugins-openai", "0.12.0", "1.3.7"),
        ("livekit-plugins-openai", "1.3.3", "1.3.7"),
        ("livekit-plugins-openai", "1.3.6", "1.3.7"),
        ("openai-agents", "0.2.11", "0.3.0"),
        ("transcriber-sh", "0.1.2", None),
        ("liveai", "1.1.0", None),
        ("openai-realtime-client", "0.1.0", None),
        ("llama-index-voice-agents-openai", "0.4.0", None),
    ],
)
def test_a_client_that_sends_the_beta_header_cannot_be_covered(name: str, version: str, fixed_in: str | None) -> None:
    found = client(name, version)
    assert (found.verdict, found.covered, found.not_needed_from) == ("affected", False, fixed_in)
    assert "OpenAI-Beta: realtime=v1" in found.why
    assert found.fix == (f"upgrade to {fixed_in}" if fixed_in else "no release without this fault is known")


def test_installing_the_shim_is_no_remedy_for_the_beta_header() -> None:
    found = find_python_clients(PythonEnvironment(PYTHON, {"liveai": "1.1.0"}))[0]
    assert found.shim == "warns when a session is refused; it cannot correct a header"


def test_a_client_that_sends_the_beta_header_is_read_about(
    installed: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    installed.update({"litellm": "1.79.3", "websockets": "13.1"})
    assert main(["doctor", str(tmp_path)]) == 1
    assert (
        "! litellm 1.79.3: AFFECTED: sends `model` beside intent=transcription to OpenAI, and sends the header "
        "OpenAI-Beta: realtime=v1, which OpenAI has refused since 2026-05-12 "
        "shim: warns when a session is refused; it cannot correct a header "
        "fix: upgrade to 1.106.0 "
    ) in read(capsys)


@pytest.mark.parametrize(
    ("name", "version"), [("speech-to-speech", "0.9.0"), ("transcriber-sh", "0.1.1"), ("liveai", "1.0.0")]
)
def test_a_version_that_was_not_examined_is_not_known(name: str, version: str) -> None:
    found = client(name, version)
    assert (found.verdict, found.why) == ("unknown", "this version was not examined")


def test_a_version_newer_than_the_newest_examined_says_so() -> None:
    assert client("openai", "99.0").why.endswith("(as of 3.54.0: newer versions were not examined)")
    assert "as of" not in client("openai", "3.54.0").why


def test_a_version_that_upstream_fixed_says_since_when(
    installed: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    installed.update({"litellm": "1.109.1", "websockets": "15.0.1"})
    assert main(["doctor", str(tmp_path)]) == 0
    assert (
        "- litellm 1.109.1: not affected: leaves `model` out for OpenAI's hosts shim: not needed from 1.106.0 "
    ) in read(capsys)


@pytest.mark.parametrize("version", ["1.74.8", "0"])
def test_a_version_older_than_the_bug_gets_no_advice_to_upgrade(version: str) -> None:
    found = client("litellm", version)
    assert (found.verdict, found.fix, found.not_needed_from) == ("not affected", None, None)


def test_a_version_that_is_none_is_taken_for_the_oldest() -> None:
    assert client("openai", "main").verdict == "not affected"


@pytest.mark.parametrize(
    ("package", "version", "host", "given", "refused", "to_gateways"),
    [
        ("openai", "2.0.1", "api.openai.com", False, True, True),
        ("openai", "2.1.0", "api.openai.com", False, False, False),
        ("openai", "2.1.0", "api.openai.com", True, True, True),
        ("livekit-plugins-openai", "1.8.9", "api.openai.com", False, False, True),
        ("livekit-plugins-openai", "1.8.9", "API.openai.com", False, False, True),
        ("livekit-plugins-openai", "1.8.9", "api.openai.com.", False, True, True),
        ("livekit-plugins-openai", "1.8.9", "eu.api.openai.com", False, True, True),
        ("livekit-plugins-openai", "1.6.5", "eu.api.openai.com", True, False, False),
        ("livekit-plugins-openai", "1.3.6", "api.openai.com", False, True, False),
        ("openai", "2.0.1", "gateway.example.com", True, False, True),
        ("litellm", "1.74.9", "api.openai.com", False, True, False),
        ("litellm", "1.84.0", "api.openai.com", False, True, True),
        ("litellm", "1.106.0", "api.openai.com", False, False, True),
    ],
)
def test_the_table_depends_on_the_host(
    package: str, version: str, host: str, given: bool, refused: bool, to_gateways: bool
) -> None:
    known = next(known for known in PYTHON_CLIENTS if known.name == package)
    assert known.at(version).refused_at(host, given) is refused
    assert known.at(version).sends_to_gateways(given) is to_gateways


# -- what "covered" takes


@pytest.mark.parametrize(
    ("change", "shim"),
    [
        ({"websockets": None}, "nothing: websockets, which it connects with, is not installed"),
        ({"websockets": "18.0"}, "nothing: it was not tested with websockets 18.0"),
        ({"websockets": "12.0"}, "nothing: it was not tested with websockets 12.0"),
        ({"wrapt": None}, "nothing: wrapt is not installed; reinstall rtstt-shim"),
        ({"wrapt": "1.15.0"}, "nothing: it needs wrapt {wrapt}, and 1.15.0 is installed"),
        ({"wrapt": "3.0"}, "nothing: it needs wrapt {wrapt}, and 3.0 is installed"),
        (
            {"rtstt-shim": None},
            "nothing: rtstt-shim is not installed there; install it, or start the program with "
            "`rtstt-shim run -- COMMAND`",
        ),
    ],
)
def test_what_is_affected_and_not_covered_is_listed_and_exits_with_1(
    change: dict[str, str | None],
    shim: str,
    installed: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    installed.update({"litellm": "1.90.0", "websockets": "15.0.1"})
    for name, version in change.items():
        if version is None:
            del installed[name]
        else:
            installed[name] = version
    assert main(["doctor", "--json", str(tmp_path)]) == 1
    [found, *_] = json.loads(capsys.readouterr().out)
    needed = "".join(doctor_needs() if "{wrapt}" in shim else "")
    assert found == {
        "registry": "PyPI",
        "name": "litellm",
        "version": "1.90.0",
        "environment": PYTHON,
        "path": None,
        "line": None,
        "verdict": "affected",
        "affected": True,
        "why": "sends `model` beside intent=transcription to OpenAI",
        "shim": shim.format(wrapt=needed),
        "covered": False,
        "fix": "upgrade to 1.106.0",
        "not_needed_from": "1.106.0",
    }


def doctor_needs() -> str:
    from importlib import metadata

    [needed] = [text for text in metadata.requires("rtstt-shim") or [] if text.startswith("wrapt")]
    return needed.removeprefix("wrapt")


def test_nothing_is_covered_while_the_shim_is_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTSTT_SHIM_DISABLE", "1")
    found = client("litellm", "1.90.0")
    assert (found.covered, found.shim) == (False, "nothing: RTSTT_SHIM_DISABLE is set")
    monkeypatch.setenv("RTSTT_SHIM_DISABLE", "off")
    assert client("litellm", "1.90.0").covered


# -- what people read


def test_the_text_output(installed: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    installed.update({"openai": "2.0.1", "websockets": "15.0.1"})
    assert main(["doctor", str(tmp_path)]) == 0
    assert capsys.readouterr().out == (
        "Python 3.11.7, /usr/bin/python\n"
        "  + openai 2.0.1: affected, covered: client.realtime.connect() cannot leave `model` out "
        "(openai/openai-python#2652); client.beta.realtime is refused in every version\n"
        "      shim: corrects its URLs, on websockets 15.0.1\n"
        "      fix: upgrade to 2.1.0, with `model` left out\n"
        "  - websockets 15.0.1: not affected: sends what the application puts into the URL\n"
        f"npm packages of {tmp_path}\n"
        "  no known client\n"
        f"source code of {tmp_path}\n"
        "  nothing that the endpoint refuses was found\n"
    )


@pytest.mark.parametrize("width", ["40", "80", "133"])
def test_lines_fit_the_terminal(
    width: str, installed: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: Any
) -> None:
    installed.update({"openai": "2.0.1", "litellm": "1.79.3", "websockets": "15.0.1"})
    monkeypatch.setenv("COLUMNS", width)
    npm_plugin(tmp_path)
    main(["doctor", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= int(width)
    assert max(map(len, lines)) > int(width) - 15


def test_without_a_terminal_lines_have_80_columns(
    installed: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: Any
) -> None:
    installed.update({"litellm": "1.79.3", "websockets": "15.0.1"})
    monkeypatch.delenv("COLUMNS")
    main(["doctor", str(tmp_path)])
    assert 65 < max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_an_empty_folder_is_reported(
    installed: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["doctor", str(tmp_path)]) == 0
    assert capsys.readouterr().out == (
        f"{PYTHON}\n  no known client\n"
        f"npm packages of {tmp_path}\n  no known client\n"
        f"source code of {tmp_path}\n  nothing that the endpoint refuses was found\n"
    )


def test_a_folder_that_is_not_there_is_a_usage_error(
    installed: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["doctor", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err == (
        f"rtstt-shim: {tmp_path / 'nowhere'} is not a folder; give the folder of a project\n"
    )


def test_without_ast_grep_it_says_what_it_did_not_examine(
    installed: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(module: str, needed_by: str, extra: str) -> None:
        raise doctor.UsageError(f"`{needed_by}` needs ast_grep_py ({extra})")

    monkeypatch.setattr(doctor, "load", load)
    assert main(["doctor", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "source code and packages without a row were not examined: `rtstt-shim doctor` needs ast_grep_py (upstream)"
    )


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
    assert (
        "! @livekit/agents-plugin-openai 1.4.4: AFFECTED: sends `model` beside intent=transcription to every host "
        "(livekit/agents-js#1756) shim: nothing while the preload is not set: start the program with "
        "`rtstt-shim run -- COMMAND` fix: upgrade to 1.4.7, unless a regional host is used; or patch it with "
        "`rtstt-shim patch-npm` "
    ) in read(capsys)
    for preload in ("--import=file:///x/rtstt_core/node/register.mjs", "--require /x/rtstt_core/node/register.cjs"):
        monkeypatch.setenv("NODE_OPTIONS", preload)
        assert main(["doctor", str(tmp_path)]) == 0
        assert "affected, covered" in read(capsys)
    monkeypatch.setenv("RTSTT_SHIM_DISABLE", "1")
    assert main(["doctor", str(tmp_path)]) == 1


# -- what programs read


def test_the_help_names_every_field_of_the_json(
    installed: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    installed.update({"openai": "2.0.1", "websockets": "15.0.1"})
    npm_plugin(tmp_path)
    (tmp_path / "app.py").write_text(SOURCE)
    main(["doctor", "--json", str(tmp_path)])
    found = json.loads(capsys.readouterr().out)
    with pytest.raises(SystemExit):
        main(["doctor", "--help"])
    named = re.findall(r"^  ([a-z_]+)  +\S", capsys.readouterr().out.partition("type:")[2], re.MULTILINE)
    assert {one["registry"] for one in found} == {"PyPI", "npm", "source"}
    for one in found:
        assert sorted(one) == sorted(named)


SOURCE = 'url = "wss://api.openai.com/v1/realtime?intent=transcription&model=whisper-1"\n'


def test_the_source_code_of_an_application_is_read(
    installed: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    installed.update({"websockets": "15.0.1"})
    (tmp_path / "app.py").write_text(f"# comment\n{SOURCE}")
    assert main(["doctor", "--json", str(tmp_path)]) == 1
    found = json.loads(capsys.readouterr().out)[-1]
    assert found == {
        "registry": "source",
        "name": "url-model-beside-intent",
        "version": "",
        "environment": None,
        "path": str(tmp_path / "app.py"),
        "line": 2,
        "verdict": "affected",
        "affected": True,
        "why": "OpenAI refuses `model` beside intent=transcription (invalid_model, close 4000).",
        "shim": "corrects it while it is active",
        "covered": False,
        "fix": "Leave `model` out of the URL, and name the model in session.audio.input.transcription.model.",
        "not_needed_from": None,
    }


def test_what_an_application_with_the_shim_sends_is_covered(
    installed: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "voice").mkdir()
    (tmp_path / "voice" / "app.py").write_text(SOURCE)
    (tmp_path / "main.py").write_text("import rtstt_shim\nimport voice.app\n")
    assert main(["doctor", str(tmp_path)]) == 0
    assert "+ " in capsys.readouterr().out
    (tmp_path / "other").mkdir()
    (tmp_path / "main.py").rename(tmp_path / "other" / "main.py")
    assert main(["doctor", str(tmp_path)]) == 1
    (tmp_path / "other" / "main.py").rename(tmp_path / "main.py")
    del installed["wrapt"]
    assert main(["doctor", str(tmp_path)]) == 1


@pytest.mark.parametrize(
    "folder", ["node_modules/x", ".hidden", "build", "dist", "venv", "lib/site-packages", ".cache", "__pycache__"]
)
def test_source_that_is_not_the_applications_is_left_out(
    folder: str, installed: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "app.py").write_text(SOURCE)
    if folder == "venv":
        (tmp_path / folder / "pyvenv.cfg").touch()
    assert main(["doctor", str(tmp_path)]) == 0


def test_annotations_for_github(
    installed: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    installed.update({"litellm": "1.90.0", "websockets": "15.0.1"})
    Path("app.py").write_text(SOURCE)
    assert main(["doctor", "--format", "github"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "::notice title=rtstt-shim%3A client::litellm 1.90.0: sends `model` beside intent=transcription to OpenAI. "
        "The shim: corrects its URLs, on websockets 15.0.1. Fix: upgrade to 1.106.0.",
        "::error title=rtstt-shim%3A url-model-beside-intent,file=app.py,line=1::OpenAI refuses `model` beside "
        "intent=transcription (invalid_model, close 4000). Leave `model` out of the URL, and name the model in "
        "session.audio.input.transcription.model.",
    ]


def test_sarif(
    installed: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    installed.update({"litellm": "1.79.3", "websockets": "13.1"})
    Path("app.py").write_text(SOURCE)
    assert main(["doctor", "--format", "sarif"]) == 1
    [run] = json.loads(capsys.readouterr().out)["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["client", "url-model-beside-intent"]
    client_, finding = run["results"]
    assert (client_["level"], client_["locations"]) == ("error", [])
    assert finding["locations"] == [
        {"physicalLocation": {"artifactLocation": {"uri": "app.py"}, "region": {"startLine": 1}}}
    ]


@pytest.mark.parametrize(
    ("versions", "code", "said"),
    [
        ({"litellm": "1.109.1"}, 1, "rtstt-shim: nothing here needs the shim any more: litellm 1.109.1 is fixed\n"),
        ({"litellm": "1.109.1", "openai": "2.0.1"}, 0, ""),
        ({"litellm": "1.74.8"}, 0, ""),
        ({}, 0, ""),
    ],
)
def test_a_shim_that_can_go_fails_where_that_is_asked_for(
    versions: dict[str, str],
    code: int,
    said: str,
    installed: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    installed.update({"websockets": "15.0.1", **versions})
    assert main(["doctor", str(tmp_path)]) == 0
    capsys.readouterr()
    assert main(["doctor", "--fail-unneeded", str(tmp_path)]) == code
    assert capsys.readouterr().err == said
