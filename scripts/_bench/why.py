"""Why a target was missed: a profile of what was measured, in a few words."""

import collections
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

import _env
from _bench import node, sockets, websocket
from _bench.processes import CLIENT_CORE, PROGRAMS, SERVER_CORE, Program, answer, on_core, parsed
from _bench.shim import CLIENTS, IMPORTS, NOT_REALTIME, REALTIME, client_on

_MOST = 6
_PROFILED = 64 * 40  # messages
_SESSIONS = 200
_ADDRESS = re.compile(" at 0x[0-9a-f]+")

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

_OWN = """
import cProfile, json, pathlib, pstats
{before}
profile = cProfile.Profile()
profile.runcall({call})
stats = pstats.Stats(profile).stats
own = sorted(((row[2], key) for key, row in stats.items() if "epoll" not in key[2]), reverse=True)
whole = sum(seconds for seconds, _ in own)
names = [f"{{pathlib.Path(file).stem}} {{name}}" if line else name for _, (file, line, name) in own]
print(json.dumps([(name, seconds / whole) for name, (seconds, _) in list(zip(names, own))[:{most}]]))
"""

_RULE = """
from rtstt_shim import fix_url
def fix(urls):
    for _ in range(2000):
        for url in urls:
            fix_url(url)
"""

_ONE_TEST = """
import asyncio, sys
sys.path.insert(0, {folder!r})
import per_test
asyncio.run(per_test.ours())
"""

_IDLE = """
import asyncio, collections, gc, json, pathlib, tracemalloc
from websockets.asyncio.client import connect
from rtstt_testkit import RealtimeServer

async def main():
    async with RealtimeServer() as server:
        url, headers = server.url + "?intent=transcription", {{"Authorization": "Bearer sk-of-the-benchmark"}}
        async def opened():
            return await connect(url, additional_headers=headers, compression=None, proxy=None)
        clients = [await opened()]
        tracemalloc.start()
        clients += [await opened() for _ in range({sessions})]
        gc.collect()
        kept = collections.Counter()
        for found in tracemalloc.take_snapshot().statistics("filename"):
            path = pathlib.PurePath(found.traceback[0].filename)
            kept["/".join(path.with_suffix("").parts[-2:])] += found.size
        print(json.dumps(kept))
        for client in clients:
            await client.close()

asyncio.run(main())
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
    return _import_times(python, "pass", "from rtstt_core.cli import main; import rtstt_testkit.commands.mock")


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


def _rule(figure):
    urls = NOT_REALTIME if "not" in figure.name else REALTIME
    return _own_time(answer([_env.environment(wheel=_env.wheel()), "-c", _own(_RULE, f"fix, {urls!r}")], CLIENT_CORE))


def _stop(figure):
    with _profiled_mock() as server, on_core(CLIENT_CORE):
        port = server.port()
        opened = [websocket.connect(port) for _ in range(_SESSIONS)]
        spent = server.after_stop()
        for raw in opened:
            raw.close()
    return f"opening and ending {_SESSIONS}, {_own_time(spent)}"


def _silent(figure):
    python = _env.environment(wheel=_env.wheel(), extras=["testkit"])
    given = answer([python, "-c", "from rtstt_testkit.mock.server.server import _STOP_SECONDS as given; print(given)"])
    return f"{given * 1000:.0f} ms of it are the time that clients are given to answer the CLOSE; {_stop(figure)}"


def _idle(figure):
    python = _env.environment(wheel=_env.wheel(), extras=["testkit"])
    kept = collections.Counter(answer([python, "-c", _IDLE.format(sessions=_SESSIONS)], CLIENT_CORE))
    parts = [f"{name} {size / _SESSIONS / 1024:.1f} KiB" for name, size in kept.most_common(_MOST)]
    return f"with its client, by where it was allocated (tracemalloc): {', '.join(parts)}"


def _one_test(figure):
    python = _env.environment(wheel=_env.wheel(), extras=["testkit"])
    code = _own(_ONE_TEST.format(folder=str(PROGRAMS)), "asyncio.run, per_test.ours()")
    return _own_time(answer([python, "-c", code], CLIENT_CORE))


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
    more = (1 / figure.ratio - 1) / figure.peer * 1e6  # the ratio is that of the rounds, and not of the medians
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
            calls.append(collections.Counter(parsed(client.finish())))
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
    frames = [websocket.frame(event) for event in websocket.append_events()]
    with _profiled_mock() as server, on_core(CLIENT_CORE):
        websocket.Blaster(server.port(), frames).round(20_000)
        return _own_time(server.after_stop())


def _profiled_mock():
    """The mock's command, which says what it spent its time with when it ends."""
    python = _env.environment(wheel=_env.wheel(), extras=["testkit"])
    return Program([python, "-c", _own("from rtstt_core.cli import main", 'main, ["mock"]')], core=SERVER_CORE)


def _own(before, call):
    return _OWN.format(before=before, call=call, most=_MOST * 2)


def _own_time(spent):
    parts = [f"{_ADDRESS.sub('', name).strip('<>')} {share:.0%}" for name, share in spent]
    return f"own time under cProfile: {', '.join(parts)}"


_PROFILES = {
    "import rtstt_shim": _imports,
    "imported already": _imports,
    "the shim active": _hooked,
    "with the preload": _preload,
    "echo on": _messages,
    "deltas on": _messages,
    "fix_url": _rule,
    "appends received": _appends,
    "CPU of a session": _appends,
    "start to `listening`": _start,
    "stop with": _stop,
    "none of whose clients answers": _silent,
    "memory of an idle session": _idle,
    "a server for one test": _one_test,
    "with two workers": _workers,
}
