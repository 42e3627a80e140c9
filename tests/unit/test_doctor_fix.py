"""``rtstt-shim doctor --fix``: what it changes, what it does not, and when it asks."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from rtstt_core.cli import main

BEFORE = """\
import websockets

URL = "wss://api.openai.com/v1/realtime?intent=transcription&model=gpt-4o-transcribe"
HEADERS = {
    "Authorization": f"Bearer {key}",
    "OpenAI-Beta": "realtime=v1",
}
UPDATE = {"type": "transcription_session.update", "session": {}}
"""
AFTER = """\
import websockets

URL = "wss://api.openai.com/v1/realtime?intent=transcription"
HEADERS = {
    "Authorization": f"Bearer {key}",
}
UPDATE = {"type": "transcription_session.update", "session": {}}
"""
LEFT = (
    "left to do: {}:{}: OpenAI no longer accepts the event transcription_session.update. Send session.update with a "
    'session of type "transcription" and its settings under session.audio.input.\n'
)


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
    identity += ["-c", "maintenance.auto=false"]  # which git would run in the background
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An application in git, in the current folder."""
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "stt.py").write_text(BEFORE)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "Start")
    monkeypatch.chdir(folder)
    return folder / "stt.py"


def test_what_is_certain_is_rewritten_and_the_rest_is_listed(app: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--fix", "--yes"]) == 1
    assert app.read_text() == AFTER
    out = capsys.readouterr().out
    assert '-    "OpenAI-Beta": "realtime=v1",\n' in out
    assert '+URL = "wss://api.openai.com/v1/realtime?intent=transcription"\n' in out
    assert out.endswith("wrote stt.py\n" + LEFT.format("stt.py", 7))
    git(app.parent, "commit", "-qam", "Fix")
    assert main(["doctor", "--fix", "--yes"]) == 1
    assert capsys.readouterr().out == LEFT.format("stt.py", 7)


def test_nothing_left_is_exit_code_0(app: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app.write_text(BEFORE.replace("transcription_session.update", "session.update"))
    git(app.parent, "commit", "-qam", "Change")
    assert main(["doctor", "--fix", "--yes"]) == 0
    capsys.readouterr()
    git(app.parent, "commit", "-qam", "Fix")
    assert main(["doctor", "--fix"]) == 0
    assert capsys.readouterr().out == "nothing to fix\n"


@pytest.mark.parametrize(
    ("state", "why"),
    [("untracked", "is not in git"), ("dirty", "has uncommitted changes"), ("link", "is a link")],
)
def test_what_git_could_not_bring_back_is_not_changed(
    state: str, why: str, app: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if state == "untracked":
        git(app.parent, "rm", "-q", "--cached", "stt.py")
        git(app.parent, "commit", "-qm", "Remove")
    elif state == "dirty":
        app.write_text(BEFORE + "\n")
    else:
        app.rename(app.parent / "real.txt")
        app.symlink_to("real.txt")
        git(app.parent, "add", "-A")
        git(app.parent, "commit", "-qm", "Link")
    before = app.read_text()
    assert main(["doctor", "--fix", "--yes"]) == 1
    assert f"not changed: stt.py {why}; commit it first, or add --force\n" in capsys.readouterr().out
    assert app.read_text() == before
    if state != "link":
        assert main(["doctor", "--fix", "--yes", "--force"]) == 1
        assert app.read_text().rstrip() == AFTER.rstrip()


def test_a_folder_outside_git_is_not_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    (tmp_path / "stt.py").write_text(BEFORE)
    assert main(["doctor", "--fix", "--yes", str(tmp_path)]) == 1
    assert (tmp_path / "stt.py").read_text() == BEFORE
    assert f"{tmp_path}/stt.py is not in git;" in capsys.readouterr().out


def test_where_nobody_can_answer_it_asks_for_yes(app: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rtstt_core", "doctor", "--fix"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == "rtstt-shim: doctor --fix asks before it writes, and stdin is not a terminal; add --yes\n"
    assert '-    "OpenAI-Beta": "realtime=v1",\n' in done.stdout
    assert app.read_text() == BEFORE


@pytest.mark.parametrize(("answer", "text"), [(b"y\n", AFTER), (b"n\n", BEFORE), (b"\n", BEFORE)])
def test_a_person_is_asked(answer: bytes, text: str, app: Path) -> None:
    terminal, child = pty.openpty()
    try:
        os.write(terminal, answer)
        words = [sys.executable, "-m", "rtstt_core", "doctor", "--fix"]
        done = subprocess.run(words, stdin=child, capture_output=True, text=True, timeout=60)
    finally:
        os.close(terminal)
        os.close(child)
    assert "change 1 file? [y/N] " in done.stdout
    assert (app.read_text(), done.returncode) == (text, 1)


def test_the_mark_the_line_ends_and_the_mode_of_a_file_are_kept(app: Path) -> None:
    app.write_bytes(b"\xef\xbb\xbf" + BEFORE.replace("\n", "\r\n").encode())
    app.chmod(0o755)
    git(app.parent, "config", "core.autocrlf", "false")
    git(app.parent, "commit", "-qam", "Change")
    main(["doctor", "--fix", "--yes"])
    assert app.read_bytes() == b"\xef\xbb\xbf" + AFTER.replace("\n", "\r\n").encode()
    assert app.stat().st_mode & 0o777 == 0o755


def test_a_repository_cannot_run_programs(app: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git(app.parent, "config", "core.fsmonitor", f"touch {app.parent}/executed; false")
    hook = app.parent / ".git" / "hooks" / "post-index-change"
    hook.write_text(f"#!/bin/sh\ntouch {app.parent}/executed\n")
    hook.chmod(0o755)
    git(app.parent, "config", "filter.evil.clean", f"touch {app.parent}/executed; cat")
    (app.parent / ".gitattributes").write_text("* filter=evil\n")
    os.utime(app)
    main(["doctor", "--fix", "--yes"])
    assert not (app.parent / "executed").exists()


def test_a_condition_is_not_rewritten(app: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app.write_text(
        'API = "api.openai.com/v1/realtime"\nif old:\n    HEADERS = {"A": "b", "OpenAI-Beta": "realtime=v1"}\n'
    )
    git(app.parent, "commit", "-qam", "Change")
    assert main(["doctor", "--fix", "--yes"]) == 0
    assert "OpenAI-Beta" in app.read_text()


def test_control_characters_of_a_source_never_reach_the_terminal(app: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app.write_text(BEFORE.replace("import websockets", "import websockets  # \x1b[2J\u202e\ttab"))
    git(app.parent, "commit", "-qam", "Change")
    main(["doctor", "--fix", "--yes"])
    out = capsys.readouterr().out
    assert not set(out) & set("\x1b\u202e")
    assert r" import websockets  # \x1b[2J\u202e" + "\ttab\n" in out
