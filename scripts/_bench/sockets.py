"""Messages on a socket: a client with the shim beside the same one without it, at the same server."""

import contextlib
from typing import NamedTuple

from _bench import websocket
from _bench.figure import Samples, beside, in_turn
from _bench.processes import CLIENT_CORE, SERVER_CORE, Program, python_program

BATCH = 64
"""The server streams multiples of this many messages."""

SECONDS = 0.12
"""The CPU time that the client without the shim takes for one measurement, about."""


class Traffic(NamedTuple):
    """What goes over a socket.

    Attributes:
        path: Where the server does that.
        name: What is measured, in words.
        least: The target of the ratio.
    """

    path: str
    name: str
    least: float


TRAFFIC = {
    "echo": Traffic("/echo", "echo on a socket that is not realtime", 0.99),
    "stream": Traffic(websocket.PATH, "deltas on a watched socket", 0.97),
}


class Client(NamedTuple):
    """A program that is told the server's URL, and then how many messages to take.

    Attributes:
        section: Where its figures belong.
        library: What it connects with.
        ours: Its command with the shim, the URL to follow.
        peer: Its command without it.
        peer_name: What the latter is called.
        batches: How many it takes at a time until it is warm.
        warm_ups: How often it does.
    """

    section: str
    library: str
    ours: tuple
    peer: tuple
    peer_name: str
    batches: int
    warm_ups: int


@contextlib.contextmanager
def listening(python, kind):
    """The URL of a server for this TRAFFIC, run by this interpreter."""
    with python_program(python, "frames.py", core=SERVER_CORE) as server:
        yield f"ws://127.0.0.1:{server.port()}{TRAFFIC[kind].path}"


def measure(python, client, kind, quick):
    """The messages a CPU second with the shim and without; new processes for every few rounds.

    Args:
        python: What runs the server.
        client: Who takes them.
        kind: Which TRAFFIC.
        quick: Whether fewer rounds are enough.
    """
    traffic = TRAFFIC[kind]
    samples = Samples([], [])
    for _ in range(2 if quick else 5):
        with (
            listening(python, kind) as url,
            Program([*client.ours, url], core=CLIENT_CORE, stdin=True) as ours,
            Program([*client.peer, url], core=CLIENT_CORE, stdin=True) as peer,
        ):
            count = BATCH * client.batches
            for program in (ours, peer) * client.warm_ups:
                program.ask(f"{kind} {count}")
            took = peer.ask(f"{kind} {count}")["cpu"]
            count = max(BATCH, round(count * SECONDS / took / BATCH) * BATCH)

            def rate(program, count=count):
                return count / program.ask(f"{kind} {count}")["cpu"]

            some = in_turn(4 if quick else 8, lambda: rate(ours), lambda: rate(peer))
        samples.ours.extend(some.ours)
        samples.peer.extend(some.peer)
    name = f"{traffic.name}: {client.library}"
    return beside(client.section, name, "messages/CPU s", samples, client.peer_name, least=traffic.least)
