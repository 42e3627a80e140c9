"""CPU time of a message: a client with the shim beside the same one without it, at the same server.

The server costs next to nothing and runs on another core. What is compared is the client's own CPU time. Other programs
on the machine change it too, by the caches and the clock they share, and for longer than a short measurement: the two
are measured by turns, and a round is the median difference of several such pairs.
"""

import contextlib
import statistics
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from _bench import websocket
from _bench.figure import Samples, added, in_turn
from _bench.processes import CLIENT_CORE, SERVER_CORE, Program, python_program

BATCH = 64
"""The server streams multiples of this many messages."""

SECONDS = 0.03
"""The CPU time of one measurement, about."""

PAIRS = 9
"""How many measurements of each of the two make a round."""


class Traffic(NamedTuple):
    """What goes over a socket.

    Attributes:
        path: The path of the server that sends it.
        name: What is measured, in words.
        most: The target: the CPU time that the shim may add to a message, in µs.
    """

    path: str
    name: str
    most: float


TRAFFIC = {
    "echo": Traffic("/echo", "CPU of a message on a socket that is not watched", 0),
    "stream": Traffic(websocket.PATH, "CPU of a delta on a watched socket", 3),
    "storm": Traffic(f"{websocket.PATH}&sends=errors", "CPU of one of many error events on a watched socket", 2),
    "audio": Traffic("/v1/realtime?model=gpt-realtime", "CPU of a message of 32 KiB on a watched conversation", 3),
    "packed": Traffic(f"{websocket.PATH}&packed=1", "CPU of a compressed delta on a watched socket", 1),
}
PLAIN = ("echo", "stream", "storm", "audio")


class Client(NamedTuple):
    """A program that takes the server's URL as its last argument, and the number of messages from stdin.

    Attributes:
        library: The library it connects with.
        ours: Its command with the shim.
        peer: Its command without it.
        peer_name: What the latter is called.
        warm_up: How many batches it takes before it is measured.
        most: The targets that differ from those of TRAFFIC, by its keys.
        kinds: The keys of TRAFFIC that are measured.
    """

    library: str
    ours: tuple
    peer: tuple
    peer_name: str
    warm_up: int
    most: Mapping = MappingProxyType({})
    kinds: tuple = PLAIN


def figures(python, clients, quick):
    """Yield the figures of all traffic, client by client."""
    for kind in TRAFFIC:
        for client in clients:
            if kind in client.kinds:
                yield measure(python, client, kind, quick)


@contextlib.contextmanager
def listening(python, kind):
    """Run a server for this traffic; the value is its URL."""
    with python_program(python, "frames.py", core=SERVER_CORE) as server:
        yield f"ws://127.0.0.1:{server.port()}{TRAFFIC[kind].path}"


def measure(python, client, kind, quick):
    """Return what the shim adds to the CPU time of a message; new processes for every few rounds.

    Args:
        python: The interpreter that runs the server.
        client: The client.
        kind: A key of TRAFFIC.
        quick: Whether to take fewer rounds.
    """
    traffic = TRAFFIC[kind]
    most = client.most.get(kind, traffic.most)
    samples = Samples([], [])
    for _ in range(2 if quick else 5):
        with (
            listening(python, kind) as url,
            Program([*client.ours, url], core=CLIENT_CORE, stdin=True) as ours,
            Program([*client.peer, url], core=CLIENT_CORE, stdin=True) as peer,
        ):
            count = BATCH * client.warm_up
            for program in (ours, ours, peer):
                program.ask(f"{kind} {count}")
            took = peer.ask(f"{kind} {count}")["cpu"]
            count = max(BATCH, round(count * SECONDS / took / BATCH) * BATCH)

            def cost(program, count=count):
                return program.ask(f"{kind} {count}")["cpu"] / count * 1e6

            for _ in range(3 if quick else 8):
                pairs = in_turn(PAIRS, lambda: cost(ours), lambda: cost(peer))
                samples.peer.append(statistics.median(pairs.peer))
                samples.ours.append(samples.peer[-1] + statistics.median(pairs.differences))
    return added(f"{traffic.name}: {client.library}", "µs", samples, client.peer_name, most=most)
