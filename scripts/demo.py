#!/usr/bin/env python3
"""Run real published clients without the shim and with it, and print one table.

  python3 scripts/demo.py [--only WORDS]

Each client runs unmodified in an environment of its own, under OpenAI's own host name, which is routed to the mock.
Without the shim it has to fail as it does at OpenAI; with `import rtstt_shim` (the Node client: the preload) it has
to get its transcript. Exit code: 0 if every row is as expected, 1 if not, 2 for a usage error or a failed setup.
"""

from __future__ import annotations

import itertools
import shutil
import string
import sys
import textwrap
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import _env

_env.ensure_installed()

import _clients  # noqa: E402
import _drive  # noqa: E402

LIVEKIT_JS = f"@livekit/agents-plugin-openai {_clients.LIVEKIT_JS['@livekit/agents-plugin-openai']}"
WIDEST = 100
"""Columns of the table at most."""


class Row(NamedTuple):
    """One row of the table."""

    client: str
    url: str
    without: str
    with_: str
    expected: bool


def python_rows(client: _clients.Client) -> list[Row]:
    usages = [usage for usage in client.usages if usage.demo]
    before, after = (_drive.run_client(client, usages, _env.wheel(), shim=shim) for shim in (False, True))
    names = [f"{client.name}, {usage.name}" if usage.name else client.name for usage in usages]
    return [_row(name, *pair) for name, *pair in zip(names, before, after, strict=True)]


def node_rows() -> list[Row]:
    """Run the client of livekit/agents-js#1756, by itself and in a LiveKit job process."""
    project = _env.npm_project(_clients.LIVEKIT_JS)
    rows = []
    for job, used in ((False, ""), (True, ", LiveKit job process")):
        before, after = (
            _drive.run_driver(_drive.livekit_js_command(project, shim, job=job, seconds=seconds), _clients.API)
            for shim, seconds in ((False, 8), (True, 40))  # without the shim no transcript comes
        )
        rows.append(_row(LIVEKIT_JS + used, before, after))
    return rows


def _row(client: str, before: _drive.Observed, after: _drive.Observed) -> Row:
    url = before.urls[0] if before.urls else "-"
    return Row(client, url, before.summary, after.summary, before.refused and after.transcribed)


def table(rows: list[Row], columns: int) -> Iterator[str]:
    """Yield the lines of the table, its cells wrapped to fit the columns, and the URLs below it."""
    urls = list(dict.fromkeys(row.url for row in rows))
    names = dict(zip(urls, string.ascii_letters, strict=False))
    heads = ("client", "URL", "without the shim", "with the shim")
    cells = [
        (row.client, names[row.url], row.without, row.with_ if row.expected else f"{row.with_} <- NOT EXPECTED")
        for row in rows
    ]
    widths = _widths([heads, *cells], columns)
    yield from _lines(heads, widths)
    yield "  ".join("-" * width for width in widths)
    for row in cells:
        yield from _lines(row, widths)
    yield "\nURL as the client built it, without the shim:"
    yield from (f"  {name}  {url}" for url, name in names.items())


def _widths(rows: list[tuple[str, ...]], columns: int) -> list[int]:
    """Return the width of each column; the widest are made narrower until the table fits."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    while sum(widths) + 2 * (len(widths) - 1) > max(columns, 40):
        widths[widths.index(max(widths))] -= 1
    return widths


def _lines(cells: tuple[str, ...], widths: list[int]) -> Iterator[str]:
    """Yield the lines of one row."""
    wrapped = [textwrap.wrap(cell, width) for cell, width in zip(cells, widths, strict=True)]
    for parts in itertools.zip_longest(*wrapped, fillvalue=""):
        yield "  ".join(part.ljust(width) for part, width in zip(parts, widths, strict=True)).rstrip()


def main() -> int:
    parser = _env.parser("demo.py", __doc__)
    parser.add_argument("--only", metavar="WORDS", default="", help="only the clients whose name contains these words")
    args = parser.parse_args()

    work: list[tuple[str, Callable[[], list[Row]]]] = [
        (client.name, lambda client=client: python_rows(client)) for client in _clients.CLIENTS if client.in_demo
    ]
    if _env.node():
        work.append((LIVEKIT_JS, node_rows))
    work = [(name, run) for name, run in work if args.only in name]
    if not work:
        parser.error(f"no client's name contains {args.only!r}")

    rows: list[Row] = []
    with ThreadPoolExecutor(max_workers=2) as pool:
        for place, (name, found) in enumerate(pool.map(lambda item: (item[0], item[1]()), work), 1):
            result = "as expected" if all(row.expected for row in found) else "NOT as expected"
            _env.log(f"[{place}/{len(work)}] {name}: {result}")
            rows += found
    print()
    print("\n".join(table(rows, min(WIDEST, shutil.get_terminal_size((80, 24)).columns))))
    if not _env.node():
        print(f"\n{LIVEKIT_JS} was not run: Node.js {_env.NODE} or newer is not on PATH")
    return 0 if all(row.expected for row in rows) else 1


if __name__ == "__main__":
    with _env.exit_on_error("scripts/demo.py"):
        sys.exit(main())
