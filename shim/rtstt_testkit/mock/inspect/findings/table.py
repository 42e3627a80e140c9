"""Every finding with its check, its meaning and what to do about it; FINDINGS.md has a section for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, get_args

from rtstt_testkit.mock.inspect.findings import conduct, delivery, reconnecting, reported
from rtstt_testkit.mock.inspect.findings.finding import Evidence, Finding, FindingName, Observation

__all__ = ["FINDINGS", "NotResilient", "Row", "check_resilient", "find"]


class NotResilient(AssertionError):
    """A client did something wrong."""


class Row(NamedTuple):
    """One kind of finding.

    Attributes:
        name: Its name.
        check: Yields the evidence for it.
        meaning: What it means, as a sentence.
        fix: What to do about it, as a sentence.
    """

    name: FindingName
    check: Callable[[Observation], Iterator[Evidence]]
    meaning: str
    fix: str


FINDINGS: tuple[Row, ...] = (
    Row(
        "never_connected",
        reported.never_connected,
        "The program opened no connection to the server.",
        "Let it read its endpoint from OPENAI_BASE_URL, or connect to api.openai.com, which is routed to the server.",
    ),
    Row("hung", reported.hung, "The program did not end.", "Give every wait a time-out, and exit when it expires."),
    Row(
        "crashed",
        reported.crashed,
        "The program ended with an unhandled exception or a signal.",
        "Handle every exception of the connection and of the parser, and report it.",
    ),
    Row(
        "request_refused",
        conduct.request_refused,
        "The endpoint refuses the client's request.",
        "Correct what the error names; for `model` in the URL, `import rtstt_shim` does that.",
    ),
    Row(
        "retried_fatal",
        reconnecting.retried_fatal,
        "The client kept retrying although the refusal was final.",
        "Stop at a refused key, model, URL or account, and report it; retry only temporary failures.",
    ),
    Row(
        "reconnect_storm",
        reconnecting.reconnect_storm,
        "The client reconnected again and again with hardly a pause.",
        "Wait between attempts: exponential backoff with jitter and a limit, reset only after a session that lasted.",
    ),
    Row(
        "no_backoff",
        reconnecting.no_backoff,
        "The pauses between failed attempts did not grow.",
        "Double the pause after every failure, up to a limit, with jitter.",
    ),
    Row(
        "gave_up_too_early",
        reconnecting.gave_up_too_early,
        "The client gave up after a temporary interruption.",
        "Retry lost connections, 429, 5xx, 1001, 1006, 1011 and 1012 at least twice before giving up.",
    ),
    Row(
        "budget_not_reset",
        reconnecting.budget_not_reset,
        "The client counted interruptions over its lifetime, and gave up after one that it would have survived "
        "earlier.",
        "Reset the count of retries when a session has worked.",
    ),
    Row(
        "session_update_missing_after_reconnect",
        conduct.session_update_missing_after_reconnect,
        "A later session got audio without the settings that the first one had.",
        "Send session.update on every connection; a new session starts with the defaults, without a transcription "
        "model.",
    ),
    Row(
        "audio_before_updated",
        conduct.audio_before_updated,
        "Audio was sent before the session was configured.",
        "Hold audio in a buffer until session.update is sent, or better until session.updated arrives.",
    ),
    Row(
        "refused_update_ignored",
        conduct.refused_update_ignored,
        "The settings were refused, and the client continued to stream: no transcript can come.",
        "Treat an error that answers session.update as the end of the session, and report it.",
    ),
    Row(
        "closed_before_completed",
        conduct.closed_before_completed,
        "The client closed while a transcript was on its way.",
        "After the last commit, wait for completed or failed of every committed item, then close.",
    ),
    Row(
        "ping_ignored",
        conduct.ping_ignored,
        "The client did not answer a PING.",
        "Keep the event loop free, and read while you send.",
    ),
    Row(
        "failed_ignored",
        reported.failed_ignored,
        "An item failed, and the program did not report it.",
        "Handle conversation.item.input_audio_transcription.failed: report it, and settle what waits for the item.",
    ),
    Row(
        "silent_failure",
        reported.silent_failure,
        "Nothing was transcribed, and the program reported nothing.",
        "Log error events, close codes and refused handshakes, and end with an exit code other than 0.",
    ),
    Row(
        "transcript_lost",
        reported.transcript_lost,
        "A transcript was sent and did not reach the user.",
        "Keep one transcript for each item_id, and show it whatever came before or between.",
    ),
    Row(
        "transcript_doubled",
        reported.transcript_doubled,
        "A transcript reached the user more than once.",
        "Keep one transcript for each item_id: a second completed of an item is the same transcript.",
    ),
    Row(
        "out_of_order_mixed_up",
        reported.out_of_order_mixed_up,
        "Transcripts reached the user in the order of completion instead of the order of speech.",
        "Order items by previous_item_id of input_audio_buffer.committed, not by when they complete.",
    ),
    Row(
        "wrong_sample_rate",
        delivery.wrong_sample_rate,
        "The audio was recorded at another rate than the session's format has: it plays too fast or too slowly.",
        "Resample it to the rate of the format; `audio/pcm` is 24 kHz, one channel, 16 bits.",
    ),
    Row(
        "leading_audio_lost",
        delivery.leading_audio_lost,
        "The beginning of the audio was lost.",
        "Record into a buffer from the start, and send it when the session is ready.",
    ),
    Row(
        "audio_lost",
        delivery.audio_lost,
        "Audio was lost.",
        "Keep audio until its item is completed, and send what is left again in the next session.",
    ),
    Row(
        "audio_doubled",
        delivery.audio_doubled,
        "Audio was transcribed more than once.",
        "After a reconnect, continue where the last completed item ended.",
    ),
)

assert {row.name for row in FINDINGS} == set(get_args(FindingName))


#: The findings that another finding explains; they are not reported beside it.
_EXPLAINS: dict[str, frozenset[str]] = {
    "hung": frozenset({"gave_up_too_early", "budget_not_reset", "silent_failure", "transcript_lost", "audio_lost"}),
    "crashed": frozenset({"gave_up_too_early", "budget_not_reset", "transcript_lost", "audio_lost"}),
    "request_refused": frozenset({"hung", "gave_up_too_early", "audio_lost"}),
    "closed_before_completed": frozenset({"transcript_lost"}),
    "wrong_sample_rate": frozenset({"leading_audio_lost", "audio_lost", "hung", "transcript_doubled"}),
    "session_update_missing_after_reconnect": frozenset({"audio_lost", "hung", "silent_failure"}),
    "refused_update_ignored": frozenset({"audio_lost", "hung", "silent_failure"}),
}


def find(seen: Observation) -> list[Finding]:
    """Return what is wrong, in the order of the table.

    Args:
        seen: What was observed.
    """
    found = []
    for row in FINDINGS:
        evidence = tuple(row.check(seen))
        if evidence:
            found.append(Finding(row.name, row.meaning, row.fix, evidence))
    explained = {name for finding in found for name in _EXPLAINS.get(finding.name, ())}
    return [finding for finding in found if finding.name not in explained]


def check_resilient(found: Iterable[Finding], except_: Iterable[str]) -> None:
    """Check that nothing was found.

    Args:
        found: The findings.
        except_: The names of findings to allow.

    Raises:
        NotResilient: Something else was found.
        ValueError: A name is not in the table.
    """
    __tracebackhide__ = True
    allowed = {except_} if isinstance(except_, str) else set(except_)
    known = [row.name for row in FINDINGS]
    for name in sorted(allowed.difference(known)):
        raise ValueError(f"unknown finding {name!r}; there are {', '.join(known)}")
    wrong = [finding for finding in found if finding.name not in allowed]
    if wrong:
        lines = [f"  {finding}" for finding in wrong]
        names = ", ".join(repr(finding.name) for finding in wrong)
        raise NotResilient("\n".join(["The client is not resilient:", *lines, f"To allow it: except_=[{names}]"]))
