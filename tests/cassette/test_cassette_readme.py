"""The six lines of the README, each run against the second process."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cassette_app import main as app
from cassettes import KEY

ROOT = Path(__file__).parents[2]


def test_each_line_works(tmp_path: Path, endpoint: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    section = (ROOT / "README.md").read_text("utf-8").split("## Record and replay\n")[1].split("\n## ")[0]
    (block,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    lines = block.splitlines()
    assert len(lines) == 6
    shutil.copy(Path(__file__).with_name("cassette_app.py"), tmp_path / "app.py")
    first = endpoint(transcripts=["Hello from the endpoint."])
    today = endpoint(transcripts=["Hello from the endpoint."], account="no-credit")

    def words(line: str, *more: str) -> list[str]:
        shim, command, *rest = shlex.split(line)
        assert shim == "rtstt-shim"
        python = [sys.executable if word == "python" else word for word in rest]
        return [sys.executable, "-m", "rtstt_core", command, *more, *python]

    def run(line: str, there: Any = None) -> tuple[int, str]:
        more = () if there is None else ("--to", there.url)
        environ = {**os.environ, **({} if there is None else {"SSL_CERT_FILE": str(there.ca)})}
        done = subprocess.run(
            words(line, *more), cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=300
        )
        return done.returncode, done.stdout + done.stderr

    assert run(lines[0], first) == (0, "Hello from the endpoint.\n")
    assert run(lines[1]) == (0, "")
    assert "Hello from the endpoint." in (tmp_path / "talk.html").read_text("utf-8")
    with subprocess.Popen(words(lines[2]), cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        app(KEY, "30", "gpt-4o-transcribe", f"{url}?intent=transcription")
        assert capsys.readouterr().out == "Hello from the endpoint.\n"
        process.terminate()
        process.communicate(timeout=60)
    run(lines[3], today)  # the endpoint refuses it now, and the program fails
    code, printed = run(lines[4])
    assert code == 0
    assert "closed 1013 insufficient_quota.credit_balance_exhausted by the server" in printed
    code, printed = run(lines[5])
    assert code == 1
    assert "session 1, order after the handshake: session.created, session.updated," in printed
    assert "input_audio_transcription.completed before, error now" in printed
