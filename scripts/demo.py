#!/usr/bin/env python3
"""The bug on real published clients, and the same clients with the shim.

  python3 scripts/demo.py [--only WORDS]

Each client runs in an environment of its own, unmodified, under OpenAI's own host name, which is routed to the mock.
Without the shim it has to fail as it does at OpenAI; with `import rtstt_shim` (the Node client: the preload) it has
to get its transcript. Exit code 0 if every row says so, 1 if not, 2 if it could not be tried.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import _env

_env.ensure_project()

import _cells  # noqa: E402
from _cells import Cell, Observed  # noqa: E402


class Row(NamedTuple):
    """One line of the table."""

    client: str
    version: str
    url: str
    without: str
    with_: str
    right: bool


def python_rows(cell: Cell) -> list[Row]:
    cases = [case for case in cell.cases if case.demo]
    before, after = (_cells.observe_cell(cell, cases, _env.wheel(), shim=shim) for shim in (False, True))
    names = [f"{cell.package}, {case.what}" if case.what else cell.package for case in cases]
    return [compared(name, cell.version, *pair) for name, *pair in zip(names, before, after, strict=True)]


def node_rows() -> list[Row]:
    """livekit/agents-js#1756 itself."""
    project = _env.npm_project(_cells.LIVEKIT_JS)
    before, after = (_cells.observe(_cells.node_driver(project, shim), _cells.API) for shim in (False, True))
    version = _cells.LIVEKIT_JS["@livekit/agents-plugin-openai"]
    return [compared("@livekit/agents-plugin-openai", version, before, after)]


def compared(client: str, version: str, before: Observed, after: Observed) -> Row:
    return Row(
        client,
        version,
        before.urls[0] if before.urls else "-",
        before.told,
        after.told,
        before.refused and after.transcribed,
    )


def table(rows: list[Row]) -> Iterator[str]:
    heads = ("client", "version", "URL as built", "without the shim", "with the shim")
    widths = [max(len(head), *(len(row[place]) for row in rows)) for place, head in enumerate(heads)]
    yield "  ".join(head.ljust(width) for head, width in zip(heads, widths, strict=True)).rstrip()
    yield "  ".join("-" * width for width in widths)
    for row in rows:
        cells = "  ".join(text.ljust(width) for text, width in zip(row[:5], widths, strict=True)).rstrip()
        yield cells if row.right else f"{cells}   <- not as it should be"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="WORDS", default="", help="only the clients whose name holds these words")
    args = parser.parse_args()

    work: list[tuple[str, Callable[[], list[Row]]]] = [
        (cell.name, lambda cell=cell: python_rows(cell)) for cell in _cells.CELLS if cell.everyday
    ]
    skipped = ""
    if _env.node() is None:
        skipped = "@livekit/agents-plugin-openai 1.4.4 was not run: there is no Node.js 20 or newer on PATH"
    else:
        work.append(("@livekit/agents-plugin-openai 1.4.4", node_rows))
    work = [(name, make) for name, make in work if args.only in name]
    if not work:
        parser.error(f"no client's name holds {args.only!r}")

    rows: list[Row] = []
    with ThreadPoolExecutor(max_workers=2) as pool:
        for place, (name, made) in enumerate(pool.map(lambda item: (item[0], item[1]()), work), 1):
            right = "as it should be" if all(row.right for row in made) else "NOT as it should be"
            print(f"[{place}/{len(work)}] {name}: {right}", file=sys.stderr, flush=True)
            rows += made
    print()
    print("\n".join(table(rows)))
    if skipped:
        print(f"\n{skipped}")
    return 0 if all(row.right for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
