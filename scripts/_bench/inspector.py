"""What the inspector costs the mock: with nobody looking, and with its page open on the session that is sent.

With nobody looking, the inspector works out the waveform of audio that is about to be dropped, and nothing else. Every
second session is without it, in the same process: between two processes, the places of their memory make more of a
difference. Keeping the audio is a row of its own, since the control API serves it too.
"""

import contextlib

import _env
from _bench import websocket
from _bench.figure import Samples, beside, interleave
from _bench.processes import CLIENT_CORE, SERVER_CORE, on_core, python_program

_APPENDS = 20_000
"""In a round, which is one session of 17 minutes."""


def measure(quick):
    """Yield the figures."""
    python = _env.environment(wheel=_env.wheel(), extras=["testkit"])
    costs = _costs(python, websocket.append_frames(), 5 if quick else 61)
    if None in costs["idle"]:
        return  # not on Linux
    name = "CPU of one append of 50 ms"
    yield beside(f"{name}, nobody looking", "µs", Samples(costs["idle"], costs["without"]), "no inspector", most=1.05)
    yield beside(f"{name}, the page open", "µs", Samples(costs["open"], costs["idle"]), "nobody looking", most=1.5)
    yield beside(f"{name}, its audio kept", "µs", Samples(costs["kept"], costs["idle"]), "all audio dropped")


def _costs(python, frames, rounds):
    """Return the CPU time of an append in each case, in µs, measured in turn."""
    with contextlib.ExitStack() as stack:
        servers = {
            case: stack.enter_context(python_program(python, "no_inspector.py", "mock", *words, core=SERVER_CORE))
            for case, words in {"idle": ["--keep-audio", "0"], "kept": [], "open": ["--keep-audio", "0"]}.items()
        }
        ports = {case: server.port() for case, server in servers.items()}
        stack.enter_context(on_core(CLIENT_CORE))
        stack.enter_context(python_program(python, "page.py", ports["open"], core=CLIENT_CORE)).line()
        blasters = {case: (servers[case], websocket.Blaster(port, frames)) for case, port in ports.items()}
        without = websocket.Blaster(ports["idle"], frames, path=f"{websocket.PATH}&inspector=no")
        blasters["without"] = servers["idle"], without
        measures = {}
        for case, (server, blaster) in blasters.items():
            blaster.round(_APPENDS)
            measures[case] = lambda blaster=blaster, server=server: blaster.cpu_round(server, _APPENDS)[1]
        return interleave(rounds, measures)
