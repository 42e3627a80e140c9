"""``rtstt-shim doctor``: which environments it looks at, and folders of unknown origin."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rtstt_core.cli import main
from rtstt_core.clients import python_environments
from rtstt_core.clients.python_environments import PythonEnvironment
from rtstt_core.clients.tree import Unread
from rtstt_core.commands import doctor

BETA = 'url = "wss://api.openai.com/v1/realtime"\nheaders = {"A": key, "OpenAI-Beta": "realtime=v1"}\n'


@pytest.fixture(autouse=True)
def nothing_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process's environment has no client in it."""
    for name in ("VIRTUAL_ENV", "NODE_OPTIONS", "RTSTT_SHIM_DISABLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "400")
    own = PythonEnvironment("Python 3.11.7, /usr/bin/python", {}, (Path("/nonexistent"),))
    monkeypatch.setattr(doctor, "own", lambda unread: own)


def environment(folder: Path, **packages: str) -> Path:
    """A virtual environment, as its files are; it has no interpreter."""
    site = folder / "lib" / "python3.12" / "site-packages"
    site.mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.12.4\n")
    for name, version in packages.items():
        package(site, name.replace("_", "-"), version)
    return folder


def package(site: Path, name: str, version: str, mentions: str = "", **files: str) -> None:
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{mentions}")
    for path, text in files.items():
        file = site / name / f"{path}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    (info / "RECORD").write_text("".join(f"{name}/{path}.py,,\n" for path in files))


def examine(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, list[dict[str, Any]]]:
    code = main(["doctor", "--json", *map(str, words)])
    return code, json.loads(capsys.readouterr().out)


def affected(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(one["name"], one["environment"]) for one in found if one["affected"]]


# -- environments


@pytest.mark.parametrize("name", [".venv", "venv", "backend/env"])
def test_an_environment_of_the_project_is_found(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = environment(tmp_path / name, litellm="1.90.0", websockets="15.0.1")
    code, found = examine(capsys, tmp_path)
    assert (code, affected(found)) == (1, [("litellm", f"Python 3.12.4, {folder}/bin/python")])
    assert found[0]["shim"].startswith("nothing: rtstt-shim is not installed there; ")


def test_the_activated_environment_is_examined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = environment(tmp_path / "env", litellm="1.90.0", websockets="15.0.1", rtstt_shim="0.1.0", wrapt="2.4.0")
    monkeypatch.setenv("VIRTUAL_ENV", str(folder))
    (tmp_path / "app").mkdir()
    code, found = examine(capsys, tmp_path / "app")
    assert (code, affected(found)) == (0, [("litellm", f"Python 3.12.4, {folder}/bin/python")])
    assert found[0]["covered"]


def test_the_activated_environment_below_the_folder_is_listed_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", str(environment(tmp_path / ".venv", litellm="1.90.0")))
    assert len(affected(examine(capsys, tmp_path)[1])) == 1


@pytest.mark.parametrize("named", ["", "bin/python"])
def test_an_environment_that_is_named_is_examined_alone(
    named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = environment(tmp_path / "one", litellm="1.90.0")
    environment(tmp_path / "app" / ".venv", litellm="1.79.3")
    _, found = examine(capsys, tmp_path / "app", "--python", folder / named)
    assert [(one["version"], one["environment"]) for one in found] == [
        ("1.90.0", f"Python 3.12.4, {folder}/bin/python")
    ]


def test_an_interpreter_that_is_named_is_asked_where_its_packages_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package(tmp_path / "packages", "litellm", "1.90.0")
    python = tmp_path / "python"
    add = f"import sys; sys.path.append('{tmp_path}/packages')"
    # Its arguments are -I, -c and the question.
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$1" "$2" "{add}; $3"\n')
    python.chmod(0o755)
    (tmp_path / "app").mkdir()
    code, found = examine(capsys, tmp_path / "app", "--python", python)
    assert code == 1
    version = ".".join(map(str, sys.version_info[:3]))
    assert affected(found) == [("litellm", f"Python {version}, {sys.executable}")]


def test_what_is_no_python_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(tmp_path), "--python", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"rtstt-shim: --python {tmp_path}: not a Python; give an interpreter or a virtual environment\n"
    )


def test_no_interpreter_below_the_folder_is_executed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = environment(tmp_path / ".venv", litellm="1.90.0")
    python = folder / "bin" / "python"
    python.write_text(f"#!/bin/sh\ntouch {tmp_path}/executed\n")
    python.chmod(0o755)
    examine(capsys, tmp_path)
    examine(capsys, tmp_path, "--python", folder)
    assert not (tmp_path / "executed").exists()


LOCKS = {
    "uv.lock": '[[package]]\nname = "litellm"\nversion = "1.90.0"\n\n[[package]]\nname = "x"\nversion = "1"\n',
    "poetry.lock": '[[package]]\nname = "litellm"\nversion = "1.90.0"\ndescription = ""\n',
    "requirements.txt": "# pinned\nlitellm[proxy]==1.90.0 ; python_version > '3.9' \\\n    --hash=sha256:00\nx>=2\n",
    "requirements-dev.txt": "LiteLLM == 1.90.0\n",
}


@pytest.mark.parametrize(("name", "text"), LOCKS.items(), ids=list(LOCKS))
def test_a_lock_file_is_read(name: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).write_text(text)
    code, found = examine(capsys, tmp_path)
    assert (code, affected(found)) == (1, [("litellm", str(tmp_path / name))])


def test_a_lock_file_that_says_what_is_installed_adds_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environment(tmp_path / ".venv", litellm="1.90.0", x="1")
    (tmp_path / "uv.lock").write_text(LOCKS["uv.lock"])
    assert len(affected(examine(capsys, tmp_path)[1])) == 1
    (tmp_path / "uv.lock").write_text(LOCKS["uv.lock"].replace("1.90.0", "1.79.3"))
    assert len(affected(examine(capsys, tmp_path)[1])) == 2


def test_the_interpreters_that_were_looked_at_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = environment(tmp_path / ".venv")
    main(["doctor", str(tmp_path)])
    assert capsys.readouterr().out.startswith(
        f"Python 3.11.7, /usr/bin/python\n  no known client\nPython 3.12.4, {folder}/bin/python\n  no known client\n"
    )


def test_the_environment_of_this_process_is_the_interpreters_own() -> None:
    found = python_environments.own(Unread())
    assert found.name.endswith(sys.executable)
    assert {"rtstt-shim", "wrapt", "websockets"} <= set(found.versions)


# -- packages without a row


def test_a_package_without_a_row_is_examined_by_the_source_rules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = environment(tmp_path / ".venv") / "lib" / "python3.12" / "site-packages"
    package(site, "fork", "1.1.0", "Requires-Dist: aiohttp\n", stt=BETA)
    package(
        site, "healthy", "2.0", "Summary: OpenAI\n", stt='url = "wss://api.openai.com/v1/realtime?model=gpt-realtime"'
    )
    package(site, "other", "3.0", "Summary: OpenAI\n", stt="pass")
    package(site, "unrelated", "4.0", stt=BETA)
    code, found = examine(capsys, tmp_path)
    assert code == 1
    assert [(one["name"], one["verdict"], one["why"]) for one in found] == [
        (
            "fork",
            "affected",
            "The header OpenAI-Beta with realtime=v1 has been refused since 2026-05-12 "
            "(beta_api_shape_disabled, close 4000) "
            f"({site}/fork/stt.py:2)",
        ),
        (
            "healthy",
            "unknown",
            "it holds the address of OpenAI's realtime endpoint; the source rules find no fault in its code",
        ),
    ]
    assert found[0]["fix"] == "no release without this is known"


def test_an_npm_package_without_a_row_is_examined_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "node_modules" / "@voice" / "realtime"
    (folder / "dist").mkdir(parents=True)
    (folder / "package.json").write_text('{"version": "0.11.12", "dependencies": {"ws": "^8"}}')
    (folder / "dist" / "index.js").write_text(
        'const ws = new WebSocket("wss://api.openai.com/v1/realtime", { headers: { "OpenAI-Beta": "realtime=v1" } });'
    )
    code, found = examine(capsys, tmp_path)
    assert (code, [(one["name"], one["version"], one["verdict"]) for one in found]) == (
        1,
        [("@voice/realtime", "0.11.12", "affected")],
    )


def test_a_record_that_leads_out_of_the_environment_is_not_followed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = environment(tmp_path / ".venv") / "lib" / "python3.12" / "site-packages"
    (tmp_path / "secret.py").write_text(BETA)
    package(site, "fork", "1.1.0", "Requires-Dist: aiohttp\n")
    (site / "fork-1.1.0.dist-info" / "RECORD").write_text(f"../../../../secret.py,,\n{tmp_path}/secret.py,,\n")
    assert [one["registry"] for one in examine(capsys, tmp_path)[1]] == ["source"]


# -- folders of unknown origin


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """3,000 nested folders: deeper than a path can name, and than pytest can remove."""
    here = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(3000):
            os.mkdir("deep", dir_fd=here)
            below = os.open("deep", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        yield tmp_path
    finally:
        os.close(here)
        subprocess.run(["rm", "-rf", str(tmp_path / "deep")], check=True)


def test_thousands_of_nested_folders_are_no_traceback(deep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (deep / "app.py").write_text(BETA)
    assert main(["doctor", str(deep)]) == 2
    out, err = capsys.readouterr()
    assert f"{deep}/app.py:2: REFUSED" in out
    [line] = err.splitlines()
    assert line.startswith(f"rtstt-shim: cannot read {deep}/deep/deep/")
    assert line.endswith("/deep: File name too long")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_may_not_be_read_is_named_and_the_rest_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    (tmp_path / "app.py").write_text(BETA)
    try:
        assert main(["doctor", str(tmp_path)]) == 2
    finally:
        (tmp_path / "closed").chmod(0o755)
    out, err = capsys.readouterr()
    assert "REFUSED" in out
    assert err == f"rtstt-shim: cannot read {tmp_path}/closed: Permission denied\n"


def test_a_file_that_cannot_be_read_is_named_and_the_rest_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed.py").write_text(BETA)
    (tmp_path / "open.py").write_text(BETA)
    read_text = Path.read_text

    def refused(path: Path, *args: Any, **kwargs: Any) -> str:
        if path.name == "closed.py":
            raise PermissionError(13, "Permission denied")
        return read_text(path, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", refused)
    assert main(["doctor", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert f"{tmp_path}/open.py:2: REFUSED" in out
    assert err == f"rtstt-shim: cannot read {tmp_path}/closed.py: Permission denied\n"


def test_deep_json_is_no_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "node_modules" / "openai"
    folder.mkdir(parents=True)
    (folder / "package.json").write_text('{"version": ' + "[" * 100_000)
    assert main(["doctor", str(tmp_path)]) == 0
    assert "- openai: not affected" in capsys.readouterr().out


@pytest.mark.parametrize("version", ["1.0\x1b[2J\x07", "1.0\u202e\u2028x", "1.0\x9b31m"])
def test_control_characters_never_reach_the_terminal(
    version: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = tmp_path / "a\x1b[31mpp\r\u202e"
    folder = app / "node_modules" / "openai"
    folder.mkdir(parents=True)
    (folder / "package.json").write_text(json.dumps({"version": version}))
    (app / "x\x1b]0;t\x07.py").write_text(BETA)
    environment(app / ".v\x1b[2Jenv", litellm="1.90.0")
    for words in ([], ["--format", "github"], ["--json"], ["--format", "sarif"]):
        main(["doctor", str(tmp_path), *words])
        out = capsys.readouterr().out
        assert not set(out) & set("\x1b\x07\r\x9b\u202e\u2028"), words
    main(["doctor", f"{tmp_path}/\x1b[2J"])
    assert "\x1b" not in capsys.readouterr().err


def test_a_version_of_thousands_of_digits_is_no_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = environment(tmp_path / ".venv", litellm="1.90.0") / "lib" / "python3.12" / "site-packages"
    (site / "litellm-1.90.0.dist-info" / "METADATA").write_text(f"Name: litellm\nVersion: 1.{'9' * 5000}\n")
    assert main(["doctor", str(tmp_path)]) == 0


def test_a_pipe_is_not_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "node_modules" / "openai"
    folder.mkdir(parents=True)
    (folder / "package.json").write_text("{}")
    (folder / "realtime").mkdir()
    for pipe in (folder / "realtime" / "internal-base.js", tmp_path / "app.py", tmp_path / "uv.lock"):
        os.mkfifo(pipe)
    worker = threading.Thread(target=main, args=(["doctor", str(tmp_path)],), daemon=True)
    worker.start()
    worker.join(60)
    assert not worker.is_alive()


def test_links_in_a_circle_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "openai").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "app.py").symlink_to(tmp_path / "app.py")
    (tmp_path / "package.json").write_text("{}")
    assert main(["doctor", str(tmp_path)]) == 0
