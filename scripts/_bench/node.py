"""What the shim costs a Node program."""

import _env
from _bench import sockets
from _bench.figure import beside, in_turn
from _bench.processes import CLIENT_CORE, PROGRAMS, on_core, wall

LIBRARY = "ws"
WS = {LIBRARY: "8.18.3"}
SECTION = "the shim, Node"
PRELOAD = _env.ROOT / "shim" / "rtstt_core" / "node" / "register.mjs"


def measure(quick):
    """Yield the figures."""
    node = _env.node()
    if node is None:
        _env.say(f"Node.js {_env.NODE} or newer is not installed: its figures are left out")
        return
    project = _env.npm_project(WS)
    yield from start(node, project, 10 if quick else 40)
    client = client_on(node, project)
    for kind in sockets.TRAFFIC:
        yield sockets.measure(_env.environment(), client, kind, quick)


def client_on(node, project, *options):
    words = (PROGRAMS / "client.mjs", project / "package.json")
    ours, peer = (node.executable, *options, "--import", PRELOAD, *words), (node.executable, *options, *words)
    return sockets.Client(SECTION, LIBRARY, ours, peer, "without the preload", batches=64, warm_ups=2)


def start(node, project, rounds):
    nothing = PROGRAMS / "nothing.mjs"
    loads_ws = f"require({str(project / 'node_modules' / 'ws')!r})"
    for name, code in (("an empty program", "0"), ("a program that loads ws", loads_ws)):
        with on_core(CLIENT_CORE):
            samples = in_turn(
                rounds,
                lambda code=code: wall([node.executable, "--import", PRELOAD, "-e", code]),
                lambda code=code: wall([node.executable, "--import", nothing, "-e", code]),
            )
        yield beside(SECTION, f"start to end of {name}, with the preload", "ms", samples, "an empty preload", most=1.15)
