"""Checks of how a client reconnects: whether it should, how fast, how often and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby, pairwise

from rtstt_testkit.mock.inspect.findings.clients import Client, ended_at, ending, lasted, reason
from rtstt_testkit.mock.inspect.findings.delivery import is_left
from rtstt_testkit.mock.inspect.findings.finding import Evidence, Observation
from rtstt_testkit.mock.inspect.record import APPEND, SessionRecord

__all__ = ["budget_not_reset", "gave_up_too_early", "no_backoff", "reconnect_storm", "retried_fatal"]

_FATAL_ATTEMPTS = 3  # one further attempt may be caution
_STORM_ATTEMPTS = 4
_LONG_STORM = 10  # attempts from which on even growing pauses of this length are none
_STORM_PAUSE = 0.25  # seconds
_BACKOFF_ATTEMPTS = 4
_GROWTH = 1.5  # by which the longest pause exceeds the shortest where a client backs off
_ALIKE = 0.05  # seconds by which equal pauses differ
_LONG_PAUSE = 10.0  # seconds; constant pauses of this length are no load
_RETRIES = 2
_QUIET = 30.0  # seconds without a further attempt after which a client has given up
_STREAMING = 2.0  # seconds since the last append within which a client is streaming


def retried_fatal(seen: Observation) -> Iterator[Evidence]:
    """Yield runs of attempts that were all refused in a way that no retry changes."""
    for client in seen.clients:
        for why, run in groupby(client, key=lambda record: reason(record) if ending(record) == "fatal" else None):
            records = list(run)
            if why is not None and len(records) >= _FATAL_ATTEMPTS:
                seconds = records[-1].opened_at - records[0].opened_at
                yield Evidence(
                    f"{len(records)} attempts in {seconds:.1f} s, each answered with {why}", records[0].number, 0.0
                )


def reconnect_storm(seen: Observation) -> Iterator[Evidence]:
    """Yield runs of failed attempts with hardly a pause between."""
    for run in _failed_runs(seen):
        if _is_storm(run):
            yield _run_evidence(run)


def no_backoff(seen: Observation) -> Iterator[Evidence]:
    """Yield runs of failed attempts whose pauses do not grow."""
    for run in _failed_runs(seen):
        pauses = _pauses(run)
        if len(run) < _BACKOFF_ATTEMPTS or _is_storm(run) or sum(pauses) / len(pauses) >= _LONG_PAUSE:
            continue
        if not _grow(pauses):
            yield _run_evidence(run)


def gave_up_too_early(seen: Observation) -> Iterator[Evidence]:
    """Yield clients that did not reconnect though a retry could have helped."""
    for client in seen.clients:
        failures = _last_failures(client, seen)
        if 0 < len(failures) <= _RETRIES and not _exhausted(client, failures):
            retries = len(failures) - 1
            last = failures[-1]
            yield Evidence(
                f"{reason(last)}, and no further attempt came after "
                f"{'no retry' if not retries else '1 retry' if retries == 1 else f'{retries} retries'}",
                last.number,
                lasted(last),
            )


def budget_not_reset(seen: Observation) -> Iterator[Evidence]:
    """Yield clients that recovered several times, and then did not retry at all."""
    for client in seen.clients:
        failures = _last_failures(client, seen)
        if _exhausted(client, failures):
            last = failures[-1]
            yield Evidence(
                f"{reason(last)}, and no further attempt came; {_recoveries(client)} earlier interruptions were "
                "survived, each with a transcript after it",
                last.number,
                lasted(last),
            )


def _exhausted(client: Client, failures: list[SessionRecord]) -> bool:
    return len(failures) == 1 and _recoveries(client) >= _RETRIES


def _recoveries(client: Client) -> int:
    return sum(ending(before) == "transient" and bool(after.transcripts) for before, after in pairwise(client))


def _last_failures(client: Client, seen: Observation) -> list[SessionRecord]:
    """Return the failures after which a client gave up although it was not done; none if it did not give up."""
    last = client[-1]
    if ending(last) != "transient" or not (seen.finished or seen.now - ended_at(last) >= _QUIET):
        return []
    if not (_was_busy(last) if seen.ledger is None else is_left(seen)):
        return []
    failures = [last]
    for record in reversed(client[:-1]):
        if ending(record) != "transient" or record.transcripts:
            break
        failures.insert(0, record)
    return failures


def _was_busy(record: SessionRecord) -> bool:
    """Return whether a session ended while its client still wanted something."""
    if not record.transcripts:
        return True
    end = lasted(record)
    items = dict.fromkeys(("speech_started", "committed", "completed", "failed"), 0)
    for event in record.events:
        kind = event.type.rpartition(".")[2]
        if event.sender == "server" and event.dropped is None and kind in items:
            items[kind] += 1
        if event.type == APPEND and event.until >= end - _STREAMING:
            return True
    return max(items["speech_started"], items["committed"]) > items["completed"] + items["failed"]


def _failed_runs(seen: Observation) -> Iterator[list[SessionRecord]]:
    """Yield the runs of consecutive attempts of a client that failed for a passing reason, without a transcript."""
    for client in seen.clients:
        for failed, run in groupby(client, key=_failed):
            records = list(run)
            if failed and len(records) > 1:
                yield records


def _failed(record: SessionRecord) -> bool:
    """Return whether a session ended for a passing reason without a transcript; one that lasted to its limit held."""
    at_limit = record.close is not None and record.close.at_limit
    return ending(record) == "transient" and not record.transcripts and not at_limit


def _pauses(run: list[SessionRecord]) -> list[float]:
    return [max(after.opened_at - ended_at(before), 0.0) for before, after in pairwise(run)]


def _is_storm(run: list[SessionRecord]) -> bool:
    pauses = _pauses(run)
    if len(run) < _STORM_ATTEMPTS or sum(pauses) / len(pauses) >= _STORM_PAUSE:
        return False
    return len(run) >= _LONG_STORM or not _grow(pauses)


def _grow(pauses: list[float]) -> bool:
    return max(pauses) >= _GROWTH * min(pauses) + _ALIKE


def _run_evidence(run: list[SessionRecord]) -> Evidence:
    pauses = _pauses(run)
    shown = ", ".join(f"{pause:.2f}" for pause in pauses[:6]) + (", …" if len(pauses) > 6 else "")
    return Evidence(f"{len(run)} failed attempts with pauses of {shown} s ({reason(run[-1])})", run[0].number, 0.0)
