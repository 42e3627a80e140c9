"""The allowed imports: which package may import which, without circles.

A package, or a single module that has a line in `ALLOWED`, may import itself and what its line names. Imports inside
functions and under TYPE_CHECKING count.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGES = ("rtstt_core", "rtstt_shim", "rtstt_testkit")

PURE = ("rtstt_core.url_rule", "rtstt_core.diagnosis", "rtstt_core.redact")
MOCK = tuple(f"rtstt_testkit.mock.{name}" for name in ("server", "session", "inspect", "script", "protocol", "audio"))

# From top to bottom; of the names that a module begins with, the longest counts.
ALLOWED: dict[str, tuple[str, ...]] = {
    "rtstt_shim": ("rtstt_core.patching", "rtstt_core.status", "rtstt_core.url_rule"),
    "rtstt_core.status": ("rtstt_core.patching", "rtstt_core.clients"),
    "rtstt_core": ("rtstt_core.cli",),  # only `python -m rtstt_core`
    "rtstt_core.cli": ("rtstt_core.errors", "rtstt_core.extras", "rtstt_core.terminal"),
    "rtstt_core.commands": ("rtstt_core.errors", "rtstt_core.extras", "rtstt_core.terminal", "rtstt_core.clients"),
    "rtstt_core.extras": ("rtstt_core.errors",),
    "rtstt_core.terminal": (),
    "rtstt_core.clients": (
        "rtstt_core.errors",
        "rtstt_core.patching",
        "rtstt_core.bootstrap",
        "rtstt_core.url_rule",
    ),
    "rtstt_core.bootstrap": (),
    "rtstt_core.patching": (
        "rtstt_core.trace",  # only when RTSTT_SHIM_TRACE is set
        "rtstt_core.watch",
        "rtstt_core.report",
        "rtstt_core.log",
        "rtstt_core.forking",
        "rtstt_core.bootstrap",  # the kill switch, which every Python that a program starts can read
        "rtstt_core.url_rule",
        "rtstt_core.redact",
    ),
    "rtstt_core.trace": (
        "rtstt_core.watch",
        "rtstt_core.report",
        "rtstt_core.connect_error",
        "rtstt_core.log",
        "rtstt_core.forking",
        "rtstt_core.masking",
        "rtstt_core.url_rule",
        "rtstt_core.redact",
    ),
    "rtstt_core.masking": ("rtstt_core.redact",),
    "rtstt_core.watch": (
        "rtstt_core.connect_error",
        "rtstt_core.delay",
        "rtstt_core.error_events",
        "rtstt_core.progress",
        "rtstt_core.report",
        "rtstt_core.diagnosis",
        "rtstt_core.url_rule",
    ),
    "rtstt_core.error_events": ("rtstt_core.forking", "rtstt_core.diagnosis"),
    "rtstt_core.delay": ("rtstt_core.forking",),
    "rtstt_core.progress": (),
    "rtstt_core.report": ("rtstt_core.log", "rtstt_core.forking", *PURE),
    "rtstt_core.log": ("rtstt_core.forking",),
    "rtstt_core.forking": (),
    "rtstt_core.pyinstaller": ("rtstt_core.patching",),
    "rtstt_core.connect_error": ("rtstt_core.diagnosis",),
    "rtstt_core.diagnosis": ("rtstt_core.redact",),
    "rtstt_core.url_rule": ("rtstt_core.redact",),
    "rtstt_core.redact": (),
    "rtstt_core.errors": (),
    "rtstt_testkit": (
        "rtstt_testkit.inspector",
        "rtstt_testkit.recording",
        "rtstt_testkit.cassette",
        "rtstt_testkit.routing",
        *MOCK,
    ),
    "rtstt_testkit.commands": (
        "rtstt_core.errors",
        "rtstt_core.masking",
        "rtstt_core.commands",
        "rtstt_core.terminal",
        "rtstt_core.clients",
        "rtstt_testkit.exam",
        "rtstt_testkit.recording",
        "rtstt_testkit.cassette",
        "rtstt_testkit.inspector",
        "rtstt_testkit.source",
        "rtstt_testkit.upstream",
        "rtstt_testkit.probe",
        "rtstt_testkit.routing",
        *MOCK,
    ),
    "rtstt_testkit.commands.arguments": (),
    "rtstt_testkit.exam": ("rtstt_testkit.routing", "rtstt_testkit.speech", *MOCK),
    "rtstt_testkit.recording": ("rtstt_testkit.cassette", "rtstt_testkit.routing", *MOCK),
    "rtstt_testkit.cassette": (
        "rtstt_core.trace",
        "rtstt_core.masking",
        "rtstt_testkit.mock.protocol",
        "rtstt_testkit.mock.audio",
    ),
    "rtstt_testkit.inspector": (
        *MOCK,
        "rtstt_testkit.cassette",
        "rtstt_core.trace",
        "rtstt_core.masking",
        "rtstt_core.diagnosis",
    ),
    "rtstt_testkit.source": (
        "rtstt_core.errors",
        "rtstt_core.clients",
        "rtstt_core.url_rule",
        "rtstt_testkit.upstream",
    ),
    "rtstt_testkit.locust": ("rtstt_testkit.load", "rtstt_testkit.speech"),
    "rtstt_testkit.load": ("rtstt_testkit.speech", "rtstt_testkit.mock.protocol"),
    "rtstt_testkit.upstream": ("rtstt_core.clients", "rtstt_testkit.routing", *MOCK),
    "rtstt_testkit.probe": ("rtstt_testkit.speech", *MOCK),
    "rtstt_testkit.routing": (),
    "rtstt_testkit.mock": (),
    **{package: (*MOCK[level + 1 :], "rtstt_testkit.speech") for level, package in enumerate(MOCK)},
    **{
        package: (*MOCK[level + 1 :], "rtstt_testkit.cassette", "rtstt_testkit.speech", "rtstt_core.masking")
        for level, package in enumerate(MOCK[:2])
    },
    "rtstt_testkit.mock.protocol": ("rtstt_testkit.mock.audio", "rtstt_core.masking"),
    "rtstt_testkit.speech": (),
}


def _files() -> dict[str, Path]:
    """Every module of the packages, by its name."""
    found = {}
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        folder = Path(spec.origin).parent
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder.parent).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


FILES = _files()


def _imports(module: str) -> Iterator[str]:
    """The modules of ours that a module imports, wherever it does so."""
    for node in ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            owner = name if name in FILES else name.rpartition(".")[0]
            if owner in FILES:
                yield owner


def _package(module: str) -> str:
    return max((package for package in ALLOWED if module == package or module.startswith(f"{package}.")), key=len)


@pytest.mark.parametrize("module", sorted(FILES))
def test_a_module_imports_only_what_is_below_it(module: str) -> None:
    package = _package(module)
    astray = {other for other in _imports(module) if _package(other) not in (package, *ALLOWED[package])}
    assert not astray, f"{package} may not import {sorted(astray)}"


def test_there_is_no_circle_of_imports() -> None:
    graph = {module: set(_imports(module)) - {module} for module in FILES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))
