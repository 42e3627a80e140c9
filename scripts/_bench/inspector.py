"""What the inspector costs the mock: with nobody looking, and with its page open on the session that is sent.

With nobody looking there are two costs. While the sessions have received less than the 256 MiB that they share, their
audio is kept in new memory. Beyond that, the waveform is worked out before audio is dropped.
"""

import contextlib

import _env
from _bench import websocket
from _bench.figure import Samples, beside, interleave
from _bench.processes import CLIENT_CORE, on_core, python_program
from _bench.receiving import mock

_APPENDS = 20_000
"""In a round, which is one session of 17 minutes; the system counts CPU time in steps of ten milliseconds."""

ALONE = "without the inspector"
IDLE = "nobody looking"
DROPPED = "nobody looking, all audio dropped"


def measure(quick):
    """Yield the figures."""
    python = _env.environment(wheel=_env.wheel(), extras=["testkit"])
    frames = [websocket.frame(event) for event in websocket.append_events()]
    costs = _costs(python, frames, 3 if quick else 9)
    if None in costs[ALONE]:
        return  # a platform without /proc
    name = "CPU of one append of 50 ms"
    for case in (IDLE, DROPPED):
        yield beside(f"{name}, {case}", "µs", Samples(costs[case], costs[ALONE]), ALONE, most=1.05)
    yield beside(f"{name}, the page open", "µs", Samples(costs["open"], costs[IDLE]), IDLE, most=1.5)


def _costs(python, frames, rounds):
    """Return the CPU time of an append in each case, in µs, measured in turn."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(on_core(CLIENT_CORE))
        measures = {}
        cases = {ALONE: ["--no-control"], IDLE: [], DROPPED: ["--keep-audio", "0"], "open": []}
        for name, words in cases.items():
            server = stack.enter_context(mock(python, *words))
            port = server.port()
            if name == "open":
                page = stack.enter_context(python_program(python, "page.py", port, core=CLIENT_CORE))
                page.line()
            blaster = websocket.Blaster(port, frames)
            blaster.round(_APPENDS // 4)
            measures[name] = lambda blaster=blaster, server=server: blaster.cpu_round(server, _APPENDS)[1]
        return interleave(rounds, measures)
