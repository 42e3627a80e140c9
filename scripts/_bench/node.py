"""What the shim costs a Node.js program."""

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import _env
from _bench import sockets
from _bench.figure import beside, in_turn
from _bench.processes import CLIENT_CORE, PROGRAMS, on_core, wall

WS = {"ws": "8.18.3"}
BUILD = _env.ROOT / "scripts" / "build_npm.py"
PRELOAD = _env.ROOT / "shim" / "rtstt_core" / "node" / "register.mjs"


def measure(quick):
    """Yield the figures."""
    node = _env.node()
    if node is None:
        _env.log(f"Node.js {_env.NODE} or newer is not installed: its figures are left out")
        return
    project = _env.npm_project(WS)
    rounds = 10 if quick else 40
    yield from start(node, project, rounds)
    yield from package(node, rounds)
    program = (PROGRAMS / "client.mjs", project / "package.json")
    ours, peer = (node.executable, "--import", PRELOAD, *program), (node.executable, *program)
    kinds = (*sockets.PLAIN, "packed")
    client = sockets.Client("ws", ours, peer, "without the preload", warm_up=128, most={"stream": 1}, kinds=kinds)
    yield from sockets.figures(_env.environment(), [client], quick)


def start(node, project, rounds):
    """Yield the time from start to end of a program, with the preload and with an empty one."""
    loads_ws = f"require({str(project / 'node_modules' / 'ws')!r})"
    for name, code in (("an empty program", "0"), ("a program that loads ws", loads_ws)):
        ours, peer = (
            [node.executable, "--import", preload, "-e", code] for preload in (PRELOAD, PROGRAMS / "nothing.mjs")
        )
        yield _beside(f"{name}, with the preload", rounds, ours, peer, "an empty preload")


def package(node, rounds):
    """Yield the time from start to end of an empty program that requires the npm package, and an empty one."""
    with tempfile.TemporaryDirectory() as folder:
        modules = Path(folder) / "node_modules"
        subprocess.run([sys.executable, BUILD, "--out", folder], check=True, stdout=subprocess.DEVNULL)
        [packed] = Path(folder).glob("*.tgz")
        with tarfile.open(packed) as archive:
            archive.extractall(modules)
        (modules / "package").rename(modules / "rtstt-shim")
        (modules / "nothing").mkdir()
        (modules / "nothing" / "index.js").write_text("'use strict';\n", encoding="utf-8")
        ours, peer = (
            [node.executable, "--require", preload, "-e", "0"] for preload in ("rtstt-shim/register", "nothing")
        )
        yield _beside("an empty program, with the npm package", rounds, ours, peer, "an empty package", folder)


def _beside(name, rounds, ours, peer, peer_name, folder=None):
    """Return the time from start to end of a program beside its peer, measured in turn."""
    with on_core(CLIENT_CORE):
        samples = in_turn(rounds, lambda: wall(ours, folder), lambda: wall(peer, folder))
    return beside(f"start to end of {name}", "ms", samples, peer_name, most=1.15)
