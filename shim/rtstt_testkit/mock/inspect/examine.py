"""From the records of a server's sessions to its findings and its audio ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rtstt_testkit.mock.inspect.findings.finding import Finding, Observation, Outcome
from rtstt_testkit.mock.inspect.findings.table import find
from rtstt_testkit.mock.inspect.ledger import AudioLedger
from rtstt_testkit.mock.inspect.record import SessionRecord
from rtstt_testkit.speech import Recording, load, recordings

__all__ = ["examine", "make_ledger"]

_RATE = 24000


def examine(
    sessions: Sequence[SessionRecord],
    now: float,
    *,
    finished: bool = False,
    outcome: Outcome | None = None,
    recording: str | Recording | None = None,
) -> list[Finding]:
    """Return what the clients of a server did wrong.

    Args:
        sessions: The records.
        now: The time, in seconds since the first session.
        finished: Whether the clients are known to have ended, so that no further attempt can follow.
        outcome: What the program showed to its user, None where it is not known.
        recording: What one client sent, None where it is not known: then the audio is not checked.

    Raises:
        KeyError: No recording has that name.
        RuntimeError: ``recording`` needs numpy, which is not installed.
    """
    ledger = None if recording is None else make_ledger(sessions, recording)
    return find(Observation(sessions, now, finished, outcome, ledger))


def make_ledger(sessions: Iterable[SessionRecord], recording: str | Recording | None = None) -> AudioLedger:
    """Return which parts of a recording arrived in the sessions of one client.

    Args:
        sessions: The records.
        recording: A bundled recording by its name, or a `Recording`; None for the bundled one that best matches.

    Raises:
        KeyError: No recording has that name.
        RuntimeError: numpy is not installed.
    """
    try:
        from rtstt_testkit.mock.inspect.align import Received, align
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "numpy":
            raise
        raise RuntimeError("the audio ledger needs numpy; install it with: pip install 'rtstt-shim[exam]'") from None
    received = [
        Received(record.number, record.audio, record.audio_format, record.audio_dropped)
        for record in sessions
        if record.audio_received
    ]

    if recording is None:
        ledgers = [align(of.name, of.pcm, _RATE, received, try_rates=False) for of in recordings().values()]
        most = max(ledgers, key=lambda found: found.arrived if found.pieces else 0.0)
        if sum(piece.end - piece.start for piece in most.pieces) >= most.unknown:
            return most
        # Most of the sound is in none of them as it was sent.
        others = (align(of.name, of.pcm, _RATE, received) for of in recordings().values())
        return next((found for found in others if found.speeds), most)
    of = load(recording) if isinstance(recording, str) else recording
    return align(of.name, of.pcm, _RATE, received)
