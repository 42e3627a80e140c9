"""A wrapt that cannot be used: the application runs, and one sentence says why the shim does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import rtstt_shim
rtstt_shim.install()
import websockets.client
rtstt_shim.uninstall()
print(rtstt_shim.status().reason)
print(rtstt_shim.fix_url("wss://api.openai.com/v1/realtime?intent=transcription&model=x").url)
"""
NEEDED = "wrapt 1.16 or newer is needed, and "
FIX = " (pip install 'wrapt>=1.16,<3')"


def run(python: str | Path, *path: Path) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    return subprocess.run(
        [python, "-W", "error", "-c", PROGRAM], env=environ, capture_output=True, text=True, timeout=100
    )


def expect(done: subprocess.CompletedProcess[str], lacking: str) -> None:
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"rtstt_shim: is not active; the application is unaffected: {NEEDED}{lacking}{FIX}\n"
    assert done.stdout.splitlines() == [
        f"{NEEDED}{lacking}{FIX}",
        "wss://api.openai.com/v1/realtime?intent=transcription",
    ]


@pytest.mark.parametrize(
    ("text", "lacking"),
    [
        ("__version__ = '1.9.0'\nFunctionWrapper = wrap_object = None\n", "this is 1.9.0"),
        ("", "this is another"),
        (
            "raise ImportError('libwrapt.so: wrong ELF class')",
            "it cannot be imported: ImportError: libwrapt.so: wrong ELF class",
        ),
        ("1/0", "it cannot be imported: ZeroDivisionError: division by zero"),
    ],
    ids=["too old", "not wrapt", "cannot be loaded", "broken"],
)
def test_importing_never_raises_and_one_sentence_says_why(text: str, lacking: str, tmp_path: Path) -> None:
    (tmp_path / "wrapt.py").write_text(text)
    expect(run(sys.executable, tmp_path), lacking)


def test_the_console_command_works_without_it(tmp_path: Path) -> None:
    (tmp_path / "wrapt.py").write_text("1/0")
    done = subprocess.run(
        [sys.executable, "-m", "rtstt_core", "node-path"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0
    assert done.stdout.endswith("node\n")
