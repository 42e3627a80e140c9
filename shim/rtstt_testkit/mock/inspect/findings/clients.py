"""Which sessions belong to one client, and how each of them ended."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any, Literal

from rtstt_testkit.mock.inspect.record import SessionRecord

__all__ = ["Client", "Ending", "ended_at", "ending", "group_clients", "lasted", "reason"]

Client = list[SessionRecord]
"""The sessions of one client, in the order in which they opened."""

Ending = Literal["open", "done", "transient", "fatal"]
"""How a session ended: not yet; as intended or by the client; as a retry can repair; as none can."""

#: Statuses of a refused upgrade that a retry of the same request does not change (RFC 9110, sections 15.5 and 15.6).
_FATAL_STATUSES = frozenset({400, 401, 402, 403, 404, 405, 410, 426})
#: Close codes by which OpenAI's endpoint refuses a request: PROTOCOL.md, section 1; 1008 is RFC 6455's.
_FATAL_CODES = frozenset({1008, 3000, 4000, 4004})
#: Close codes of a server whose client broke the protocol: RFC 6455, section 7.4.1.
_OWN_CODES = frozenset({1002, 1003, 1007, 1009})
_ENDINGS = frozenset({"close", "reset", "stall", "expire", "truncate"})

_REMEMBERED = 120.0  # seconds after which a further session counts as another client's
_OVERLAP = 0.5  # seconds by which a new session may open before the server sees the end of the last one
#: Headers that differ from one attempt of a client to the next.
_OWN_HEADERS = frozenset({"sec-websocket-key", "traceparent", "tracestate", "x-request-id", "x-stainless-retry-count"})


def lasted(record: SessionRecord) -> float:
    """Return how long a session was usable, in seconds.

    A stalled connection is not usable from the stall on. An open session has not ended: infinity.
    """
    stalled = [fault.at for fault in record.faults if fault.action == "stall"]
    if stalled:
        return stalled[0]
    return float("inf") if record.open else record.closed_at or 0.0


def ended_at(record: SessionRecord) -> float:
    """Return when a session ended or stalled, in seconds since the server's first session."""
    return record.opened_at + record.handshake_seconds + lasted(record)


def ending(record: SessionRecord) -> Ending:
    """Return how a session ended."""
    if record.internal_error is not None:
        return "done"
    if record.http_status != 101:
        return "fatal" if record.http_status in _FATAL_STATUSES else "transient"
    if record.refusal is not None:
        return "fatal"
    actions = {fault.action for fault in record.faults}
    if "stall" in actions:
        return "transient"
    close = record.close
    if close is None:
        return "open"
    if close.by == "client":
        return "transient" if actions & _ENDINGS else "done"
    if close.code in _FATAL_CODES or "quota" in close.reason:
        return "fatal"
    if "keepalive ping timeout" in close.reason or close.code in _OWN_CODES:
        return "done"
    # A mock that stops closes 1001 without a reason.
    intended = close.code == 1000 or (close.code == 1001 and not close.reason and not actions & _ENDINGS)
    return "done" if intended else "transient"


def reason(record: SessionRecord) -> str:
    """Return why a session ended, in words."""
    if record.http_status != 101:
        return f"HTTP {record.http_status}"
    if any(fault.action == "stall" for fault in record.faults):
        return "the connection fell silent"
    close = record.close
    if close is None:
        return "it is open"
    if close.code == 1006:
        return "the connection was reset" if close.by == "server" else "the connection was lost"
    words = f" {close.reason}" if close.reason else ""
    return f"close {close.code}{words} by the {close.by}"


def group_clients(sessions: Sequence[SessionRecord]) -> list[Client]:
    """Return the sessions of each client.

    Sessions belong to one client when their opening requests are alike and one opened after the other ended; of several
    that ended, it is the latest.
    """
    clients: list[Client] = []
    running: dict[Any, list[tuple[float, int]]] = {}  # heaps: when the last session of a client ends, and its index
    ended: dict[Any, list[tuple[float, int]]] = {}
    for record in sessions:
        identity = _identity(record)
        heap, stack = running.setdefault(identity, []), ended.setdefault(identity, [])
        while heap and heap[0][0] <= record.opened_at + _OVERLAP:
            stack.append(heappop(heap))
        if stack and record.opened_at - stack[-1][0] <= _REMEMBERED:
            _, index = stack.pop()
            clients[index].append(record)
        else:
            stack.clear()
            index = len(clients)
            clients.append([record])
        heappush(heap, (ended_at(record), index))
    return clients


def _identity(record: SessionRecord) -> Any:
    handshake = record.handshake
    headers = sorted((name, value) for name, value in handshake.headers.items() if name not in _OWN_HEADERS)
    return (
        handshake.path,
        tuple((name, tuple(values)) for name, values in sorted(handshake.query.items())),
        tuple(headers),
        tuple(handshake.subprotocols),
    )
