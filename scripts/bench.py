#!/usr/bin/env python3
"""Measure what the shim costs and how fast the mock is, side by side with their peers, and print the tables.

  python3 scripts/bench.py                        every figure, beside its target
  python3 scripts/bench.py --quick                fewer rounds
  python3 scripts/bench.py --only mock,sessions   some parts
  python3 scripts/bench.py --only shim --save     replace these parts of scripts/bench_results.json

Two things that are compared are measured in turn in the same run. A figure is the median of its rounds, and ± is half
of the interquartile range. What is measured runs on one core, what drives it on another. A part that fails is named,
and the others go on. Exit code: 0 if everything was measured, whether or not it met its target, 2 for a usage error or
a failed setup.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import _env  # exits on a Python that is too old
from _bench import report, sessions
from _bench.figure import text_table

ERRORS = (_env.SetupError, OSError, subprocess.SubprocessError)
"""What a part raises when a program is missing, ends early or hangs."""


def _parts(text):
    wanted = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [word for word in wanted if word not in report.PARTS]
    if unknown or not wanted:
        raise argparse.ArgumentTypeError(f"unknown part {', '.join(unknown)}; the parts are {', '.join(report.PARTS)}")
    return wanted


def _picture(text):
    if Path(text).suffix not in (".png", ".svg"):
        raise argparse.ArgumentTypeError(f"{text} is neither .png nor .svg")
    return Path(text)


def _arguments():
    parser = _env.parser("bench.py", __doc__)
    names = ", ".join(report.PARTS)
    parser.add_argument("--only", type=_parts, metavar="PARTS", help=f"some of the parts, separated by commas: {names}")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: under two minutes in all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results as JSON")
    parser.add_argument("--plot", type=_picture, metavar="FILE", help="draw lateness over sessions, as .png or .svg")
    parser.add_argument("--save", action="store_true", help="save the results for scripts/BENCHMARKS.md")
    args = parser.parse_args()
    if args.plot and args.only and "sessions" not in args.only:
        parser.error("--plot draws the part sessions: add it to --only")
    return args


def _measure(name, quick, figures, steps):
    """Measure a part, and print each result."""
    for found in report.PARTS[name][1](quick):
        (steps if isinstance(found, sessions.Step) else figures).append(found)
        _env.log(f"         {found if isinstance(found, sessions.Step) else text_table([found]).splitlines()[-1]}")


def main():
    args = _arguments()
    started = time.monotonic()
    where = report.conditions(args.quick)
    parts, tables, measured, failures = {}, [], [], []
    for name in args.only or report.PARTS:
        _env.log(f"[{time.monotonic() - started:4.0f} s] {name}")
        figures, steps = [], []
        try:
            _measure(name, args.quick, figures, steps)
        except ERRORS as error:
            failures.append(f"{name}: {str(error).partition(chr(10))[0]}")
            _env.log(f"         {failures[-1]}")
        parts[name] = report.part(where, figures, steps)
        measured += figures
        tables += [f"\n{report.PARTS[name][0]}", text_table(figures)] if figures else []
    print(f"\nMeasured {report.heading(where)}", *tables, sep="\n")
    if args.json:
        args.json.write_text(report.to_json(parts), encoding="utf-8")
    if args.plot and "steps" in parts["sessions"]:
        report.plot(parts["sessions"], args.plot)
    if args.save and not failures:
        report.save(parts)
    met = [figure.met for figure in measured]
    print(f"\n{met.count(True)} targets met, {met.count(False)} missed, in {time.monotonic() - started:.0f} s")
    if failures:
        saved = "; nothing is saved" if args.save else ""
        raise _env.SetupError(f"not everything was measured{saved}: {'; '.join(failures)}")
    return 0


if __name__ == "__main__":
    with _env.exit_on_error("scripts/bench.py"):
        sys.exit(main())
