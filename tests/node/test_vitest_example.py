"""The vitest example of the documents: run with vitest from npm, and printed there as it is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import _documents

from . import npm, npm_package

EXAMPLE = Path(__file__).parent / "vitest_example"


def test_the_document_and_the_example_are_the_same() -> None:
    """After a change of the example: `python3 scripts/generate.py`."""
    name = "tests/node/vitest_example/transcribe.test.mjs"
    assert _documents.example(name) == (npm.ROOT / name).read_text(encoding="utf-8")


@pytest.mark.node
@pytest.mark.client
@pytest.mark.heavy
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        (("", ""), r"Tests  3 passed \(3\)"),
        (
            ("{ transcripts: ['Hello there.'] }", "{ transcripts: ['Hello there.', {}] }"),
            r"1 of 2 transcripts were not used: 'the default text'\.",
        ),
        (
            ("{ action: 'fail',", "{ action: 'fall',"),
            r"script, line 1: `fault\[1\]` does not fit: unknown action 'fall'",
        ),
    ],
    ids=["as it is", "a script not followed", "a script with a mistake"],
)
def test_the_example_runs(tmp_path: Path, change: tuple[str, str], outcome: str) -> None:
    packages = npm_package.project(vitest="4.1.12", ws="8.18.3")
    (tmp_path / "node_modules").symlink_to(packages / "node_modules")
    for file in EXAMPLE.iterdir():
        shutil.copy(file, tmp_path)
    test = tmp_path / "transcribe.test.mjs"
    text = test.read_text(encoding="utf-8")
    assert change[0] in text
    test.write_text(text.replace(*change), encoding="utf-8")
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "NO_COLOR": "1",
        "CI": "1",
    }
    done = subprocess.run(
        [str(npm.node("system")), str(packages / "node_modules" / "vitest" / "vitest.mjs"), "run"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )
    printed = done.stdout + done.stderr
    assert re.search(outcome, printed), printed
    assert (done.returncode == 0) is (change == ("", "")), printed
