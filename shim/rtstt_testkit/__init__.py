"""Test kit for realtime speech-to-text clients; importing it never activates the shim."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rtstt_testkit.mock.faults import Fault
    from rtstt_testkit.mock.latency import Latency
    from rtstt_testkit.mock.script import Failure, Script, Segment, Transcript
    from rtstt_testkit.mock.server import RealtimeServer
    from rtstt_testkit.mock.threaded import ThreadedRealtimeServer
    from rtstt_testkit.mock.verify import ScriptNotFollowed

__all__ = [
    "Failure",
    "Fault",
    "Latency",
    "RealtimeServer",
    "Script",
    "ScriptNotFollowed",
    "Segment",
    "ThreadedRealtimeServer",
    "Transcript",
]

_HOMES = {
    "Fault": "rtstt_testkit.mock.faults",
    "Failure": "rtstt_testkit.mock.script",
    "Latency": "rtstt_testkit.mock.latency",
    "RealtimeServer": "rtstt_testkit.mock.server",
    "Script": "rtstt_testkit.mock.script",
    "ScriptNotFollowed": "rtstt_testkit.mock.verify",
    "Segment": "rtstt_testkit.mock.script",
    "ThreadedRealtimeServer": "rtstt_testkit.mock.threaded",
    "Transcript": "rtstt_testkit.mock.script",
}


def __getattr__(name: str) -> Any:
    """Import a public name's module when it is first used (PEP 562), so that nothing loads before it is
    needed.
    """
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
