#!/usr/bin/env python3
"""Write the generated blocks of the documents: the tables of clients, package managers and mocks, and the figures.

  python3 scripts/generate.py           write them
  python3 scripts/generate.py --check   name the documents that are not up to date, and write nothing

The tables are read from what the tests assert and from the last saved measurements; nothing is measured here.
Exit code: 0 everything is up to date or written, 1 --check found something, 2 for a usage error or a failed setup.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

import _env

if __name__ == "__main__":
    _env.ensure_installed(("rtstt_testkit", "websockets", "trustme", "pytest", "ast_grep_py"), **_env.CHECKS)

import _clients
import _documents
import _exam_report
import compare_mocks
from _bench import report
from _documents import table

RECORD = _env.ROOT / "tests" / "release.json"


def merged(rows: list[tuple[Any, ...]], column: int) -> list[tuple[Any, ...]]:
    """Return the rows, those that differ in one column only merged into one."""
    together: dict[tuple[Any, ...], list[str]] = {}
    for row in rows:
        values = together.setdefault((*row[:column], *row[column + 1 :]), [])
        if row[column] not in values:
            values.append(row[column])
    separator = "; " if column == 2 else ", "
    return [(*rest[:column], separator.join(values), *rest[column:]) for rest, values in together.items()]


def python_clients() -> str:
    """The expectations of tests/clients/test_clients.py, equal rows merged."""
    rows = []
    for client in sorted(_clients.CLIENTS, key=lambda client: bool(client.missing)):
        for usage in client.usages:
            result = ("not run", client.missing) if client.missing else _clients.RESULTS[client.expected(usage)]
            rows.append((client.package, result, usage.name, client.version, usage.host))
    for column in (4, 3, 2):  # hosts with the same result, then versions, then ways to use it
        rows = merged(rows, column)
    order = list(dict.fromkeys(client.package for client in _clients.CLIENTS))
    rows.sort(key=lambda row: order.index(row[0]))
    heads = ("client", "used", "versions", "hosts", "without", "with `import rtstt_shim`")
    return table(heads, [(row[0], row[2], row[3], row[4], *row[1]) for row in rows])


def node_clients() -> str:
    """The expectations of tests/node/test_real_clients.py and test_livekit_jobs.py."""
    tests: Any = _test_module("node.test_real_clients")
    jobs: Any = _test_module("node.test_livekit_jobs")
    runs = [(version, "", base_url, affected) for version, base_url, affected in tests.LIVEKIT]
    runs += [(version, "in a job process", base_url, True) for version, base_url in jobs.JOBS]
    rows = []
    for version, used, base_url, affected in runs:
        host = base_url.split("/")[2] if base_url else _clients.API
        without = "0 events, nothing logged" if affected else "transcript"
        rows.append((version, used, host, ", ".join(tests.LIVEKIT_NODES), without, "transcript"))
    return table(("`@livekit/agents-plugin-openai`", "used", "host", "Node.js", "without", "with the preload"), rows)


def node_starts() -> str:
    """The ways in which Node.js programs start, and the results that tests/node/test_starts.py asserts."""
    tests: Any = _test_module("node.test_starts")
    rows = []
    for start in tests.STARTS:
        nodes = ", ".join(sorted(start.nodes)).replace("system", "the system's")
        rows.append((start.way, nodes, " or ".join(start.by), "corrected"))
    rows += [(way, "", "", result) for way, result in tests.ELSEWHERE]
    return table(("started with", "Node.js", "the preload in", "URL"), rows)


def managers() -> str:
    """The expectations of tests/upstream/test_managers.py."""
    tests: Any = _test_module("test_managers", "upstream")
    rows = []
    for name, case in tests.CASES.items():
        version = next((v for package, v in tests.TOOLS.items() if name in package), "-")
        frozen = case.frozen.split(" --no-audit")[0].split(" --config")[0]
        rows.append((name, version, f"`{case.patch}`", f"`{frozen}`", "transcript"))
    return table(("manager", "version", "the patch", "installed again with", "result"), rows)


def _test_module(name: str, folder: str = "") -> Any:
    path = str(_env.ROOT / "tests" / folder)
    sys.path.insert(0, path)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(path)


def mocks() -> str:
    """The last measurement of scripts/compare_mocks.py."""
    data = json.loads(compare_mocks.DATA.read_text(encoding="utf-8"))
    heads, *rows = compare_mocks.table(data)
    marked = [(name, *(cell if cell == "the same" else f"`{cell}`" for cell in cells)) for name, *cells in rows]
    versions = ", ".join(f"{name} {version}" for name, version in data["versions"].items() if version)
    return f"Run on {data['on']}; {versions}.\n\n{table(heads, marked)}"


def release() -> str:
    """The last complete run of scripts/test.py --release."""
    if not RECORD.exists():
        return "No complete run is recorded yet."
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    rows = [[str(cell) for cell in step] for step in record["steps"]]
    heading = f"Run on {record['date']} on {record['machine']}, in {record['minutes']} minutes."
    return f"{heading}\n\n{table(('', 'passed', 'failed', 'skipped', 'remark'), rows)}"


BLOCKS = {
    "python-clients": python_clients,
    "node-clients": node_clients,
    "node-starts": node_starts,
    "managers": managers,
    "mocks": mocks,
    "bench": report.markdown,
    "exam-summary": _exam_report.summary,
    "exam-failures": _exam_report.failures,
    "release": release,
}
"""By name, what makes each block."""


def main() -> int:
    parser = _env.parser("generate.py", __doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    stale = 0
    for path in _documents.documents():
        text = path.read_text(encoding="utf-8")
        new = _documents.regenerate(text, BLOCKS)
        if new != text:
            stale += 1
            print(f"{path.relative_to(_env.ROOT)}: {'not up to date' if check else 'written'}")
            if not check:
                path.write_text(new, encoding="utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    with _env.exit_on_error("scripts/generate.py"):
        sys.exit(main())
