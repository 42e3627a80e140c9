"""Why a target was missed: a profile of what was measured, in a few words."""

import collections
import json
import os
import subprocess
import tempfile
from pathlib import Path

import _env
from _bench import node, sockets, websocket
from _bench.processes import CLIENT_CORE, SERVER_CORE, Program, answer, on_core
from _bench.shim import CLIENTS, IMPORTS, client_on

_MOST = 6
_PROFILED = 64 * 40  # messages

_IMPORT = "import sys\n{before}\nprint('----', file=sys.stderr, flush=True)\n{code}"

_HOOK = """
import cProfile, json, pathlib, pstats
import rtstt_shim
profile = cProfile.Profile()
profile.enable()
{code}
profile.disable()
spent = {{}}
for (file, _, name), (_, calls, _, whole, _) in pstats.Stats(profile).stats.items():
    spent[pathlib.PurePath(file).parts[-2:], name] = calls, whole * 1000
print(json.dumps([spent[("rtstt_shim", "registry.py"), "__call__"], spent[("wrapt", "importer.py"), "find_spec"]]))
"""

_HTTP = """
const begun = process.hrtime.bigint();
require('node:http');
require('node:https');
console.log(Number(process.hrtime.bigint() - begun) / 1e6);
"""

_CALLS = """
import collections, json, pathlib, runpy, sys, threading
calls = collections.Counter()
def count(frame, event, argument):
    path = pathlib.PurePath(frame.f_code.co_filename)
    if event == "call" and {"rtstt_shim", "wrapt"} & set(path.parts):
        calls[f"{path.stem}.{frame.f_code.co_name}"] += 1
sys.argv = sys.argv[1:]
threading.setprofile(count)
sys.setprofile(count)
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    sys.setprofile(None)
    print(json.dumps(calls), flush=True)
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


def _hooked(figure):
    code = next(code for name, code in IMPORTS.items() if f"importing {name}," in figure.name)
    python = _env.environment(CLIENTS, wheel=_env.wheel())
    (_, patching), (asked, asking) = answer([python, "-c", _HOOK.format(code=code)], CLIENT_CORE)
    return (
        f"under cProfile {patching:.1f} ms in the hook that patches it, and {asking:.1f} ms in which wrapt's finder is "
        f"asked for {asked} modules"
    )


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
    traffic, _, library = figure.name.partition(": ")
    kind = next(kind for kind, known in sockets.TRAFFIC.items() if known.name == traffic)
    profile = _in_node if library == node.LIBRARY else _in_python
    return f"{more:.2f} µs more for a message that takes {1e6 / figure.peer:.2f}; {profile(library, kind)}"


def _in_python(library, kind):
    python = _env.environment(CLIENTS, wheel=_env.wheel())
    command = [python, "-c", _CALLS, *client_on(python, library).ours[1:]]
    calls = []
    for times in (1, 2):  # what opens the connection is in both
        with sockets.listening(python, kind) as url, Program([*command, url], stdin=True) as client:
            client.ask(f"{kind} {_PROFILED * times}")
            calls.append(collections.Counter(json.loads(client.finish())))
    said = ", ".join(f"`{name}` {count:,}" for name, count in (calls[1] - calls[0]).most_common(_MOST))
    return f"calls into the shim and wrapt for {_PROFILED:,} messages (`sys.setprofile`): {said or 'none'}"


def _in_node(library, kind):
    with tempfile.TemporaryDirectory() as folder, sockets.listening(_env.environment(), kind) as url:
        options = ("--cpu-prof", f"--cpu-prof-dir={folder}")
        words = node.client_on(_env.node(), _env.npm_project(node.WS), *options).ours
        with Program([*words, url], stdin=True) as client:
            for _ in range(3):
                client.ask(f"{kind} {_PROFILED * 16}")
            client.finish()
        [file] = Path(folder).glob("*.cpuprofile")
        profile = json.loads(file.read_text(encoding="utf-8"))
    frames = {found["id"]: found["callFrame"] for found in profile["nodes"]}
    spent = collections.Counter()
    for sample in profile["samples"]:
        if str(node.PRELOAD.parent) in frames[sample]["url"]:
            spent[frames[sample]["functionName"] or "(anonymous)"] += 1 / len(profile["samples"])
    said = ", ".join(f"`{name}` {share:.1%}" for name, share in spent.most_common(_MOST))
    return f"own time in the preload under `--cpu-prof`: {said or 'none'}"


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
    "the shim active": _hooked,
    "with the preload": _preload,
    "echo on": _messages,
    "deltas on": _messages,
    "appends received": _appends,
    "start to `listening`": _start,
    "none of whose clients answers": _silent,
    "with two workers": _workers,
}
