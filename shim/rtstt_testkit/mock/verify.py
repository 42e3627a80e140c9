"""Whether a test's client did what its script expected."""

from __future__ import annotations

from collections.abc import Sequence

from rtstt_testkit.mock.explain import explain
from rtstt_testkit.mock.record import SessionRecord
from rtstt_testkit.mock.script import Director, Transcript

__all__ = ["ScriptNotFollowed", "verify"]


class ScriptNotFollowed(AssertionError):
    """Transcripts were left over, or more clients connected than were expected."""


def verify(director: Director, sessions: Sequence[SessionRecord], connected: int, expected: int | None) -> None:
    """Check what is left of a script.

    Args:
        director: Who handed out the transcripts.
        sessions: What happened.
        connected: How many clients connected.
        expected: How many might have, None for any number.

    Raises:
        ScriptNotFollowed: Something is left, or too many came.
    """
    problems = []
    left = director.left
    if left:
        total = len(director.script.transcripts)
        shown = ", ".join(_shown(transcript) for transcript in left[:5]) + (", …" if len(left) > 5 else "")
        problems.append(
            f"{len(left)} of {total} transcripts were not used: {shown}. "
            f"Each answers one committed item with speech; {director.items} came. "
            "Pass strict=False if some may be left over."
        )
    if expected is not None and connected > expected:
        problems.append(
            f"{connected} clients connected where connections={expected} allows {expected}. "
            "Raise it, or leave it out to allow any number."
        )
    if problems:
        seen = [f"  {session!r}: {' '.join(explain(session))}" for session in sessions[:10]]
        raise ScriptNotFollowed("\n".join([*problems, *(["What happened:", *seen] if seen else [])]))


def _shown(transcript: Transcript) -> str:
    conditions = [
        f"{name}={value!r}"
        for name in ("model", "language", "connection")
        if (value := getattr(transcript, name)) is not None
    ]
    what = "a failure" if transcript.failure is not None else repr(transcript.spoken("the default text"))
    return what + (f" (for {', '.join(conditions)})" if conditions else "")
