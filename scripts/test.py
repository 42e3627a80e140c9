#!/usr/bin/env python3
"""Run every check that a change has to pass: style, types, and the tests on the built wheel.

  python3 scripts/test.py              on this Python, without the slow tests: under 4 minutes
  python3 scripts/test.py --all        what CI runs: also the tests marked `heavy`, coverage, and the unit and mock
                                       tests on every other Python here: under 25 minutes
  python3 scripts/test.py --release    also the tests marked `release`: every version of every client, on every Node
  python3 scripts/test.py -k routing   other arguments go to pytest

It builds what it needs in .cache/ on first use. The last line is the sum: `N passed, N failed, N skipped`.
Exit code: 0 everything passed, 1 something failed, 2 for a usage error or a failed setup.
"""

import collections
import datetime
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple

import _env  # exits on a Python that is too old

PACKAGES = ("rtstt_core", "rtstt_shim", "rtstt_testkit")
COVERAGE = 95
"""The percentage of lines and branches of each package that the tests have to reach."""

MARKERS = {"default": "not heavy and not release", "all": "not release", "release": ""}
"""The tests of each tier, as pytest's -m takes them."""

RECORD = _env.ROOT / "tests" / "release.json"
"""The last complete run of --release; tests/COMPATIBILITY.md is generated from it."""

# One more than there are processors, since many tests wait for a process. Long tests are not to wait at the end.
WORKERS = ["-n", str(min(4, os.cpu_count() or 1) + 1), "--dist", "worksteal"]


class Step(NamedTuple):
    """One row of the summary."""

    name: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    remark: str = ""


class Run:
    """Runs the steps and keeps their results."""

    def __init__(self):
        self.started = time.monotonic()
        self.steps = []

    @property
    def elapsed(self):
        return time.monotonic() - self.started

    def announce(self, name):
        print(f"[{self.elapsed:5.0f} s] {name}", flush=True)

    def remark(self, name, remark):
        """Add a row without a result."""
        self.steps.append(Step(name, remark=remark))

    def check(self, name, command, env=None):
        """Run a command whose exit code is the result."""
        self.announce(name)
        code = subprocess.run(command, cwd=_env.ROOT, env=env).returncode
        self.steps.append(Step(name, int(code == 0), int(code != 0), 0, f"exit code {code}" if code else ""))

    def pytest(self, name, command, env=None):
        """Run pytest and add its counts."""
        self.announce(name)
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder, "junit.xml")
            code = subprocess.run([*command, f"--junitxml={report}"], cwd=_env.ROOT, env=env).returncode
            passed, failed, skipped = _counts(report)
        if code not in (0, 1, 5) or (code == 1 and not failed):
            failed += 1  # pytest itself failed
        remark = "no test was selected" if code == 5 else f"exit code {code}" if code else ""
        self.steps.append(Step(name, passed, failed, skipped, remark))

    def totals(self):
        """Return how many passed, failed and were skipped."""
        return tuple(sum(step[column] for step in self.steps) for column in (1, 2, 3))

    def print_summary(self):
        width = max(len(step.name) for step in self.steps)
        print(f"\n{'':{width}}  passed  failed skipped")
        for name, passed, failed, skipped, remark in self.steps:
            print(f"{name:{width}}  {passed:6}  {failed:6}  {skipped:6}  {remark}".rstrip())
        print("\nin {:.0f} s\n{} passed, {} failed, {} skipped".format(self.elapsed, *self.totals()))


def _counts(report):
    """Return how many tests passed, failed and were skipped, from a JUnit report."""
    if not report.exists():
        return 0, 0, 0
    total = failed = skipped = 0
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):
        total += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    return max(0, total - failed - skipped), failed, skipped


def _print_left_out(python):
    """Print how many tests of each file --all leaves out."""
    command = [python, "-m", "pytest", "--collect-only", "-q", "-n0", "-m", f"not ({MARKERS['all']})"]
    listed = subprocess.run(command, cwd=_env.ROOT, capture_output=True, text=True).stdout
    counts = collections.Counter(re.findall(r"^(tests/\S+?)::", listed, re.MULTILINE))
    print(f"\n{counts.total()} tests are left out; --release runs them:")
    for file, count in sorted(counts.items()):
        print(f"  {count:4}  {file}")


