"""What the shim costs a Python program: its import, the URL rule, and the messages on its sockets."""

import statistics

import _env
from _bench import sockets
from _bench.figure import added, beside, in_turn, single
from _bench.processes import CLIENT_CORE, PROGRAMS, answer

CLIENTS = ("websockets>=15,<18", "aiohttp>=3.14,<4", "websocket-client>=1.9,<2")
IMPORTS = {
    "websockets": "import websockets.asyncio.client",
    "aiohttp": "import aiohttp",
    "websocket-client": "import websocket",
}
LIBRARIES = ("websockets, asyncio", "websockets, sync", "aiohttp", "websocket-client")
BARE = "`import wrapt`"

TIMED = "import time\n{before}\nbegun = time.process_time()\n{code}\nprint((time.process_time() - begun) * 1000)"

FIX_URL = """
import json, time, timeit
from rtstt_shim import fix_url
urls = {urls!r}
number = 2000

def took(url):
    return timeit.timeit(lambda: fix_url(url), number=number, timer=time.process_time) / number * 1e6

times = [[took(url) for url in urls] for _ in range({rounds})]
print(json.dumps(times))
"""
NOT_REALTIME = ("wss://stream.example.com/v2/listen?model=nova-3&encoding=linear16", "wss://ws.example.com/socket")
REALTIME = (
    "wss://api.openai.com/v1/realtime?intent=transcription&model=gpt-4o-mini-transcribe",
    "wss://eu.api.openai.com/v1/realtime?model=gpt-4o-mini-transcribe-2025-12-15",
    "wss://api.openai.com/v1/realtime?model=gpt-realtime-1.5",
    "wss://gateway.example.com/v1/realtime?intent=transcription&model=whisper%2D1&user=a+b",
)


def measure(quick):
    """Yield the figures."""
    wheel = _env.wheel()
    bare = _env.environment(wheel=wheel)
    python = _env.environment(CLIENTS, wheel=wheel)
    yield from imports(bare, python, 5 if quick else 15)
    yield from rule(bare, 5 if quick else 30)
    yield from sockets.figures(python, [_client(python, library) for library in LIBRARIES], quick)


def _client(python, library):
    ours, peer = ((python, PROGRAMS / "client.py", library, shim) for shim in ("with", "without"))
    return sockets.Client(library, ours, peer, "without the shim", warm_up=16)


def imports(bare, python, rounds):
    """Yield the CPU time of importing the shim, and of importing a client while the shim is active."""

    def timed(interpreter, before, ours, peer):
        def run(before, code):
            return answer([interpreter, "-c", TIMED.format(before=before, code=code)], CLIENT_CORE)

        return in_turn(rounds, lambda: run(before[0], ours), lambda: run(before[1], peer))

    shim, wrapt = "import rtstt_shim", "import wrapt"
    samples = timed(bare, ("pass", "pass"), shim, wrapt)
    yield beside("`import rtstt_shim`, no client installed", "ms", samples, BARE, most=1.15)
    for client, code in IMPORTS.items():
        samples = timed(python, (code, code), shim, wrapt)
        yield added(f"the same, with {client} imported already", "ms", samples, BARE, most=5)
    for client, code in IMPORTS.items():
        samples = timed(python, (shim, wrapt), code, code)
        yield added(f"importing {client}, the shim active", "ms", samples, "without it", most=2, share=0.01)


def rule(python, rounds):
    """Yield the CPU time of the slowest URL of each kind."""
    for name, urls, most in (("not realtime", NOT_REALTIME, 3), ("realtime", REALTIME, 15)):
        times = answer([python, "-c", FIX_URL.format(urls=urls, rounds=rounds)], CLIENT_CORE)
        slowest = max(zip(*times, strict=True), key=statistics.median)
        yield single(f"`fix_url`, {name}", "µs", list(slowest), most=most)
