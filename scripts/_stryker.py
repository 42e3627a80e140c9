"""Mutants of the Node twins, made and run by Stryker, whose operators know regular expressions."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import _env
from _mutations import Mutant

PACKAGES = {"@stryker-mutator/core": "9.6.1"}
TEST = "tests/node/js/pure.test.mjs"


def run(files: Sequence[str], jobs: int) -> tuple[list[list[Mutant]], list[int]]:
    """Return the mutants of each file that survive the vectors, and how many were killed.

    Args:
        files: Modules below the project.
        jobs: How many tests may run at once.

    Raises:
        _env.Unavailable: Stryker cannot be had, or the tests do not pass as it is.
    """
    modules = _env.npm_project(PACKAGES) / "node_modules"
    node = _env.node()
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        for path in {Path(file).parent for file in files}:
            shutil.copytree(_env.ROOT / path, project / path)
        for name in (TEST, "tests/vectors", "shim/rtstt_shim/diagnosis.json"):
            copy = shutil.copytree if (_env.ROOT / name).is_dir() else shutil.copy
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            copy(_env.ROOT / name, project / name)
        settings = {
            "testRunner": "command",
            "commandRunner": {"command": f'"{node.executable}" {TEST}'},
            "mutate": list(files),
            "reporters": ["json"],
            "jsonReporter": {"fileName": "mutation.json"},
            "concurrency": jobs,
            "timeoutMS": 10000,
            "plugins": [],
            "symlinkNodeModules": False,
        }
        (project / "package.json").write_text('{"private": true}', encoding="utf-8")
        (project / "stryker.config.json").write_text(json.dumps(settings), encoding="utf-8")
        command = [node.executable, str(modules / "@stryker-mutator" / "core" / "bin" / "stryker.js"), "run"]
        done = subprocess.run(
            command, cwd=project, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        report = project / "mutation.json"
        if done.returncode or not report.exists():
            _env.say(done.stdout[-3000:])
            raise _env.Unavailable("Stryker did not get as far as a report; what it said stands above")
        found = json.loads(report.read_text(encoding="utf-8"))["files"]
    return [_survivors(file, found[file]) for file in files], [_killed(found[file]) for file in files]


def _killed(report: dict) -> int:
    return sum(mutant["status"] in ("Killed", "Timeout") for mutant in report["mutants"])


def _survivors(file: str, report: dict) -> list[Mutant]:
    lines = report["source"].splitlines()
    survivors = []
    for mutant in report["mutants"]:
        if mutant["status"] not in ("Survived", "NoCoverage"):
            continue
        start, end = mutant["location"]["start"], mutant["location"]["end"]
        first, last = start["line"] - 1, end["line"] - 1
        changed = lines[first][: start["column"] - 1] + mutant["replacement"] + lines[last][end["column"] - 1 :]
        was, becomes = (" ".join(line.strip() for line in each) for each in (lines[first : last + 1], [changed]))
        becomes = re.sub(r"\s*\n\s*", " ", becomes)
        survivors.append(Mutant(file, first + 1, _function(lines[: first + 1]), was, becomes, ""))
    return sorted(survivors, key=lambda survivor: survivor.line)


def _function(lines: list[str]) -> str:
    """The function that the last of these lines is in."""
    for line in reversed(lines):
        if line == "}":
            break
        match = re.match(r"function (\w+)|const (\w+) = \(", line)
        if match:
            return match[1] or match[2]
    return "module"
