"""What the inspector costs the mock: with nobody looking, and with its page open on the session that is sent.

The peer is the mock with the same control API that keeps the same audio, without the inspector. With nobody looking,
the inspector works out the waveform of audio that is about to be dropped, and nothing else. Keeping the audio is a row
of its own, since the control API serves it too.
"""

import contextlib

import _env
from _bench import websocket
from _bench.figure import Samples, beside, interleave
from _bench.processes import CLIENT_CORE, on_core, python_program
from _bench.receiving import mock

_APPENDS = 20_000
"""In a round, which is one session of 17 minutes."""

NO_INSPECTOR = "import rtstt_testkit.commands._serving as made; made.ROUTES, made.work_out = (), None; "
DROP = ("--keep-audio", "0")
IDLE = "nobody looking"
DROPPED = "nobody looking, all audio dropped"


def measure(quick):
    """Yield the figures."""
    python = _env.environment(wheel=_env.wheel(), extras=["testkit"])
    frames = [websocket.frame(event) for event in websocket.append_events()]
    costs = _costs(python, frames, 5 if quick else 15)
    if None in costs[IDLE]:
        return  # a platform without /proc
    name, peer = "CPU of one append of 50 ms", "without the inspector"
    yield beside(f"{name}, {IDLE}", "µs", Samples(costs[IDLE], costs["kept"]), peer, most=1.05)
    yield beside(f"{name}, {DROPPED}", "µs", Samples(costs[DROPPED], costs["dropped"]), peer, most=1.05)
    yield beside(f"{name}, the page open", "µs", Samples(costs["open"], costs[IDLE]), IDLE, most=1.5)
    yield beside(f"{name}, its audio kept", "µs", Samples(costs["kept"], costs["dropped"]), "all audio dropped")


def _costs(python, frames, rounds):
    """Return the CPU time of an append in each case, in µs, measured in turn."""
    cases = {
        "kept": (NO_INSPECTOR,),
        IDLE: ("",),
        "dropped": (NO_INSPECTOR, *DROP),
        DROPPED: ("", *DROP),
        "open": ("",),
    }
    with contextlib.ExitStack() as stack:
        stack.enter_context(on_core(CLIENT_CORE))
        measures = {}
        for name, (before, *words) in cases.items():
            server = stack.enter_context(mock(python, *words, before=before))
            port = server.port()
            if name == "open":
                page = stack.enter_context(python_program(python, "page.py", port, core=CLIENT_CORE))
                page.line()
            blaster = websocket.Blaster(port, frames)
            blaster.round(_APPENDS // 4)
            measures[name] = lambda blaster=blaster, server=server: blaster.cpu_round(server, _APPENDS)[1]
        return interleave(rounds, measures)
