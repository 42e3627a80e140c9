"""The ways in which Node programs start: their URL is corrected, or one line says why it is not.

Hooks of the module loader have a test of their own, `test_commonjs_hooks.py`; the permission model, Bun and Deno are in
`test_register.py`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rtstt_testkit import ThreadedRealtimeServer

from . import npm
from .conftest import REGISTER
from .test_commonjs_hooks import FILES as HOOKED

pytestmark = [pytest.mark.node, pytest.mark.client]

FILES = Path(__file__).parent / "starts"

WS = {"ws": "8.18.3"}
TSX = {"tsx": "4.20.6"}
TS_NODE = {"ts-node": "10.9.2", "typescript": "5.9.3", "@types/node": "24.10.1", "@types/ws": "8.18.1"}
PM2 = {"pm2": "7.0.4"}
ESBUILD, NCC, POSTJECT = {"esbuild": "0.28.2"}, {"@vercel/ncc": "0.45.0"}, {"postject": "1.0.0-alpha.6"}
NEXT = {"next": "15.5.29", "react": "19.2.0", "react-dom": "19.2.0"}

COMMAND_LINE, NODE_OPTIONS = "command line", "NODE_OPTIONS"


class Start(NamedTuple):
    """A way in which a program starts.

    Attributes:
        way: Its name in the table of COMPATIBILITY.md.
        command: The command; ``node`` stands for the Node.js that is tested, and for the preload behind it.
        nodes: The versions of Node.js; the first one is tested with ``--all``, the others for a release.
        packages: The packages it needs beside `ws`.
        by: How the preload is named: in the command, in NODE_OPTIONS, or either.
        quick: Whether the first version is always tested.
        exit: The exit code.
    """

    way: str
    command: tuple[str, ...]
    nodes: tuple[str, ...] = ("system", "22", "24", "26")
    packages: dict[str, str] = {}  # noqa: RUF012
    by: tuple[str, ...] = (NODE_OPTIONS, COMMAND_LINE)
    quick: bool = False
    exit: int = 0


STARTS = [
    Start('`CMD ["node", …]` of a container', ("node", "app.cjs"), quick=True),
    Start("`CMD node …` of a container, in a shell", ("sh", "-c", "node app.cjs"), ("system",), by=(NODE_OPTIONS,)),
    Start("cluster", ("node", "cluster.cjs"), quick=True),
    Start("a worker thread with `execArgv` of its own", ("node", "worker.cjs"), by=(NODE_OPTIONS,)),
    Start("`--experimental-strip-types`", ("node", "--experimental-strip-types", "app.ts"), ("22",)),
    Start("TypeScript without a flag", ("node", "app.ts"), ("24", "22", "26")),
    Start("`node --import tsx`", ("node", "--import", "tsx", "app.ts"), packages=TSX),
    Start("`tsx`", ("node_modules/.bin/tsx", "app.ts"), ("system",), TSX, (NODE_OPTIONS,)),
    Start("`ts-node`", ("node_modules/.bin/ts-node", "app.ts"), ("system",), TS_NODE, (NODE_OPTIONS,)),
    Start(
        "`pm2-runtime`, fork mode",
        ("node_modules/.bin/pm2-runtime", "start", "app.cjs", "--no-autorestart"),
        ("system",),
        PM2,
        (NODE_OPTIONS,),
        exit=2,
    ),
    Start(
        "`pm2-runtime`, cluster mode",
        ("node_modules/.bin/pm2-runtime", "start", "exits.cjs", "--no-autorestart", "-i", "1"),
        ("system",),
        PM2,
        (NODE_OPTIONS,),
        exit=2,
    ),
]


ELSEWHERE = [
    ("the hooks of ts-node, @swc-node/register, esbuild-register, sucrase, coffeescript", "corrected"),
    ("worker threads, forked processes, LiveKit's job processes", "corrected"),
    ("`next dev`, `next start` 15", "corrected under `rtstt-shim run`, the user's own preloads kept"),
    ("a bundle made by esbuild or ncc", "corrected, with the shim before it or in its first line"),
    ("a single executable (Node.js 20, 22, 24, 26)", "corrected, with the shim before it or in its bundle"),
    ("`--permission`", "corrected if it may read the folder of the shim; otherwise one line names the folder"),
    ("a copy of the folder of the preload", "corrected"),
    ("Bun, Deno", "inert, with one line"),
    ("`faye-websocket` (its client writes the request to a socket of its own)", "not seen; use `ws`"),
    ("Electron", "not run: its binary does not come from npm"),
]
"""Ways of the table that have a test of their own, and the result."""


def tier(start: Start, node: str, by: str) -> list[pytest.MarkDecorator]:
    if (node, by) != (start.nodes[0], start.by[0]) or start.way.endswith("cluster mode"):
        return [pytest.mark.release]
    return [] if start.quick else [pytest.mark.heavy]


@pytest.fixture
def folder_with(cell: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """Make a folder with the programs, beside installed packages."""

    def make(packages: dict[str, str]) -> Path:
        shutil.copytree(FILES, tmp_path, dirs_exist_ok=True)
        shutil.copytree(HOOKED, tmp_path, dirs_exist_ok=True)
        (tmp_path / "node_modules").symlink_to(cell(**WS, **packages) / "node_modules")
        return tmp_path

    return make


def first_event(command: list[str | Path], folder: Path, exit: int = 0, **env: str) -> str:
    """Run a program, of which the shim prints nothing; return the type of the first event it received."""
    with ThreadedRealtimeServer() as server:
        # As little as a container has.
        environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "PM2_HOME": str(folder / ".pm2")}
        environ |= {"APP_PORT": str(server.port), "RTSTT_SHIM_HOSTS": "127.0.0.1", **env}
        done = subprocess.run(
            command, cwd=folder, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100
        )
    assert "rtstt_shim" not in done.stderr
    assert done.returncode == exit, done
    [line] = [line for line in done.stdout.splitlines() if line in ("session.created", "error")]
    return line


@pytest.mark.parametrize(
    ("start", "node", "by"),
    [
        pytest.param(start, node, by, id=f"{start.way}-node{node}-{by}", marks=tier(start, node, by))
        for start in STARTS
        for node in start.nodes
        for by in start.by
    ],
)
def test_the_url_is_corrected(start: Start, node: str, by: str, folder_with: Callable[..., Path]) -> None:
    folder = folder_with(start.packages)
    executable = npm.node(node)
    without, having = ([executable, *more] for more in ([], ["--require", REGISTER]))
    name, *words = start.command
    plain = [*without, *words] if name == "node" else list(start.command)
    assert first_event(plain, folder, start.exit) == "error"
    if by == NODE_OPTIONS:
        assert first_event(plain, folder, start.exit, NODE_OPTIONS=f"--require {REGISTER}") == "session.created"
    else:
        assert first_event([*having, *words], folder, start.exit) == "session.created"


@pytest.mark.heavy
def test_a_worker_thread_without_the_options_of_the_command_line_needs_node_options(
    folder_with: Callable[..., Path],
) -> None:
    folder = folder_with({})
    assert first_event([npm.node("system"), "--require", REGISTER, "worker.cjs"], folder) == "error"


# -- bundles and single executables: the preload before them, or in them


def bundled(folder: Path, tool: str, form: str, shim: bool) -> Path:
    """Bundle the application, with the shim in its first line or without it; return the bundle, alone in a folder."""
    entry = folder / f"entry.{form}"
    names = [*([REGISTER.as_posix()] if shim else []), "./app.cjs"]
    load = "require({});\n" if form == "cjs" else "import {};\n"
    entry.write_text("".join(load.format(json.dumps(name)) for name in names), encoding="utf-8")
    alone = folder / "alone"
    bundle = alone / f"app.{form}"
    bin = folder / "node_modules" / ".bin"
    if tool == "esbuild":
        options = ["--bundle", "--platform=node", f"--outfile={bundle}", "--log-level=warning"]
        if form == "mjs":
            made = "import{createRequire}from'node:module';const require=createRequire(import.meta.url);"
            options += ["--format=esm", f"--banner:js={made}"]
        command = [bin / "esbuild", entry, *options]
    else:
        command = [bin / "ncc", "build", entry, "--out", alone]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=True)
    assert done.stderr == ""
    # ncc names it itself.
    [made_file] = alone.glob("*.?js")
    return made_file.rename(bundle)


BUNDLES = [("esbuild", "cjs"), ("esbuild", "mjs"), ("ncc", "cjs")]


@pytest.mark.parametrize("shim", ["before", "within"])
@pytest.mark.parametrize(
    ("tool", "form"),
    [
        pytest.param(*one, marks=pytest.mark.heavy if one == ("esbuild", "mjs") else pytest.mark.release)
        for one in BUNDLES
    ],
)
def test_a_bundle_with_the_shim_before_it_or_within(
    tool: str, form: str, shim: str, folder_with: Callable[..., Path]
) -> None:
    folder = folder_with({**ESBUILD, **NCC, **POSTJECT})
    bundle = bundled(folder, tool, form, shim == "within")
    options = {"NODE_OPTIONS": f"--require {REGISTER}"} if shim == "before" else {}
    assert first_event([npm.node("system"), bundle], bundle.parent, **options) == "session.created"


@pytest.mark.parametrize(
    ("tool", "form"),
    [
        pytest.param(*one, marks=pytest.mark.heavy if one == ("esbuild", "cjs") else pytest.mark.release)
        for one in BUNDLES
    ],
)
def test_a_bundle_with_the_shim_in_it_has_its_table_of_diagnoses(
    tool: str, form: str, folder_with: Callable[..., Path], refusing_port: int
) -> None:
    folder = folder_with({**ESBUILD, **NCC, **POSTJECT})
    bundle = bundled(folder, tool, form, True)
    done = subprocess.run(
        [npm.node("system"), bundle],
        env={"APP_PORT": str(refusing_port)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    # No package is on its call stack.
    [line] = [line for line in done.stderr.splitlines() if line.startswith("rtstt_shim: ")]
    assert "nothing accepts connections at this address" in line
    assert f"[node:http, ws://127.0.0.1:{refusing_port}/v1/realtime?" in line


FUSE = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2"
EXECUTABLES = ("24", "20", "22", "26")


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("node", "shim"),
    [
        pytest.param(node, shim, marks=pytest.mark.heavy if (node, shim) == ("24", "within") else pytest.mark.release)
        for node in EXECUTABLES
        for shim in ("within", "before")
    ],
)
def test_a_single_executable(node: str, shim: str, folder_with: Callable[..., Path]) -> None:
    folder = folder_with({**ESBUILD, **NCC, **POSTJECT})
    bundle = bundled(folder, "esbuild", "cjs", shim == "within")
    settings = {"main": str(bundle), "output": "app.blob", "disableExperimentalSEAWarning": True}
    (folder / "sea.json").write_text(json.dumps(settings), encoding="utf-8")
    executable = folder / "app"
    shutil.copy(npm.node(node), executable)
    for command in (
        [npm.node(node), "--experimental-sea-config", "sea.json"],
        ["node_modules/.bin/postject", executable, "NODE_SEA_BLOB", "app.blob", "--sentinel-fuse", FUSE],
    ):
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=200)
    options = {"NODE_OPTIONS": f"--require {REGISTER}"} if shim == "before" else {}
    assert first_event([executable], bundle.parent, **options) == "session.created"


# -- Next.js, which reads NODE_OPTIONS again for the process that serves


def asked_of_next(command: str, folder: Path, *flags: str) -> Any:
    """Run ``next dev`` or ``next start`` under ``rtstt-shim run``, and ask it once."""
    with ThreadedRealtimeServer(allow_hosts=["api.openai.com"]) as server:
        words = [
            sys.executable,
            "-m",
            "rtstt_core",
            "run",
            "--route",
            f"api.openai.com=127.0.0.1:{server.port}",
            *flags,
            "--",
        ]
        environ = {
            **os.environ,
            "NEXT_TELEMETRY_DISABLED": "1",
            "NODE_OPTIONS": "--require ./required.cjs --import ./imported.mjs",
        }
        with subprocess.Popen(
            [*words, "node_modules/.bin/next", command, "--port", "0", "--hostname", "127.0.0.1"],
            cwd=folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout
            try:
                output = ""
                for line in process.stdout:
                    output += line
                    if "Ready" in line:
                        break
                address = re.search(r"Local: +(http://\S+)", output)
                assert address, output
                with urllib.request.urlopen(f"{address[1]}/api/transcribe", timeout=100) as response:
                    return json.load(response)
            finally:
                process.terminate()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "command", [pytest.param("dev", marks=pytest.mark.heavy), pytest.param("start", marks=pytest.mark.release)]
)
def test_next_keeps_the_shim_the_route_and_the_preloads_of_the_user(
    command: str, folder_with: Callable[..., Path]
) -> None:
    folder = folder_with(NEXT) / "next"
    (folder / "node_modules").symlink_to(folder.parent / "node_modules")
    (folder / "package.json").write_text('{"name": "app", "private": true}', encoding="utf-8")
    if command == "start":
        environ = {**os.environ, "NEXT_TELEMETRY_DISABLED": "1"}
        build = [folder / "node_modules" / ".bin" / "next", "build"]
        subprocess.run(build, cwd=folder, env=environ, check=True, capture_output=True, timeout=200)
    preloaded = ["required", "imported"]
    assert asked_of_next(command, folder, "--no-shim") == {"type": "error", "preloaded": preloaded}
    assert asked_of_next(command, folder) == {"type": "session.created", "preloaded": preloaded}