def _arguments():
    parser = _env.parser("test.py", __doc__, allow_abbrev=False)  # other arguments go to pytest
    tier = parser.add_mutually_exclusive_group()
    tier.add_argument("--all", dest="tier", action="store_const", const="all", help="what CI runs")
    tier.add_argument("--release", dest="tier", action="store_const", const="release", help="everything there is")
    parser.set_defaults(tier="default")
    parser.add_argument("--python", metavar="VERSION|PATH", help="the Python to test on (default: this one)")
    return parser.parse_known_args()


def _main_python(run, tool, args, selection, python):
    """Run the tests on the main Python, with coverage if they are all there."""
    marker = ["-m", MARKERS[args.tier]] if MARKERS[args.tier] and "-m" not in selection else []
    command = ["-m", "pytest", *WORKERS, *marker, *selection]
    name = f"tests, Python {python.version}"
    if selection or args.tier == "default":
        run.pytest(name, [tool, *command])
        run.remark("coverage", "not measured: --all does" if not selection else "not measured: a selection of tests")
        return
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "COVERAGE_FILE": str(Path(folder, "coverage"))}
        run.pytest(name, [tool, "-m", "coverage", "run", *command], env)
        subprocess.run([tool, "-m", "coverage", "combine", "--quiet"], cwd=_env.ROOT, env=env)
        for package in PACKAGES:
            report = ["report", f"--include=*/{package}/*", f"--fail-under={COVERAGE}"]
            run.check(f"coverage of {package}", [tool, "-m", "coverage", *report], env)


def _other_pythons(run, wheel, selection, main):
    """Run the unit and mock tests on the other Pythons."""
    others = {minor: python for minor, python in _env.interpreters().items() if minor != main.minor}
    for python in others.values():
        run.announce(f"environment, Python {python.version}")
        tool = _env.environment(python=python, wheel=wheel, extras=["exam", "upstream"], groups=["test"])
        marker = f"{MARKERS['default']} and not client"
        command = [tool, "-m", "pytest", *WORKERS, "-m", marker, "tests/unit", "tests/mock", *selection]
        run.pytest(f"unit and mock tests, Python {python.version}", command)
    for minor in sorted(set(range(_env.OLDEST, _env.NEWEST + 1)) - {main.minor, *others}):
        run.remark(f"unit and mock tests, Python 3.{minor}", "not installed here: not run")


def _record(run):
    """Keep the results of a complete run for tests/COMPATIBILITY.md."""
    record = {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "minutes": round(run.elapsed / 60),
        "steps": run.steps,
    }
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"\nwritten: {RECORD.relative_to(_env.ROOT)}; now run python3 scripts/generate.py")


def main():
    args, selection = _arguments()
    run = Run()
    python = _env.interpreter(args.python)
    run.announce("environment")
    wheel = _env.wheel()
    tool = _env.environment(python=python, wheel=wheel, **_env.CHECKS)

    run.check("ruff check", [tool, "-m", "ruff", "check", "--quiet"])
    run.check("ruff format", [tool, "-m", "ruff", "format", "--check", "--quiet"])
    run.check("mypy --strict", [tool, "-m", "mypy"])
    _main_python(run, tool, args, selection, python)
    if args.tier != "default":
        _other_pythons(run, wheel, selection, python)
    node = _env.node()
    run.remark("Node.js", node.version if node else f"{_env.NODE} or newer is not installed: its tests were skipped")
    if args.tier == "release" and not selection and not run.totals()[1]:
        _record(run)
    if args.tier == "all" and not selection:
        _print_left_out(tool)
    run.print_summary()
    return 1 if run.totals()[1] else 0


if __name__ == "__main__":
    with _env.exit_on_error("scripts/test.py"):
        sys.exit(main())
