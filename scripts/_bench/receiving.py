"""The mock on one core: appends of 50 ms as fast as they are taken, beside its peers, with the same frames."""

import statistics

import _env
from _bench import websocket
from _bench.figure import Figure, Samples, beside, spread
from _bench.processes import CLIENT_CORE, PROGRAMS, SERVER_CORE, Program, on_core, python_program

SECTION = "the mock on one core"
AIMOCK = {"@copilotkit/aimock": "1.43.0"}
MOCK = "import sys; from rtstt_core.cli import main; sys.exit(main())"
NO_PYBASE64 = "import sys; sys.modules['pybase64'] = None; "


def mock(python, *words, core=SERVER_CORE, before=""):
    """`rtstt-shim mock`, running."""
    return Program([python, "-c", before + MOCK, "mock", *words], core=core)


def aimock(core=SERVER_CORE):
    """aimock, running; None without Node."""
    node = _env.node()
    if node is None:
        return None
    command = _env.npm_project(AIMOCK) / "node_modules" / "@copilotkit" / "aimock" / "dist" / "aimock-cli.js"
    return Program([node.executable, command, "--config", PROGRAMS / "aimock.json", "--port", "0"], core=core)


def measure(quick):
    """Yield the figures."""
    python = _env.environment(wheel=_env.wheel(), extras=["testkit"])
    events = websocket.append_events()
    plain = [websocket.frame(event) for event in events]
    packed = [websocket.frame(event, deflated=True) for event in events]
    servers = {
        "ours": (lambda: mock(python), plain),
        "aimock 1.43.0": (aimock, plain),
        "websockets, read and discard": (lambda: python_program(python, "discard.py", core=SERVER_CORE), plain),
        "`json.loads` + `b64decode`": (lambda: python_program(python, "decode.py", core=SERVER_CORE), plain),
        "without pybase64": (lambda: mock(python, before=NO_PYBASE64), plain),
        "with permessage-deflate": (lambda: mock(python, "--compression"), packed),
    }
    rates = rounds(servers, 3 if quick else 7, 6_000 if quick else 25_000)
    ours = rates["ours"]
    name = "appends received, decoded and listened to"
    for peer, least in (
        ("aimock 1.43.0", 1.0),
        ("websockets, read and discard", 0.5),
        ("`json.loads` + `b64decode`", 1.0),
    ):
        if peer in rates:
            yield beside(SECTION, name, "/s", Samples(ours, rates[peer]), peer, least=least)
    for part in ("without pybase64", "with permessage-deflate"):
        yield beside(SECTION, f"the same, and {part}", "/s", Samples(ours, rates[part]), part)
    yield from per_append(python, plain, quick)


def rounds(servers, count, frames):
    """The frames a second of each server, one after the other in every round."""
    rates = {}
    programs, blasters = {}, {}
    try:
        with on_core(CLIENT_CORE):
            for name, (start, sent) in servers.items():
                program = start()
                if program is None:
                    continue
                programs[name] = program
                deflate = name == "with permessage-deflate"
                blasters[name] = websocket.Blaster(program.port(), sent, deflate=deflate)
                blasters[name].round(frames // 4)
            for number in range(count):
                order = list(blasters)
                for name in order if number % 2 == 0 else reversed(order):
                    rates.setdefault(name, []).append(blasters[name].round(frames))
    finally:
        for program in programs.values():
            program.__exit__()
    return rates


def per_append(python, frames, quick):
    """What an append costs the process, which another program on the core does not change."""
    with mock(python) as server, on_core(CLIENT_CORE):
        blaster = websocket.Blaster(server.port(), frames)
        costs = []
        for _ in range(3 if quick else 5):
            before = server.cpu()
            if before is None:
                return
            rate_frames = 10_000 if quick else 40_000
            blaster.round(rate_frames)
            costs.append((server.cpu() - before) / rate_frames * 1e6)
    yield Figure(SECTION, "CPU of one append of 50 ms", "µs", statistics.median(costs), spread(costs))
