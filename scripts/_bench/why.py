"""Why a target was missed: a profile of what was measured, in a few words."""

import collections
import os
import subprocess

import _env
from _bench import websocket
from _bench.processes import CLIENT_CORE, SERVER_CORE, Program, answer, on_core
from _bench.shim import CLIENTS, IMPORTS

_MOST = 6

_IMPORT = "import sys\n{before}\nprint('----', file=sys.stderr, flush=True)\n{code}"

_HTTP = """
const begun = process.hrtime.bigint();
require('node:http');
require('node:https');
console.log(Number(process.hrtime.bigint() - begun) / 1e6);
"""

_MOCK = """
import cProfile, json, pathlib, pstats, sys
from rtstt_shim.cli import main
profile = cProfile.Profile()
profile.runcall(main, ["mock"])
stats = pstats.Stats(profile).stats
own = sorted(((row[2], key) for key, row in stats.items() if "epoll" not in key[2]), reverse=True)
whole = sum(seconds for seconds, _ in own)
names = [f"{pathlib.Path(file).stem} {name}" if line else name for _, (file, line, name) in own]
print(json.dumps([(name, seconds / whole) for name, (seconds, _) in list(zip(names, own))[:20]]))
"""


def reasons(figures):
    """What is to be said of the targets that were missed, by figure."""
    found = {}
    for figure in figures:
        if figure.met is not False:
            continue
        for part, explain in _PROFILES.items():
            if part in figure.name:
                found[figure.name] = explain(figure)
    return found


def _imports(figure):
    client = next((code for name, code in IMPORTS.items() if f"with {name} imported" in figure.name), None)
    python = _env.environment(CLIENTS if client else (), wheel=_env.wheel())
    return _import_times(python, client or "pass", "import rtstt_shim")


def _start(figure):
    python = _env.environment(wheel=_env.wheel(), extras=["testkit"])
    return _import_times(python, "pass", "from rtstt_shim.cli import main; import rtstt_testkit.commands.mock")


def _import_times(python, before, code):
    command = [python, "-X", "importtime", "-c", _IMPORT.format(before=before, code=code)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    spent = collections.Counter()
    for line in done.stderr.rpartition("----\n")[2].splitlines():
        own, _, name = line.removeprefix("import time:").split("|")
        top, _, rest = name.strip().partition(".")
        spent[f"importlib.{rest.partition('.')[0]}" if top == "importlib" else top] += int(own) / 1000
    parts = [f"{name} {took:.1f} ms" for name, took in spent.most_common(_MOST)]
    return f"of {sum(spent.values()):.0f} ms of imports {', '.join(parts)} (`-X importtime`)"


def _silent(figure):
    return "300 ms of it are the time that clients are given to answer the CLOSE"


def _workers(figure):
    return f"two workers and the client share {os.cpu_count()} cores, and whatever the cores have in common"


def _preload(figure):
    node = _env.node()
    took = min(answer([node.executable, "-e", _HTTP], CLIENT_CORE) for _ in range(9))
    return (
        f"{took:.0f} ms of it are Node's own `http` and `https`, which the preload has to load to see their "
        f"requests on a Node before 22.12 (here {node.version}); a program that loads `ws` loads them anyway"
    )


def _messages(figure):
    more = (1 / figure.ours - 1 / figure.peer) * 1e6
    return f"{more:.2f} µs more for a message that takes {1e6 / figure.peer:.2f}"


def _appends(figure):
    python = _env.environment(wheel=_env.wheel(), extras=["testkit"])
    frames = [websocket.frame(event) for event in websocket.append_events()]
    with Program([python, "-c", _MOCK], core=SERVER_CORE) as server, on_core(CLIENT_CORE):
        blaster = websocket.Blaster(server.port(), frames)
        blaster.round(20_000)
        blaster.close()
        spent = server.after_stop()
    parts = [f"{name.strip('<>')} {share:.0%}" for name, share in spent[: _MOST * 2]]
    return f"own time under cProfile: {', '.join(parts)}"


_PROFILES = {
    "import rtstt_shim": _imports,
    "imported already": _imports,
    "with the preload": _preload,
    "echo on": _messages,
    "deltas on": _messages,
    "appends received": _appends,
    "start to `listening`": _start,
    "none of whose clients answers": _silent,
    "with two workers": _workers,
}
