"""Checks of what the program that uses the client shows to its user."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rtstt_testkit.mock.inspect.findings.clients import ending, reason
from rtstt_testkit.mock.inspect.findings.finding import Evidence, Observation
from rtstt_testkit.mock.inspect.record import COMPLETED, FAILED, SessionRecord

__all__ = [
    "crashed",
    "failed_ignored",
    "hung",
    "never_connected",
    "normalized",
    "out_of_order_mixed_up",
    "silent_failure",
    "transcript_doubled",
    "transcript_lost",
]

_COMPARED = 200  # characters of a transcript; a program may cut a long one
_REPORTS = re.compile(
    r"fail|error|errno|exception|refus|reject|denied|unauthori[sz]ed|forbidden|too many|rate.?limit|quota|credit"
    r"|billing|invalid|unavailable|cannot|could not|unable|timed? ?out|disconnect|clos(?:e|ed|ing)\b|warn"
    r"|no transcript|reconnect|retry|interrupted",
    re.IGNORECASE,
)
_TRACEBACK = "Traceback (most recent call last):"
_CRASHED = re.compile(r"^node:internal/|UnhandledPromiseRejection|panicked at", re.M)


class SentTranscript(NamedTuple):
    """A transcript that was sent.

    Attributes:
        record: The session.
        number: The number of the event.
        at: When it was sent.
        id: The item's identifier.
        text: The transcript, in the form in which texts are compared.
    """

    record: SessionRecord
    number: int
    at: float
    id: str
    text: str


def normalized(text: str) -> str:
    """Return a text in the form in which transcripts are compared: words in lower case, without punctuation."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def crashed(seen: Observation) -> Iterator[Evidence]:
    """Yield the end of a program that ended with an exception or a signal."""
    outcome = seen.outcome
    if outcome is None or not outcome.exit_code:
        return
    if outcome.exit_code < 0:
        yield Evidence(f"the program was ended by signal {-outcome.exit_code}")
    elif _CRASHED.search(outcome.log) or _ends_with_traceback(outcome.log):
        last = next((line for line in reversed(outcome.log.splitlines()) if line.strip()), "")
        yield Evidence(f"the program ended with {outcome.exit_code} and an unhandled exception: {last.strip()[:200]}")


def _ends_with_traceback(log: str) -> bool:
    """Return whether an exception ended the program; one that was logged is followed by what else it printed."""
    _, traceback, rest = log.rpartition(_TRACEBACK)
    return bool(traceback) and len(re.findall(r"^\S", rest, re.M)) <= 1


def hung(seen: Observation) -> Iterator[Evidence]:
    """Yield a program that had to be stopped."""
    if seen.outcome is not None and seen.outcome.timed_out:
        yield Evidence("the program did not end and was stopped")


def never_connected(seen: Observation) -> Iterator[Evidence]:
    """Yield a program that opened no connection."""
    outcome = seen.outcome
    if outcome is None or seen.sessions:
        return
    how = "was stopped" if outcome.exit_code is None else f"ended with {outcome.exit_code}"
    last = next((line.strip() for line in reversed(outcome.log.splitlines()) if line.strip()), "")
    output = f"; its last line: {last[:200]}" if last else ", and it printed nothing" if not outcome.transcript else ""
    yield Evidence(f"no connection came, and the program {how}{output}")


def silent_failure(seen: Observation) -> Iterator[Evidence]:
    """Yield failures after which nothing was transcribed, nothing was reported and the exit code was 0."""
    outcome = seen.outcome
    if outcome is None or outcome.exit_code != 0 or _REPORTS.search(outcome.log) or _completed(seen.sessions):
        return
    for record in seen.sessions[:1]:
        errors = [
            (number, event)
            for number, event in enumerate(record.events, 1)
            if event.type == "error" and event.dropped is None
        ]
        if errors:
            number, event = errors[0]
            text = f"the server answered {event.data['error'].get('message')!r:.150}"
            yield Evidence(f"{text}, and the program reported nothing", record.number, event.at, number)
        elif ending(record) in ("fatal", "transient"):
            yield Evidence(f"{reason(record)}, and the program reported nothing", record.number)


def failed_ignored(seen: Observation) -> Iterator[Evidence]:
    """Yield failed items that the program did not report."""
    outcome = seen.outcome
    if outcome is None or outcome.exit_code or _REPORTS.search(outcome.log):
        return
    for record in seen.sessions:
        for number, event in enumerate(record.events, 1):
            if event.type == FAILED and event.dropped is None:
                message = str((event.data.get("error") or {}).get("message"))[:120]
                yield Evidence(f"{message} The program reported nothing", record.number, event.at, number)


def transcript_lost(seen: Observation) -> Iterator[Evidence]:
    """Yield transcripts that were sent and that the program did not print."""
    if seen.outcome is None:
        return
    printed = normalized(" ".join(seen.outcome.transcript))
    for item in _completed(seen.sessions):
        if item.text and item.text not in printed:
            yield Evidence(f"{item.text!r} was sent and not printed", item.record.number, item.at, item.number)


def transcript_doubled(seen: Observation) -> Iterator[Evidence]:
    """Yield transcripts that the program printed more often than there are items with them."""
    if seen.outcome is None:
        return
    printed = normalized("\n".join(seen.outcome.transcript))
    items = {(item.record.number, item.id): item for item in _completed(seen.sessions)}
    counts = Counter(item.text for item in items.values() if item.text)
    firsts = {item.text: item for item in reversed(items.values())}
    for text, count in counts.items():
        shown = len(re.findall(rf"\b{re.escape(text)}\b", printed))
        if shown > count and not any(text != other and text in other for other in counts):
            item = firsts[text]
            times = "once" if count == 1 else f"for {count} items"
            yield Evidence(
                f"{text!r} was sent {times} and printed {shown} times", item.record.number, item.at, item.number
            )


def out_of_order_mixed_up(seen: Observation) -> Iterator[Evidence]:
    """Yield transcripts that the program printed in the order of completion where that is not the order of speech."""
    if seen.outcome is None:
        return
    printed = normalized("\n".join(seen.outcome.transcript))
    for record in seen.sessions:
        order = [event.data.get("item_id") for event in record.events if event.type == "input_audio_buffer.committed"]
        items = [item for item in _completed([record]) if item.id in order and printed.count(item.text) == 1]
        for index, late in enumerate(items):
            for early in items[:index]:
                if order.index(late.id) < order.index(early.id) and printed.find(early.text) < printed.find(late.text):
                    text = f"{late.text!r} was spoken before {early.text!r}, and the program printed it after it"
                    yield Evidence(text, record.number, late.at, late.number)


def _completed(sessions: Sequence[SessionRecord]) -> list[SentTranscript]:
    """Return the transcripts that were sent, in the order in which they were."""
    return [
        SentTranscript(
            record, number, event.at, str(event.data.get("item_id")), normalized(event.data["transcript"][:_COMPARED])
        )
        for record in sessions
        for number, event in enumerate(record.events, 1)
        if event.type == COMPLETED and event.dropped is None
    ]
