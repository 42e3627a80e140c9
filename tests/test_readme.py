"""The README's tables are the tests' own; `RTSTT_WRITE_README=1 pytest tests/test_readme.py` writes them anew."""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
GLOBAL = "api.openai.com"


def table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def python_clients() -> str:
    """What tests/clients/test_cells.py asserts of each case, in one row what comes out alike."""
    cells: Any = importlib.import_module("_cells")
    seen = [
        (cell.package, cells.COMES_OUT[cell.expected(case)], case.what, cell.version, case.host)
        for cell in cells.CELLS
        for case in cell.cases
        if not cell.missing
    ]
    seen += [
        (cell.package, ("not run", cell.missing), case.what, cell.version, case.host)
        for cell in cells.CELLS
        for case in cell.cases
        if cell.missing
    ]
    for column in (4, 3, 2):  # hosts that come out alike, then versions, then ways to use it
        seen = joined(seen, column)
    package = {cell.package: place for place, cell in enumerate(reversed(cells.CELLS))}
    seen.sort(key=lambda row: -package[row[0]])
    heads = ("client", "used", "versions", "hosts", "without", "with `import rtstt_shim`")
    return table(heads, [(row[0], row[2], row[3], row[4], *row[1]) for row in seen])


def joined(rows: list[tuple[Any, ...]], column: int) -> list[tuple[Any, ...]]:
    """The rows, those that differ in one column only made one."""
    together: dict[tuple[Any, ...], list[str]] = {}
    for row in rows:
        found = together.setdefault((*row[:column], *row[column + 1 :]), [])
        if row[column] not in found:
            found.append(row[column])
    separator = "; " if column == 2 else ", "
    return [(*rest[:column], separator.join(found), *rest[column:]) for rest, found in together.items()]


def node_clients() -> str:
    """What tests/node/test_real_clients.py asserts of each cell, on each Node."""
    sys.path.insert(0, str(ROOT / "tests"))
    try:
        matrix: Any = importlib.import_module("node.test_real_clients")
    finally:
        sys.path.remove(str(ROOT / "tests"))
    nodes = ", ".join(matrix.LIVEKIT_NODES)
    rows = []
    for version, base_url, affected in matrix.LIVEKIT:
        host = base_url.split("/")[2] if base_url else GLOBAL
        without = "0 events, nothing logged" if affected else "transcript"
        rows.append((version, host, nodes, without, "transcript"))
    return table(("`@livekit/agents-plugin-openai`", "host", "Node", "without", "with the preload"), rows)


def managers() -> str:
    """What tests/upstream/test_managers.py asserts of each manager."""
    sys.path.insert(0, str(ROOT / "tests" / "upstream"))
    try:
        cases: Any = importlib.import_module("test_managers")
    finally:
        sys.path.remove(str(ROOT / "tests" / "upstream"))
    rows = []
    for name, case in cases.CASES.items():
        tool = "npm" if name == "patch-package" else name
        version = next(version for package, version in cases.TOOLS.items() if tool in package)
        frozen = case.frozen.split(" --no-audit")[0].split(" --config")[0]
        rows.append((name, version if name != "patch-package" else "-", f"`{case.patch}`", f"`{frozen}`", "transcript"))
    return table(("manager", "run with", "the patch", "installed anew with", "then"), rows)


def mocks() -> str:
    """What scripts/compare_mocks.py measured; tests/clients/test_compare_mocks.py measures it anew."""
    compare: Any = importlib.import_module("compare_mocks")
    heads, *rows = compare.table(json.loads(compare.DATA.read_text(encoding="utf-8")))
    return table(
        heads, [(name, *(f"`{cell}`" if cell != "the same" else cell for cell in cells)) for name, *cells in rows]
    )


def speed() -> str:
    """What `python3 scripts/bench.py --save` measured last."""
    report: Any = importlib.import_module("_bench.report")
    block: str = report.Results.load().block()
    return block


BLOCKS = {
    "python-clients": python_clients,
    "node-clients": node_clients,
    "managers": managers,
    "mocks": mocks,
    "speed": speed,
}
BLOCK = re.compile(r"<!-- generated: (?P<name>[a-z-]+) -->\n.*?<!-- end -->", re.DOTALL)


def made_anew(text: str) -> str:
    def block(match: re.Match[str]) -> str:
        return f"<!-- generated: {match['name']} -->\n{BLOCKS[match['name']]()}\n<!-- end -->"

    return BLOCK.sub(block, text)


def test_the_readmes_tables_are_what_the_tests_assert() -> None:
    pytest.importorskip("ast_grep_py")
    text = README.read_text(encoding="utf-8")
    assert {match["name"] for match in BLOCK.finditer(text)} == set(BLOCKS)
    anew = made_anew(text)
    if os.environ.get("RTSTT_WRITE_README"):
        README.write_text(anew, encoding="utf-8")
    else:
        assert text == anew


def test_the_picture_is_of_the_run_that_the_table_is_of() -> None:
    report: Any = importlib.import_module("_bench.report")
    results = report.Results.load()
    assert f"Generated by scripts/bench.py, {results.stamp}" in report.PICTURE.read_text(encoding="utf-8")


def commands() -> Iterator[str]:
    for block in re.findall(
        r"(?:^    .*\n)+|```sh\n.*?```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    ):
        yield from re.findall(r"(?:^|\s)rtstt-shim ([a-z-]+)", block)


def test_every_command_in_the_readme_exists() -> None:
    from rtstt_core.cli import COMMANDS

    assert set(commands()) <= set(COMMANDS)
    assert set(commands())
