#!/usr/bin/env python3
"""Mutation testing: do the unit tests notice a small mistake in the URL rule, in the gates, in the diagnosis?

  python3 scripts/mutants.py [--only MODULE] [--json]

Each mutant is one small change of one file, made in a copy; the tests of that file have to fail. Those that go on
passing are listed, with the reason that tests/mutants.toml gives for each: it changes nothing that anybody could see.
Exit code: 0 at least 90 % of the mutants of each part are killed and every survivor has a reason, 1 not so, 2 wrong use
or something needed cannot be had.
"""

import argparse
import gc
import importlib
import importlib.util
import json
import multiprocessing
import os
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import NamedTuple

import _env  # which ends here on a Python too old

GATE = 90
"""Per cent of the mutants of each part that have to be killed."""

REASONS = _env.ROOT / "tests" / "mutants.toml"
PACKAGE = "shim/rtstt_shim"


NEEDED = ("mutmut", "pytest_timeout", "hypothesis", "wrapt", "aiohttp", "websocket", "websockets")
"""Where these are installed, they are used; otherwise an environment is made."""


class Module(NamedTuple):
    """A file that is mutated."""

    part: str
    name: str
    tests: tuple[str, ...] = ()
    """What has to fail: the files with the fastest tests that know this one; of a Node module the vectors do."""
    only: tuple[str, ...] = ()
    """The functions that are mutated, where it is not the whole file."""

    @property
    def file(self):
        return f"{PACKAGE}/{self.name}"

    @property
    def node(self):
        return self.name.endswith(".cjs")


GATES = ("test_gates.py", "test_registry.py::TestGates")
GATE_FUNCTIONS = (
    *("_Patch.wrap", "Connections.failed", "Connections.__exit__"),
    *("_Hook.__init__", "_Hook.__call__", "_half_imported", "_initializing", "_apply"),
    *("_version", "_label", "_describe"),
)

MODULES = (
    Module("the URL rule", "url_rule.py", ("test_url_rule.py",)),
    Module("the gates", "targets/__init__.py", GATES),
    Module("the gates", "registry.py", GATES, GATE_FUNCTIONS),
    Module("the diagnosis", "diagnosis.py", ("test_diagnosis.py",)),
    Module("the diagnosis", "diagnosis.json", ("test_diagnosis.py",)),
    Module("the diagnosis", "redact.py", ("test_redact.py",)),
    Module("the diagnosis", "report.py", ("test_report.py",)),
    Module("their Node twins", "node/url_rule.cjs"),
    Module("their Node twins", "node/diagnosis.cjs"),
    Module("their Node twins", "node/redact.cjs"),
)


def say(line):
    print(line, file=sys.stderr, flush=True)


# -- one run of the tests, in a process of its own

_copy = None


def _prepare(folder):
    """In a worker: make the copy that it will change, and import what every run of the tests needs."""
    global _copy
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _copy = Path(tempfile.mkdtemp(dir=folder))
    ignored = shutil.ignore_patterns("__pycache__", "node_modules")
    for name in ("shim", "tests"):
        shutil.copytree(_env.ROOT / name, _copy / name, ignore=ignored)
    shutil.copy(_env.ROOT / "pyproject.toml", _copy)
    os.chdir(_copy)
    sys.path.insert(0, str(_copy / "shim"))
    for name in [name for name in os.environ if name.startswith("RTSTT_")]:
        del os.environ[name]
    os.environ.update(PYTHONPATH=str(_copy / "shim"), PYTHONDONTWRITEBYTECODE="1")
    sys.dont_write_bytecode = True
    # pytest looks for its plugins in every run, which takes longer than most of the tests.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    clients = ("aiohttp.client", "websocket._core", "websockets.asyncio.client", "websockets.legacy.client")
    for name in ("asyncio", "hypothesis.strategies", "pytest_timeout", "unittest.mock", "wrapt", *clients):
        importlib.import_module(name)
    gc.freeze()  # pytest collects garbage in every run, and what is here is none


class _NotByChance:
    """A plugin of pytest that leaves the property tests out: what they find depends on what they look at."""

    def pytest_collection_modifyitems(self, items):
        items[:] = [item for item in items if not hasattr(item.obj, "hypothesis")]


