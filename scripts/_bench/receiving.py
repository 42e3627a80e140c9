"""Appends of 50 ms that the mock receives on one core as fast as it can, beside its peers with the same frames."""

import contextlib

import _env
from _bench import websocket
from _bench.figure import Samples, beside, interleave, single
from _bench.processes import CLIENT_CORE, PROGRAMS, SERVER_CORE, Program, on_core, python_program

AIMOCK = {"@copilotkit/aimock": "1.43.0"}
AIMOCK_NAME = f"aimock {AIMOCK['@copilotkit/aimock']}"
MOCK = "import sys; from rtstt_core.cli import main; sys.exit(main())"
NO_PYBASE64 = "import sys; sys.modules['pybase64'] = None; "


def mock(python, *words, core=SERVER_CORE, before=""):
    """Start `rtstt-shim mock`."""
    return Program([python, "-c", before + MOCK, "mock", *words], core=core)


def aimock(core=SERVER_CORE):
    """Start aimock; None without Node.js."""
    node = _env.node()
    if node is None:
        return None
    command = _env.npm_project(AIMOCK) / "node_modules" / "@copilotkit" / "aimock" / "dist" / "aimock-cli.js"
    return Program([node.executable, command, "--config", PROGRAMS / "aimock.json", "--port", "0"], core=core)


def measure(quick):
    """Yield the figures."""
    python = _env.environment(wheel=_env.wheel(), extras=["testkit"])
    plain = websocket.append_frames()
    packed = [websocket.frame(event, deflated=True) for event in websocket.append_events()]
    servers = {
        "ours": (lambda: mock(python), plain),
        AIMOCK_NAME: (aimock, plain),
        "websockets, read and discard": (lambda: python_program(python, "read.py", core=SERVER_CORE), plain),
        "`json.loads` + `b64decode`": (lambda: python_program(python, "read.py", "decode", core=SERVER_CORE), plain),
        "without pybase64": (lambda: mock(python, before=NO_PYBASE64), plain),
        "with permessage-deflate": (lambda: mock(python, "--compression"), packed),
    }
    rates = _rates(servers, 3 if quick else 7, 6_000 if quick else 25_000)
    name = "appends received, decoded and searched for speech"
    targets = {AIMOCK_NAME: 1.0, "websockets, read and discard": 0.5, "`json.loads` + `b64decode`": 1.0}
    for peer, least in targets.items():
        if peer in rates:
            yield beside(name, "/s", Samples(rates["ours"], rates[peer]), peer, least=least)
    for variant in ("without pybase64", "with permessage-deflate"):
        yield beside(name, "/s", Samples(rates["ours"], rates[variant]), f"ours, {variant}")
    yield from _cost(python, plain, quick)


def _rates(servers, rounds, frames):
    """Return the frames a second of each server, measured in turn."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(on_core(CLIENT_CORE))
        measures = {}
        for name, (start, sent) in servers.items():
            if program := start():
                stack.enter_context(program)
                blaster = websocket.Blaster(program.port(), sent, deflate=sent is not servers["ours"][1])
                blaster.round(frames // 4)
                measures[name] = lambda blaster=blaster: blaster.round(frames)
        return interleave(rounds, measures)


def _cost(python, frames, quick):
    """Yield the CPU time that the mock takes for one append."""
    with mock(python) as server, on_core(CLIENT_CORE):
        blaster = websocket.Blaster(server.port(), frames)
        costs = [blaster.cpu_round(server, 10_000 if quick else 40_000)[1] for _ in range(3 if quick else 5)]
    if None not in costs:
        yield single("CPU of one append of 50 ms", "µs", costs)
