"""Test kit for realtime speech-to-text clients; importing it never activates the shim.

PYTEST_DONT_REWRITE: pytest rewrites the packages of its plugins, and warns of those that are imported already.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rtstt_testkit.cassette.player import CassetteMismatch, Replay
    from rtstt_testkit.mock.inspect.accuracy import word_error_rate
    from rtstt_testkit.mock.inspect.findings.finding import Finding, Outcome
    from rtstt_testkit.mock.inspect.findings.table import NotResilient
    from rtstt_testkit.mock.inspect.ledger import AudioIncomplete, AudioLedger
    from rtstt_testkit.mock.inspect.verify import ScriptNotFollowed
    from rtstt_testkit.mock.protocol.events import Failure, Segment
    from rtstt_testkit.mock.script.delays import Delays, Percentiles
    from rtstt_testkit.mock.script.faults import Fault
    from rtstt_testkit.mock.script.script import Script, Transcript
    from rtstt_testkit.mock.server.server import RealtimeServer
    from rtstt_testkit.mock.server.threaded import ThreadedRealtimeServer
    from rtstt_testkit.mock.session.latency import Latency
    from rtstt_testkit.recording.recorder import Recorder

__all__ = [
    "AudioIncomplete",
    "AudioLedger",
    "CassetteMismatch",
    "Delays",
    "Failure",
    "Fault",
    "Finding",
    "Latency",
    "NotResilient",
    "Outcome",
    "Percentiles",
    "RealtimeServer",
    "Recorder",
    "Replay",
    "Script",
    "ScriptNotFollowed",
    "Segment",
    "ThreadedRealtimeServer",
    "Transcript",
    "word_error_rate",
]

_HOMES = {
    "AudioIncomplete": "rtstt_testkit.mock.inspect.ledger",
    "AudioLedger": "rtstt_testkit.mock.inspect.ledger",
    "Finding": "rtstt_testkit.mock.inspect.findings.finding",
    "NotResilient": "rtstt_testkit.mock.inspect.findings.table",
    "Outcome": "rtstt_testkit.mock.inspect.findings.finding",
    "Delays": "rtstt_testkit.mock.script.delays",
    "Percentiles": "rtstt_testkit.mock.script.delays",
    "word_error_rate": "rtstt_testkit.mock.inspect.accuracy",
    "CassetteMismatch": "rtstt_testkit.cassette.player",
    "Fault": "rtstt_testkit.mock.script.faults",
    "Failure": "rtstt_testkit.mock.protocol.events",
    "Latency": "rtstt_testkit.mock.session.latency",
    "RealtimeServer": "rtstt_testkit.mock.server.server",
    "Recorder": "rtstt_testkit.recording.recorder",
    "Replay": "rtstt_testkit.cassette.player",
    "Script": "rtstt_testkit.mock.script.script",
    "ScriptNotFollowed": "rtstt_testkit.mock.inspect.verify",
    "Segment": "rtstt_testkit.mock.protocol.events",
    "ThreadedRealtimeServer": "rtstt_testkit.mock.server.threaded",
    "Transcript": "rtstt_testkit.mock.script.script",
}


def __getattr__(name: str) -> Any:
    """Import the module of a public name when the name is first used (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
