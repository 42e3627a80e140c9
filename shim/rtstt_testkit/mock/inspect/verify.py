"""Whether a test's client did what its script expects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rtstt_testkit.mock.inspect.explain import alike, attempts
from rtstt_testkit.mock.inspect.record import SessionRecord
from rtstt_testkit.mock.script.script import ScriptCursor, Transcript

__all__ = ["Expected", "ScriptNotFollowed", "verify"]

#: How many clients may connect: a number, as many as the script has transcripts for, or None for any number.
Expected = int | Literal["scripted"] | None


class ScriptNotFollowed(AssertionError):
    """Part of a script was not used or not sent, or more clients connected than expected."""


def verify(
    cursor: ScriptCursor,
    sessions: Sequence[SessionRecord],
    connected: int,
    expected: Expected,
    unexpected: Sequence[int],
) -> None:
    """Check that a script was used up and that its answers were sent.

    Args:
        cursor: The position in the script.
        sessions: What happened.
        connected: How many clients connected.
        expected: How many may connect.
        unexpected: The numbers of the connections for which no transcript was left when they came.

    Raises:
        ScriptNotFollowed: It was not; the message says what was expected, what happened and how to relax the check.
    """
    problems = [*_unused_transcripts(cursor), *_unsent_transcripts(cursor, sessions), *_unused_faults(cursor)]
    if isinstance(expected, int) and connected > expected:
        problems.append(
            f"{_clients(connected)} connected where connections={expected} allows {expected}. "
            "Raise it, or leave it out to allow as many as the script has transcripts for."
        )
    elif expected == "scripted" and unexpected:
        numbers = ", ".join(map(str, unexpected[:5])) + (", …" if len(unexpected) > 5 else "")
        problems.append(
            f"Connection {numbers} of {connected} was not expected: none of the "
            f"{len(cursor.script.transcripts)} transcripts was left for it. "
            "Add one, or pass connections=N to allow N clients, connections=None to allow any number."
        )
    if problems:
        runs = alike(sessions)
        seen = [f"  {_named(run)}: {explanation}" for run, explanation in runs[:10]]
        if len(runs) > 10:
            seen.append(f"  … and {sum(len(run) for run, _ in runs[10:])} more sessions.")
        raise ScriptNotFollowed("\n".join([*problems, *(["What happened:", *seen] if seen else [])]))


def _unused_transcripts(cursor: ScriptCursor) -> list[str]:
    unused = cursor.unused
    if not unused:
        return []
    shown = ", ".join(_shown(transcript) for transcript in unused[:5]) + (", …" if len(unused) > 5 else "")
    return [
        f"{len(unused)} of {len(cursor.script.transcripts)} transcripts were not used: {shown}. "
        f"Each answers one committed item with speech; {cursor.items} came. "
        "Pass strict=False if some may stay unused."
    ]


def _unsent_transcripts(cursor: ScriptCursor, sessions: Sequence[SessionRecord]) -> list[str]:
    scripted = {transcript.full_text(cursor.script.default) for transcript in cursor.script.transcripts}
    unsent = [repr(text) for record in sessions for text in record.unsent_transcripts if text in scripted]
    if any(transcript.failure is not None for transcript in cursor.script.transcripts):
        unsent += ["a failure"] * sum(record.unsent_failures for record in sessions)
    if not unsent:
        return []
    shown = ", ".join(unsent[:5]) + (", …" if len(unsent) > 5 else "")
    return [
        f"{len(unsent)} of {len(cursor.script.transcripts)} transcripts were never sent: {shown}. "
        "The connection ended first; wait for `…completed` of the last item before closing. "
        "Pass strict=False if the client may leave before."
    ]


def _unused_faults(cursor: ScriptCursor) -> list[str]:
    unmatched_faults = cursor.unmatched_faults
    if not unmatched_faults:
        return []
    shown = ", ".join(map(str, unmatched_faults[:5])) + (", …" if len(unmatched_faults) > 5 else "")
    return [
        f"{len(unmatched_faults)} of {len(cursor.script.faults)} faults were not applied: {shown}. "
        "No such event came on a connection that they are for. Pass strict=False if some need not be."
    ]


def _clients(count: int) -> str:
    return "1 client" if count == 1 else f"{count} clients"


def _named(run: Sequence[SessionRecord]) -> str:
    return repr(run[0]) if len(run) == 1 else f"{run[0]!r} and {len(run) - 1} like it ({attempts(run)})"


def _shown(transcript: Transcript) -> str:
    conditions = [
        f"{name}={value!r}"
        for name in ("model", "language", "connection", "item", "recording")
        if (value := getattr(transcript, name)) is not None
    ]
    answer = "a failure" if transcript.failure is not None else repr(transcript.full_text("the default text"))
    return answer + (f" (for {', '.join(conditions)})" if conditions else "")
