#!/usr/bin/env python3
"""Measure what the shim costs and how fast the mock is, side by side with their peers, and print one table.

  python3 scripts/bench.py                        every figure, beside its target
  python3 scripts/bench.py --quick                fewer rounds
  python3 scripts/bench.py --only mock,sessions   some of it
  python3 scripts/bench.py --save                 the README's table and picture anew

It makes the environments it needs in .cache/ on first use. Two things that are compared are measured in turn, in the
same run; a figure is the median of its rounds, and what stands behind ± is half the interquartile range. What is
measured runs on one core, what drives it on another. A part that cannot be measured is named, and the others go on.
Exit code: 0 measured (a target that was missed is no failure), 2 wrong use or something needed cannot be had.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import _env  # which ends here on a Python too old
from _bench import life, node, receiving, report, sessions, shim, why
from _bench.figure import text_table

SECTIONS = {
    "shim": shim.measure,
    "node": node.measure,
    "mock": receiving.measure,
    "sessions": sessions.measure,
    "life": life.measure,
    "workers": life.workers,
}


CANNOT = (_env.Unavailable, OSError, subprocess.SubprocessError)
"""What a program that is measured may end a part with: it is not there, it went away, it takes for ever."""


def _sections(text):
    wanted = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [word for word in wanted if word not in SECTIONS]
    if unknown or not wanted:
        raise argparse.ArgumentTypeError(f"there is no part {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    return wanted


def _picture(text):
    if Path(text).suffix not in (".png", ".svg"):
        raise argparse.ArgumentTypeError(f"{text} is neither .png nor .svg")
    return Path(text)


def _arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/bench.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ", ".join(SECTIONS)
    parser.add_argument("--only", type=_sections, metavar="WORDS", help=f"these parts, with commas between: {names}")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: under two minutes in all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--plot", type=_picture, metavar="FILE", help="draw lateness over sessions, as .png or .svg")
    parser.add_argument(
        "--save", action="store_true", help="write the results kept here, the README's table and picture"
    )
    args = parser.parse_args()
    if args.save and args.only:
        parser.error("--save needs every figure: leave out --only")
    if args.plot and args.only and "sessions" not in args.only:
        parser.error("--plot draws what the part sessions measures: add it to --only")
    return args


def _measure(found_in_turn, results):
    """Keep what a part finds, and show it."""
    for found in found_in_turn:
        if isinstance(found, sessions.Step):
            results.steps.append(found)
            _env.say(f"         {found}")
        else:
            results.figures.append(found)
            _env.say("         " + text_table([found]).splitlines()[-1])


def _first_line(problem):
    return str(problem).partition("\n")[0]


def main():
    args = _arguments()
    begun = time.monotonic()
    results = report.Results.begin(args.quick)
    unmeasured = []
    for name in args.only or SECTIONS:
        _env.say(f"[{time.monotonic() - begun:4.0f} s] {name}")
        try:
            _measure(SECTIONS[name](args.quick), results)
        except CANNOT as problem:
            unmeasured.append(f"{name}: {_first_line(problem)}")
            _env.say(f"         {_first_line(problem)}")
    print(f"\n{results.heading()}")
    print(text_table(results.figures))
    try:
        results.reasons = why.reasons(results.figures)
    except CANNOT as problem:
        unmeasured.append(f"why: {_first_line(problem)}")
    for name, reason in results.reasons.items():
        print(f"\n{name.replace('`', '')}: {reason}")
    missed = [figure for figure in results.figures if figure.met is False]
    reached = sum(figure.met is True for figure in results.figures)
    if args.json:
        args.json.write_text(results.to_json(), encoding="utf-8")
    if args.plot:
        report.plot(results, args.plot)
    if args.save and not unmeasured:
        report.save(results)
    print(f"\n{reached} targets met, {len(missed)} missed, in {time.monotonic() - begun:.0f} s")
    if unmeasured:
        kept = "; nothing is saved" if args.save else ""
        raise _env.Unavailable(f"not all was measured{kept}: {'; '.join(unmeasured)}")
    return 0


if __name__ == "__main__":
    with _env.exits("scripts/bench.py"):
        sys.exit(main())