def _pytest(module, told, seconds):
    """In a process of its own, which it ends: run the tests of a module."""
    code = 70
    try:
        import resource

        import pytest

        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))  # a mutant may go round for ever
        output = os.open(_copy / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        options = ["-x", "-q", f"--tb={told}", "--assert=plain", "-p", "no:cacheprovider", "-p", "pytest_timeout"]
        code = pytest.main([*options, *(f"tests/unit/{name}" for name in module.tests)], plugins=[_NotByChance()])
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _tested(module, mutant, seconds):
    """In a worker: change the copy, run the tests, change it back.

    Args:
        module: The module.
        mutant: The change; None for none.
        seconds: How much computing the tests may take; they may wait for three times as long.

    Returns:
        Whether the tests passed, the seconds it took, the end of what pytest said.
    """
    path = _copy / module.file
    original = path.read_text(encoding="utf-8")
    if mutant is not None:
        path.write_text(mutant.text, encoding="utf-8")
    started = time.monotonic()
    ended, at_end = os.pipe()
    child = os.fork()
    if child == 0:
        _pytest(module, "no" if mutant else "short", seconds)
    os.close(at_end)
    try:
        in_time, _, _ = select.select([ended], [], [], 3 * seconds)
        if not in_time:
            os.killpg(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    finally:
        os.close(ended)
        path.write_text(original, encoding="utf-8")
    told = (_copy / "output").read_text(encoding="utf-8", errors="replace")[-3000:]
    return status == 0, time.monotonic() - started, told


def _task(job):
    place, module, mutant, seconds = job
    return (place, *_tested(module, mutant, seconds))


# -- all of them


def _run(modules, jobs, known):
    """Return the mutants of each module that survive, and how many were killed.

    One that is known to survive and was killed may have been killed by chance, and is tried again.

    Raises:
        _env.Unavailable: The tests do not pass as it is.
    """
    from _mutations import mutants

    if not modules:
        return [], []
    started = time.monotonic()
    found = [mutants(_env.ROOT, module.file, module.only) for module in modules]
    with tempfile.TemporaryDirectory() as folder:
        context = multiprocessing.get_context("fork")
        with context.Pool(jobs, _prepare, (folder,)) as pool:
            limits = []
            for place, passed, seconds, told in pool.imap(_task, [(n, m, None, 60) for n, m in enumerate(modules)]):
                if not passed:
                    say(told)
                    raise _env.Unavailable(f"the tests of {modules[place].name} do not pass as it is: mend them first")
                limits.append(int(5 + 5 * seconds))
            work = [
                (place, module, mutant, limits[place])
                for place, module in enumerate(modules)
                for mutant in found[place]
            ]
            survivors, again = [[] for _ in modules], []
            for number, (job, result) in enumerate(zip(work, pool.imap(_task, work, 4), strict=True), 1):
                place, passed, _, told = result
                if passed:
                    survivors[place].append(job[2])
                elif _identity(job[2]) in known:
                    say(f"killed, though known to survive: {job[2].becomes}\n{told}")
                    again.append(job)
                if number % 50 == 0 or number == len(work):
                    say(f"[{time.monotonic() - started:5.0f} s] {number} of {len(work)} mutants, now {job[1].name}")
            for job, (place, passed, _, _) in zip(again, pool.imap(_task, again), strict=True):
                if passed:
                    survivors[place].append(job[2])
    return survivors, [len(made) - len(alive) for made, alive in zip(found, survivors, strict=True)]


def _all(modules, jobs, known):
    """Return what survives of each module and how much was killed; those of Node come last."""
    import _stryker

    python, node = ([module for module in modules if module.node is of_node] for of_node in (False, True))
    survivors, killed = _run(python, jobs, known)
    if node:
        say("the Node twins")
        more, more_killed = _stryker.run([module.file for module in node], jobs)
        survivors, killed = survivors + more, killed + more_killed
    return survivors, killed


def _identity(mutant):
    return mutant.file.removeprefix(f"{PACKAGE}/"), mutant.where, mutant.was, mutant.becomes


def reasons(text):
    """Return why each survivor that is known survives.

    Raises:
        _env.Unavailable: The list is not readable.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        rows = tomllib.loads(text).get("survivor", [])
        return {(row["file"], row["in"], row["was"], one): row["reason"] for row in rows for one in row["becomes"]}
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise _env.Unavailable(f"cannot read tests/mutants.toml: {type(error).__name__}: {error}") from None


def _stanzas(mutants):
    """Survivors, as tests/mutants.toml wants them."""
    lines = {}
    for file, where, was, becomes in map(_identity, mutants):
        lines.setdefault((file, where, was), []).append(becomes)
    for (file, where, was), changed in lines.items():
        each = "".join(f"  {_quoted(becomes)},\n" for becomes in changed)
        yield (
            f"[[survivor]]\nfile = {_quoted(file)}\nin = {_quoted(where)}\nwas = {_quoted(was)}\n"
            f'becomes = [\n{each}]\nreason = ""\n'
        )


def _quoted(value):
    return f"'''{value}'''" if "'" in value else f"'{value}'"


def _score(killed, survived):
    return 100 * killed / max(1, killed + survived)


def judged(modules, survivors, killed, known):
    """Return the report: the table, the survivors with their reasons, what is listed and did not survive."""
    rows = [
        {
            "part": module.part,
            "module": module.name,
            "mutants": killed[place] + len(survivors[place]),
            "killed": killed[place],
            "survived": len(survivors[place]),
            "score": round(_score(killed[place], len(survivors[place])), 1),
        }
        for place, module in enumerate(modules)
    ]
    parts = {}
    for row in rows:
        before = parts.get(row["part"], (0, 0))
        parts[row["part"]] = before[0] + row["killed"], before[1] + row["survived"]
    alive = [mutant for found in survivors for mutant in found]
    seen = set(map(_identity, alive))
    looked_at = {module.name for module in modules}
    gone = [identity for identity in known if identity not in seen and identity[0] in looked_at]
    listed = [
        {
            "file": mutant.file,
            "line": mutant.line,
            "in": mutant.where,
            "was": mutant.was,
            "becomes": mutant.becomes,
            "reason": known.get(_identity(mutant), ""),
        }
        for mutant in alive
    ]
    scores = {part: round(_score(*counts), 1) for part, counts in parts.items()}
    well = all(score >= GATE for score in scores.values()) and all(row["reason"] for row in listed) and not gone
    return {
        "passed": well,
        "parts": scores,
        "modules": rows,
        "survivors": listed,
        "gone": [dict(zip(("file", "in", "was", "becomes"), identity, strict=True)) for identity in gone],
        "unexplained": list(_stanzas(mutant for mutant in alive if not known.get(_identity(mutant)))),
    }


def shown(report):
    """Return the report for people."""
    lines = [f"{'module':<22} mutants  killed  survived   score"]
    for part, score in report["parts"].items():
        lines.append(f"{part:<22} {'':25} {score:6.1f} %")
        lines += [
            f"  {row['module']:<20} {row['mutants']:7} {row['killed']:7} {row['survived']:9} {row['score']:7.1f} %"
            for row in report["modules"]
            if row["part"] == part
        ]
    for row in report["survivors"]:
        lines += [
            "",
            f"{row['file']}:{row['line']} {row['in']}",
            f"  - {row['was']}",
            f"  + {row['becomes']}",
            f"  {row['reason'] or 'NO REASON'}",
        ]
    for row in report["gone"]:
        lines += ["", f"listed in tests/mutants.toml, and did not survive: {row['file']} {row['in']}: {row['becomes']}"]
    if report["unexplained"]:
        lines += ["", "Write a test that notices them, or give a reason in tests/mutants.toml:"]
        lines += ["", *report["unexplained"]]
    counts = [sum(row[name] for row in report["modules"]) for name in ("mutants", "killed", "survived")]
    lines += ["", "{} mutants, {} killed, {} survived".format(*counts)]
    return "\n".join(lines)


def _arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/mutants.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [module.name for module in MODULES]
    parser.add_argument("--only", metavar="MODULE", action="append", choices=names, help=", ".join(names))
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    return parser.parse_args()


def main():
    args = _arguments()
    if not hasattr(os, "fork"):
        raise _env.Unavailable("mutation testing forks the tests, which this system cannot do")
    if not all(map(importlib.util.find_spec, NEEDED)):
        tool = _env.environment(wheel=_env.wheel(), extras=["testkit"], groups=["test", "mutation"])
        sys.stdout.flush()
        os.execv(tool, [str(tool), *sys.argv])
    os.chdir(_env.ROOT)  # where mutmut looks for its settings
    known = reasons(REASONS.read_text(encoding="utf-8"))
    modules = [module for module in MODULES if not args.only or module.name in args.only]
    if _env.node() is None and any(module.node for module in modules):
        say(f"Node.js {_env.NODE} or newer with npm is not installed: the Node twins are left out")
        modules = [module for module in modules if not module.node]
    try:
        report = judged(modules, *_all(modules, os.cpu_count() or 1, known), known)
    except LookupError as problem:
        raise _env.Unavailable(f"{problem}: correct MODULES in scripts/mutants.py") from None
    print(json.dumps(report, indent=2, ensure_ascii=False) if args.json else shown(report))
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    with _env.exits("scripts/mutants.py"):
        sys.exit(main())
