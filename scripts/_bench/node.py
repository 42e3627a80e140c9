"""What the shim costs a Node program."""

import _env
from _bench.figure import Samples, beside, in_turn
from _bench.processes import CLIENT_CORE, PROGRAMS, SERVER_CORE, Program, on_core, python_program, wall

WS = {"ws": "8.18.3"}
SECTION = "the shim, Node"
PRELOAD = _env.ROOT / "shim" / "rtstt_shim" / "node" / "register.mjs"


def measure(quick):
    """Yield the figures."""
    node = _env.node()
    if node is None:
        _env.say(f"Node.js {_env.NODE} or newer is not installed: its figures are left out")
        return
    project = _env.npm_project(WS)
    yield from start(node, project, 10 if quick else 40)
    for kind in ("echo", "stream"):
        yield sockets(node, project, kind, quick)


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


def sockets(node, project, kind, quick):
    samples = Samples([], [])
    for _ in range(2 if quick else 5):
        with python_program(_env.environment(), "frames.py", core=SERVER_CORE) as server:
            path = "/echo" if kind == "echo" else "/v1/realtime?intent=transcription"
            words = [PROGRAMS / "client.mjs", project / "package.json", f"ws://127.0.0.1:{server.port()}{path}"]
            with (
                Program([node.executable, "--import", PRELOAD, *words], core=CLIENT_CORE, stdin=True) as ours,
                Program([node.executable, *words], core=CLIENT_CORE, stdin=True) as peer,
            ):
                count = 64 * 64
                for client in (ours, peer, ours, peer):
                    client.ask(f"{kind} {count}")
                took = peer.ask(f"{kind} {count}")["cpu"]
                count = max(64, round(count * 0.12 / took / 64) * 64)

                def rate(client, count=count):
                    return count / client.ask(f"{kind} {count}")["cpu"]

                some = in_turn(4 if quick else 8, lambda: rate(ours), lambda: rate(peer))
        samples.ours.extend(some.ours)
        samples.peer.extend(some.peer)
    if kind == "echo":
        name, least = "echo on a socket that is not realtime: ws", 0.99
    else:
        name, least = "deltas on a watched socket: ws", 0.97
    return beside(SECTION, name, "messages/CPU s", samples, "without the preload", least=least)
