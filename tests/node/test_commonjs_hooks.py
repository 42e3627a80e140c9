"""Programs that start through a hook of the module loader: they run with the preload, and their URL is corrected.

A CommonJS hook breaks with `--import`, because Node then loads the main file as an ES module.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rtstt_testkit import ThreadedRealtimeServer

from . import npm
from .conftest import REGISTER

pytestmark = [pytest.mark.node, pytest.mark.client]

FILES = Path(__file__).parent / "hooks"
TYPESCRIPT = {"typescript": "5.9.3", "@types/node": "24.10.1", "@types/ws": "8.18.1"}

# The hook, the packages it needs, and the program.
HOOKS = {
    "ts-node/register": ({"ts-node": "10.9.2", **TYPESCRIPT}, "app.ts"),
    "ts-node/register/transpile-only": ({"ts-node": "10.9.2", **TYPESCRIPT}, "app.ts"),
    "@swc-node/register": ({"@swc-node/register": "1.11.1", "@swc/core": "1.13.5", **TYPESCRIPT}, "app.ts"),
    "esbuild-register": ({"esbuild-register": "3.6.0", "esbuild": "0.25.10"}, "app.ts"),
    "sucrase/register": ({"sucrase": "3.35.0"}, "app.ts"),
    "coffeescript/register": ({"coffeescript": "2.7.0"}, "app.coffee"),
}

FIRST_HOOK, *OTHER_HOOKS = HOOKS


@pytest.mark.parametrize("hook", [FIRST_HOOK, *(pytest.param(one, marks=pytest.mark.heavy) for one in OTHER_HOOKS)])
@pytest.mark.parametrize("version", ["20", pytest.param("22", marks=pytest.mark.heavy)])
@pytest.mark.parametrize("preload_by", ["NODE_OPTIONS", pytest.param("command line", marks=pytest.mark.release)])
def test_a_program_that_starts_through_a_hook(
    preload_by: str, version: str, hook: str, cell: Callable[..., Path], tmp_path: Path
) -> None:
    packages, program = HOOKS[hook]
    folder = project(cell(ws="8.18.3", **packages), tmp_path)
    preload = ["--require", str(REGISTER)]
    options = ""
    if preload_by == "NODE_OPTIONS":
        options, preload = f'--require "{REGISTER}"', []
    assert_corrected([npm.node(version), *preload, "-r", hook, program], folder, options)


@pytest.mark.heavy
@pytest.mark.parametrize("version", ["20", pytest.param("22", marks=pytest.mark.release)])
def test_tsx_starts_a_second_node(version: str, cell: Callable[..., Path], tmp_path: Path) -> None:
    folder = project(cell(ws="8.18.3", tsx="4.20.6"), tmp_path)
    tsx = folder / "node_modules" / "tsx" / "dist" / "cli.mjs"
    assert_corrected([npm.node(version), tsx, "app.ts"], folder, f'--require "{REGISTER}"')


def project(installed: Path, folder: Path) -> Path:
    """Put the programs beside installed packages."""
    for file in FILES.iterdir():
        shutil.copy(file, folder)
    (folder / "node_modules").symlink_to(installed / "node_modules")
    return folder


def assert_corrected(command: list[str | Path], folder: Path, options: str) -> None:
    """Run a program against the mock: it gets a session, and nothing is printed on stderr."""
    with ThreadedRealtimeServer() as server:
        environ = {
            **os.environ,
            "APP_PORT": str(server.port),
            "RTSTT_SHIM_HOSTS": "127.0.0.1",
            "NODE_OPTIONS": options,
        }
        done = subprocess.run(
            command, cwd=folder, env=environ, capture_output=True, text=True, timeout=100, check=False
        )
    assert (done.stdout, done.stderr, done.returncode) == ("session.created\n", "", 0)
