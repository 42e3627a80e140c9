"""Whether a test's client did what its script expected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rtstt_testkit.mock.inspect.explain import alike, pauses
from rtstt_testkit.mock.inspect.record import SessionRecord
from rtstt_testkit.mock.script.script import ScriptCursor, Transcript

__all__ = ["Expected", "ScriptNotFollowed", "verify"]

#: How many clients may connect: a number, as many as the script has answers for, or None for any number.
Expected = int | Literal["scripted"] | None


class ScriptNotFollowed(AssertionError):
    """Part of a script was left over, or clients connected that were not expected."""


def verify(
    cursor: ScriptCursor,
    sessions: Sequence[SessionRecord],
    connected: int,
    expected: Expected,
    unexpected: Sequence[int],
) -> None:
    """Check what is left of a script.

    Args:
        cursor: Who handed out the transcripts.
        sessions: What happened.
        connected: How many clients connected.
        expected: How many might have.
        unexpected: The numbers of the connections that the script had nothing left for when they came.

    Raises:
        ScriptNotFollowed: Something is left, or too many came.
    """
    problems = [*_left_over(cursor), *_not_happened(cursor)]
    if isinstance(expected, int) and connected > expected:
        problems.append(
            f"{_clients(connected)} connected where connections={expected} allows {expected}. "
            "Raise it, or leave it out to allow as many as the script has answers for."
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
        seen = [f"  {_named(run)}: {said}" for run, said in runs[:10]]
        if len(runs) > 10:
            seen.append(f"  … and {sum(len(run) for run, _ in runs[10:])} more sessions.")
        raise ScriptNotFollowed("\n".join([*problems, *(["What happened:", *seen] if seen else [])]))


def _left_over(cursor: ScriptCursor) -> list[str]:
    left = cursor.left
    if not left:
        return []
    shown = ", ".join(_shown(transcript) for transcript in left[:5]) + (", …" if len(left) > 5 else "")
    return [
        f"{len(left)} of {len(cursor.script.transcripts)} transcripts were not used: {shown}. "
        f"Each answers one committed item with speech; {cursor.items} came. "
        "Pass strict=False if some may be left over."
    ]


def _not_happened(cursor: ScriptCursor) -> list[str]:
    unmatched_faults = cursor.unmatched_faults
    if not unmatched_faults:
        return []
    shown = ", ".join(map(str, unmatched_faults[:5])) + (", …" if len(unmatched_faults) > 5 else "")
    return [
        f"{len(unmatched_faults)} of {len(cursor.script.faults)} faults did not happen: {shown}. "
        "No such event came on a connection it is for. Pass strict=False if it need not."
    ]


def _clients(count: int) -> str:
    return "1 client" if count == 1 else f"{count} clients"


def _named(run: Sequence[SessionRecord]) -> str:
    return repr(run[0]) if len(run) == 1 else f"{run[0]!r} and {len(run) - 1} like it ({pauses(run)})"


def _shown(transcript: Transcript) -> str:
    conditions = [
        f"{name}={value!r}"
        for name in ("model", "language", "connection", "item", "recording")
        if (value := getattr(transcript, name)) is not None
    ]
    what = "a failure" if transcript.failure is not None else repr(transcript.spoken("the default text"))
    return what + (f" (for {', '.join(conditions)})" if conditions else "")
