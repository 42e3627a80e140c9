#!/usr/bin/env python3
"""Check everything: style, types, the tests on the built wheel, and how much of both packages they reach.

  python3 scripts/test.py              on this Python, without the slow cells
  python3 scripts/test.py --all        with them, and the unit and mock tests on every other Python 3.10-3.14 here
  python3 scripts/test.py -k routing   arguments it does not know go to pytest

It makes what it needs in .cache/ on first use. The last line counts checks and tests: `N passed, N failed, N skipped`.
Exit code: 0 everything passed, 1 something failed, 2 wrong use or something needed cannot be had.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import _env  # which ends here on a Python too old

GATE = 95
"""Per cent of branches and lines of each package that the tests have to reach."""

PACKAGES = ("rtstt_core", "rtstt_shim", "rtstt_testkit")

WORKERS = ["-n", str(min(4, os.cpu_count() or 1)), "--dist", "worksteal"]
"""Most of the time the tests wait for other processes; a minute's test is not to wait for its turn behind another."""


class Run:
    """The steps done so far, and what came of each."""

    def __init__(self):
        self.started = time.monotonic()
        self.rows = []

    def elapsed(self):
        return "%5.0f s" % (time.monotonic() - self.started)

    def announce(self, name):
        print(f"[{self.elapsed()}] {name}", flush=True)

    def note(self, name, said):
        self.rows.append((name, 0, 0, 0, said))

    def check(self, name, command, env=None):
        """Run a command that passes or fails as one."""
        self.announce(name)
        code = subprocess.run(command, cwd=_env.ROOT, env=env).returncode
        self.rows.append((name, int(code == 0), int(code != 0), 0, "" if code == 0 else f"exit code {code}"))

    def tests(self, name, command, env=None):
        """Run pytest, and count what it counted."""
        self.announce(name)
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder, "junit.xml")
            code = subprocess.run([*command, f"--junitxml={report}"], cwd=_env.ROOT, env=env).returncode
            passed, failed, skipped = _count(report)
        if code not in (0, 1, 5) or (code == 1 and not failed):
            failed += 1  # it did not get as far as counting
        nothing = "no test was selected" if code == 5 else ""
        self.rows.append((name, passed, failed, skipped, nothing or (f"exit code {code}" if code else "")))

    def close(self):
        """Show the table and the counts; return the exit code."""
        width = max(len(row[0]) for row in self.rows)
        print(f"\n{'':{width}}  passed  failed skipped")
        for name, passed, failed, skipped, said in self.rows:
            print(f"{name:{width}}  {passed:6}  {failed:6}  {skipped:6}  {said}".rstrip())
        passed, failed, skipped = (sum(row[column] for row in self.rows) for column in (1, 2, 3))
        print(f"\nin {self.elapsed().strip()}\n{passed} passed, {failed} failed, {skipped} skipped")
        return 1 if failed else 0


def _count(report):
    if not report.exists():
        return 0, 0, 0
    total = failed = skipped = 0
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):
        total += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    return max(0, total - failed - skipped), failed, skipped


def _arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/test.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--all", action="store_true", help="the slow cells and the other Pythons too")
    parser.add_argument("--python", metavar="VERSION|PATH", help="the Python to test on (default: this one)")
    return parser.parse_known_args()


def main():
    args, selection = _arguments()
    run = Run()
    python = _env.interpreter(args.python)
    run.announce("environment")
    wheel = _env.wheel()
    tool = str(_env.environment(python=python, wheel=wheel, extras=["upstream"], groups=["test", "lint"]))

    run.check("ruff check", [tool, "-m", "ruff", "check", "--quiet"])
    run.check("ruff format", [tool, "-m", "ruff", "format", "--check", "--quiet"])
    run.check("mypy --strict", [tool, "-m", "mypy"])

    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "COVERAGE_FILE": str(Path(folder, "coverage"))}
        marks = [] if args.all else ["-m", "not heavy"]
        name = f"tests, Python {python.version}"
        run.tests(name, [tool, "-m", "coverage", "run", "-m", "pytest", *WORKERS, *marks, *selection], env)
        if selection:
            run.note("coverage", "not looked at: these are not all the tests")
        else:
            subprocess.run([tool, "-m", "coverage", "combine", "--quiet"], cwd=_env.ROOT, env=env)
            for package in PACKAGES:
                report = ["report", f"--include=*/{package}/*", f"--fail-under={GATE}"]
                run.check(f"coverage of {package}", [tool, "-m", "coverage", *report], env)

    if args.all:
        others = [other for minor, other in _env.interpreters().items() if minor != python.minor]
        for other in others:
            run.announce(f"environment, Python {other.version}")
            tool = str(_env.environment(python=other, wheel=wheel, extras=["upstream"], groups=["test"]))
            suites = ["tests/unit", "tests/mock"]
            command = [tool, "-m", "pytest", *WORKERS, "-m", "not heavy and not client", *suites, *selection]
            run.tests(f"unit and mock tests, Python {other.version}", command)
        missing = set(range(_env.OLDEST, _env.NEWEST + 1)) - {python.minor, *(other.minor for other in others)}
        for minor in sorted(missing):
            run.note(f"unit and mock tests, Python 3.{minor}", "not installed here: not run")

    node = _env.node()
    said = f"{node.version}" if node else f"{_env.NODE} or newer is not installed: what needs it was skipped"
    run.note("Node.js", said)
    return run.close()


if __name__ == "__main__":
    with _env.exits("scripts/test.py"):
        sys.exit(main())
