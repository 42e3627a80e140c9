#!/usr/bin/env python3
"""Write the generated blocks of the documents: the tables of clients, package managers and mocks, and the figures.

  python3 scripts/generate.py           write them
  python3 scripts/generate.py --check   name the documents that are not up to date, and write nothing

The tables are read from what the tests assert and from the last saved measurements; nothing is measured here.
Exit code: 0 everything is up to date or written, 1 --check found something, 2 for a usage error or a failed setup.
"""

from __future__ import annotations

import functools
import importlib
import json
import sys
from collections.abc import Sequence
from typing import Any

import _env

if __name__ == "__main__":
    _env.ensure_installed(("rtstt_testkit", "websockets", "trustme", "pytest", "ast_grep_py"), **_env.CHECKS)

import _documents

RECORD = _env.ROOT / "tests" / "release.json"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


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
    clients: Any = importlib.import_module("_clients")
    rows = [
        (client.package, clients.RESULTS[client.expected(usage)], usage.name, client.version, usage.host)
        for client in clients.CLIENTS
        for usage in client.usages
        if not client.missing
    ]
    rows += [
        (client.package, ("not run", client.missing), usage.name, client.version, usage.host)
        for client in clients.CLIENTS
        for usage in client.usages
        if client.missing
    ]
    for column in (4, 3, 2):  # hosts with the same result, then versions, then ways to use it
        rows = merged(rows, column)
    order = list(dict.fromkeys(client.package for client in clients.CLIENTS))
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
        host = base_url.split("/")[2] if base_url else "api.openai.com"
        without = "0 events, nothing logged" if affected else "transcript"
        rows.append((version, used, host, ", ".join(tests.LIVEKIT_NODES), without, "transcript"))
    return table(("`@livekit/agents-plugin-openai`", "used", "host", "Node.js", "without", "with the preload"), rows)


def node_starts() -> str:
    """The ways in which Node.js programs start, and the results that tests/node/test_starts.py asserts."""
    tests: Any = _test_module("node.test_starts")
    rows = [
        (
            start.way,
            ", ".join(sorted(start.nodes)).replace("system", "the system's"),
            " or ".join(start.by),
            "corrected",
        )
        for start in tests.STARTS
    ]
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
    compare: Any = importlib.import_module("compare_mocks")
    data = json.loads(compare.DATA.read_text(encoding="utf-8"))
    heads, *rows = compare.table(data)
    marked = [(name, *(cell if cell == "the same" else f"`{cell}`" for cell in cells)) for name, *cells in rows]
    versions = ", ".join(f"{name} {version}" for name, version in data["versions"].items() if version)
    return f"Run on {data['on']}; {versions}.\n\n{table(heads, marked)}"


def bench() -> str:
    """The last measurements of scripts/bench.py."""
    report: Any = importlib.import_module("_bench.report")
    return str(report.markdown())


def exam_summary() -> str:
    """What published clients pass in the exam, as scripts/exam_field.py saved it."""
    report: Any = importlib.import_module("_exam_report")
    return str(report.summary())


def exam_failures() -> str:
    """What they fail, and the causes."""
    report: Any = importlib.import_module("_exam_report")
    return str(report.failures())


def release() -> str:
    """The last complete run of scripts/test.py --release."""
    if not RECORD.exists():
        return "No complete run is recorded yet."
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    rows = [[str(cell) for cell in step] for step in record["steps"]]
    heading = f"Run on {record['date']} on {record['machine']}, in {record['minutes']} minutes."
    return f"{heading}\n\n{table(('', 'passed', 'failed', 'skipped', 'remark'), rows)}"


BLOCKS = {
    "python-clients": functools.cache(python_clients),
    "node-clients": functools.cache(node_clients),
    "node-starts": functools.cache(node_starts),
    "managers": functools.cache(managers),
    "mocks": functools.cache(mocks),
    "bench": functools.cache(bench),
    "exam-summary": functools.cache(exam_summary),
    "exam-failures": functools.cache(exam_failures),
    "release": functools.cache(release),
}


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
