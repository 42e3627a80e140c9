"""The work of ``rtstt-shim exam``."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

# The audio ledger needs it: without it, nothing is run.
import numpy as np  # noqa: F401

from rtstt_core.commands.activation import NODE_SHIM, activate_in_node, activate_in_python
from rtstt_core.errors import UsageError
from rtstt_testkit.commands.route import NODE_PRELOAD
from rtstt_testkit.exam.examiner import Examinee, Result, examine_all
from rtstt_testkit.exam.program import CannotStart
from rtstt_testkit.exam.report import Baseline, document, html, is_known, junit, lines, read_baseline, summary
from rtstt_testkit.exam.scenarios import SCENARIOS, Scenario

__all__ = ["run"]

_EXAMPLE = "for example: rtstt-shim exam -- python app.py {wav}"
_MOST_JOBS = 64


def run(args: argparse.Namespace) -> int:
    """Run the exam, print the results, and return the exit code."""
    scenarios = _chosen(args.only)
    if args.list:
        width = max(len(scenario.name) for scenario in SCENARIOS)
        print("\n".join(f"{scenario.name:<{width}}  {scenario.summary}" for scenario in scenarios))
        return 0
    examinee = _examinee(args)
    jobs = min(4 * (os.cpu_count() or 1), 16) if args.jobs is None else args.jobs
    if not 1 <= jobs <= _MOST_JOBS:
        raise UsageError(f"--jobs {jobs} is out of range; give a number from 1 to {_MOST_JOBS}")
    baseline = _baseline(args.baseline)
    for file in (args.json, args.junit, args.html):
        if file is not None:
            _write(file, "")  # before the first scenario: an error here loses nothing
    if examinee.records:
        print("The command has no {wav} and there is no --stdin: the program's audio is not compared.", flush=True)
    count = 0

    def show(result: Result) -> None:
        nonlocal count
        count += 1
        print("\n".join(lines(result, count, len(scenarios), baseline)), flush=True)

    try:
        with _interrupted_by_sigterm():
            results = examine_all(examinee, scenarios, jobs, show)
    except CannotStart as error:
        raise UsageError(f"{error}; {_EXAMPLE}") from None
    print(summary(results, baseline))
    if args.json is not None:
        _write(args.json, json.dumps(document(results), indent=1, ensure_ascii=False) + "\n")
    if args.junit is not None:
        _write(args.junit, junit(results, baseline))
    if args.html is not None:
        _write(args.html, html(results, baseline, f"Exam of {shlex.join(examinee.command)}"))
    return int(any(result.verdict == "failed" and not is_known(result, baseline) for result in results))


def _chosen(only: list[str]) -> list[Scenario]:
    names = {scenario.name for scenario in SCENARIOS}
    for name in only:
        if name not in names:
            raise UsageError(f"--only {name}: there is no such scenario; see `rtstt-shim exam --list`")
    return [scenario for scenario in SCENARIOS if not only or scenario.name in only]


def _examinee(args: argparse.Namespace) -> Examinee:
    command: list[str] = args.words[1:] if args.words[:1] == ["--"] else args.words
    if not command or not command[0]:
        raise UsageError(f"there is no COMMAND to examine; {_EXAMPLE}")
    if not 0 <= args.extra_time <= 3600:
        raise UsageError(f"--extra-time {args.extra_time:g} is out of range; give a number of seconds from 0 to 3600")
    try:
        pattern = None if args.transcript is None else re.compile(args.transcript, re.MULTILINE)
    except re.error as error:
        raise UsageError(f"--transcript {args.transcript}: not a regular expression: {error}") from None
    if pattern is not None and pattern.groups > 1:
        raise UsageError(f"--transcript {args.transcript}: it has {pattern.groups} groups; give it one, or none")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    if not args.shim:
        environ["RTSTT_SHIM_DISABLE"] = "1"
    # The routing comes with the shim's bootstrap, whether the shim is active or not.
    activate_in_python(environ, command)
    activate_in_node(environ, command, NODE_SHIM, NODE_PRELOAD)
    return Examinee(
        command,
        environ,
        pattern,
        args.stdin,
        args.keeps_running,
        args.extra_time,
        records=args.stdin is None and not any("{wav}" in word for word in command),
    )


def _baseline(file: Path | None) -> Baseline:
    if file is None:
        return {}
    try:
        return read_baseline(file.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}; choose another --baseline") from None
    except ValueError as error:
        raise UsageError(f"cannot use {file}: {error}; choose another --baseline") from None


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}; choose another file") from None


@contextlib.contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the exam as Ctrl-C does, so that nothing of the program is left running."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
