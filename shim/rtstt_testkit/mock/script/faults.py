"""Faults: what goes wrong, where and how often, at any event and at the handshake.

A fault is data; the session applies it when its event comes, and the server does what needs a socket. Several faults
may match one event: those ``before`` it are applied first, then those ``on`` it, then those ``after`` it, each group in
the order in which the faults are listed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, get_args

from rtstt_testkit.mock.protocol import errors
from rtstt_testkit.mock.protocol.admission import HttpRefusal
from rtstt_testkit.mock.protocol.errors import CLIENT_EVENTS, ApiError
from rtstt_testkit.mock.protocol.events import RATE_LIMITED, Sender

__all__ = ["CONNECT", "SERVER_EVENTS", "Action", "Fault", "FaultPlan"]

Action = Literal[
    "error",
    "close",
    "reset",
    "stall",
    "expire",
    "delay",
    "pause",
    "fail",
    "drop",
    "duplicate",
    "reorder",
    "malformed",
    "invalid_utf8",
    "binary",
    "truncate",
    "trickle",
    "http",
]

#: The handshake, as a value of ``on``.
CONNECT = "connect"

_TRANSCRIPTION = "conversation.item.input_audio_transcription"
#: The events that the mock sends.
SERVER_EVENTS = (
    "session.created",
    "session.updated",
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.timeout_triggered",
    "input_audio_buffer.committed",
    "input_audio_buffer.cleared",
    "conversation.item.added",
    "conversation.item.done",
    "conversation.item.retrieved",
    "conversation.item.truncated",
    "conversation.item.deleted",
    f"{_TRANSCRIPTION}.delta",
    f"{_TRANSCRIPTION}.segment",
    f"{_TRANSCRIPTION}.completed",
    f"{_TRANSCRIPTION}.failed",
    "response.created",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.done",
    "rate_limits.updated",
    "error",
)

#: The actions that change an event need ``on``; the others are applied ``before`` or ``after`` an event.
_ON_EVENT = frozenset(
    {"fail", "drop", "duplicate", "reorder", "malformed", "invalid_utf8", "binary", "truncate", "trickle"}
)
_ON_CONNECT = frozenset({"http", "delay", "reset"})
#: The actions for server events only; the only change to a client's event is ``drop``.
_SERVER_ONLY = (_ON_EVENT - {"drop"}) | {"pause"}
#: The events of an item's transcription, which ``pause`` and ``fail`` are for.
_PAUSABLE = frozenset(f"{_TRANSCRIPTION}.{part}" for part in ("delta", "segment", "completed", "failed"))
_FAILS = frozenset({f"{_TRANSCRIPTION}.completed"})
_ONLY_FOR = {"pause": _PAUSABLE, "fail": _FAILS}

#: The endpoint's messages by code, for an ``error`` fault that gives only a code.
_ERRORS = {
    error.code: error
    for error in (
        errors.incorrect_key("sk-" + "*" * 20),
        errors.BETA_DISABLED,
        errors.MISSING_MODEL,
        errors.INVALID_JSON,
        errors.BINARY_FRAME,
        errors.MAX_DURATION,
        errors.commit_too_small(0),
        errors.wrong_session_type("transcription", "realtime"),
        errors.missing_parameter("session.type"),
        errors.invalid_model(
            "You must not provide a model parameter for transcription sessions.", "[openai-python#2253]"
        ),
        errors.NO_CREDIT,
        errors.NO_QUOTA,
        errors.SPEND_LIMIT,
        errors.MODEL_NOT_FOUND,
    )
}
_SERVER_ERROR = "The server had an error while processing your request."


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        action: ``error`` (an ``error`` event), ``close`` (a CLOSE frame), ``expire`` (the error ``session_expired``
            and CLOSE 1001, as after 60 minutes), ``reset`` (of the TCP connection), ``stall`` (the connection stays
            open and silent), ``delay`` (this event and all after it come ``seconds`` later), ``pause`` (only the
            transcription of this item stops for ``seconds``), ``fail`` (``….failed`` instead of ``….completed``, 429
            by default), ``drop``, ``duplicate``, ``reorder`` (swap the event with the next), ``malformed`` (half its
            JSON), ``invalid_utf8``, ``binary`` (the event in a BINARY frame), ``truncate`` (half the frame, then the
            end of the connection), ``trickle`` (byte by byte over ``seconds``), ``http`` (refuse the upgrade with
            status ``code``).
        before: The type of the event, of either side, before which the fault is applied; its last part is enough
            (``delta``), and ``*`` is any.
        after: The type of the event after which the fault is applied.
        on: The type of the event that the fault changes, or ``connect``. A client's event can only be dropped.
        nth: Which of the events of that type in a session, counted from 1; None for every one.
        connection: Only on the nth connection.
        first: Only on the first n connections.
        probability: Apply the fault by chance, at every such event; ``nth`` is ignored then. A server's ``seed`` makes
            chance the same for the same connection, independent of other connections.
        code: The close code, the error's code, or the HTTP status.
        reason: The close reason.
        message: The error's message; left out, the endpoint's message for that ``code``, or that of a server error.
        seconds: The duration of a ``delay``, ``pause`` or ``trickle``, in seconds.

    Raises:
        ValueError: The values do not fit together; the message is one sentence with those that do.
    """

    action: Action
    before: str | None = None
    after: str | None = None
    on: str | None = None
    nth: int | None = 1
    connection: int | None = None
    first: int | None = None
    probability: float | None = None
    code: int | str | None = None
    reason: str = ""
    message: str | None = None
    seconds: float = 1.0

    def __post_init__(self) -> None:
        if self.action not in get_args(Action):
            raise ValueError(f"unknown action {self.action!r}; choose from {', '.join(get_args(Action))}")
        places = [name for name in ("before", "after", "on") if getattr(self, name) is not None]
        if len(places) != 1:
            raise ValueError(f"{self.action!r} needs one of before, after and on, not {' and '.join(places) or 'none'}")
        on_event = self.action in _ON_EVENT
        if self.on == CONNECT and self.action not in _ON_CONNECT:
            raise ValueError(f"{self.action!r} cannot be applied on connect; {', '.join(sorted(_ON_CONNECT))} can")
        if self.on != CONNECT and (on_event is not (self.on is not None) or self.action == "http"):
            need = "on='connect'" if self.action == "http" else "on" if on_event else "before or after"
            raise ValueError(f"{self.action!r} needs {need}, not {places[0]}={getattr(self, places[0])!r}")
        if self.on != CONNECT:
            self._check_event(places[0])
        if self.action in {"close", "http"} and self.code is not None:
            self._check_code(self.code)
        if self.probability is not None and not 0 <= self.probability <= 1:
            raise ValueError(f"probability is {self.probability!r}; it must be from 0 to 1")

    @property
    def event(self) -> str:
        """The event named by ``before``, ``after`` or ``on``."""
        return self.before or self.after or self.on or ""

    @property
    def error_message(self) -> str:
        """The message, or the default of the action."""
        if self.message is not None:
            return self.message
        return RATE_LIMITED if self.action == "fail" else _SERVER_ERROR

    @property
    def error(self) -> ApiError:
        """The error that it sends: a server error without a code, the endpoint's error for a known code."""
        if self.action == "expire":
            return errors.MAX_DURATION
        if self.code is None:
            return ApiError(self.error_message, type="server_error")
        known = _ERRORS.get(str(self.code))
        if known is not None and self.message is None:
            return known
        return ApiError(self.error_message, str(self.code))

    def _check_event(self, place: str) -> None:
        """Refuse a fault that no event can match."""
        possible = [type_ for type_ in (*SERVER_EVENTS, *CLIENT_EVENTS) if self._names(type_)]
        if not possible:
            known = [*SERVER_EVENTS, *CLIENT_EVENTS]
            close = get_close_matches(self.event, [*known, *(type_.rpartition(".")[2] for type_ in known)], 1)
            hint = f"did you mean {close[0]!r}?" if close else "give its type, the last part of it, or '*'"
            raise ValueError(f"{place}={self.event!r} is not an event of either side; {hint}")
        wanted = _ONLY_FOR.get(self.action)
        if wanted is not None and not wanted.intersection(possible):
            names = " or ".join(sorted(type_.rpartition(".")[2] for type_ in wanted))
            raise ValueError(f"{self.action!r} is for {names} of a transcription, not {place}={self.event!r}")
        if self.action in _SERVER_ONLY and not any(type_ in SERVER_EVENTS for type_ in possible):
            raise ValueError(f"{self.action!r} is for events that the server sends, not for {self.event!r}")

    def _check_code(self, code: int | str) -> None:
        if self.action == "http":
            fits = isinstance(code, int) and 400 <= code <= 599
            wanted = "an HTTP status from 400 to 599"
        else:
            fits = isinstance(code, int) and (3000 <= code <= 4999 or code in _CLOSE_CODES)
            wanted = "a close code that may be sent: 1000 to 1003, 1007 to 1014, 3000 to 4999"
        if not fits:
            raise ValueError(f"code is {code!r}; it must be {wanted}")

    def _names(self, type_: str) -> bool:
        wanted = self.event
        return wanted in ("*", type_) or type_.endswith(f".{wanted}")

    def matches(self, type_: str, sender: Sender) -> bool:
        """Return whether it is for an event.

        Args:
            type_: The event's type.
            sender: ``client`` or ``server``.
        """
        if sender == "client" and self.action in _SERVER_ONLY:
            return False
        wanted = _ONLY_FOR.get(self.action)
        return self._names(type_) and (wanted is None or type_ in wanted)

    def is_for(self, connection: int) -> bool:
        """Return whether it applies to a connection.

        Args:
            connection: The number of the connection, counted from 1.
        """
        return self.connection in (None, connection) and (self.first is None or connection <= self.first)

    def __str__(self) -> str:
        place = next(name for name in ("before", "after", "on") if getattr(self, name) is not None)
        nth = "" if self.nth in (1, None) else f" (number {self.nth})"
        return f"{self.action} {place} {self.event}{nth}"


_CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})


class FaultPlan:
    """The faults of one session, with a count of the events that each has matched.

    Args:
        faults: The faults of the server.
        connection: The session's number.
        chance: Returns random numbers from 0 up to 1.
        applied: Receives the indexes in ``faults`` of those that were applied.
    """

    def __init__(
        self,
        faults: Iterable[Fault],
        connection: int,
        chance: Callable[[], float],
        applied: set[int] | None = None,
    ) -> None:
        self._chance = chance
        self._faults = [(index, fault) for index, fault in enumerate(faults) if fault.is_for(connection)]
        self._events = dict.fromkeys((index for index, _ in self._faults), 0)
        self._applied = applied if applied is not None else set()

    def __bool__(self) -> bool:
        return bool(self._faults)

    def match(self, type_: str, sender: Sender = "server") -> list[Fault]:
        """Return the faults that apply to this event, and count the event.

        Args:
            type_: Its type.
            sender: Who sent it.
        """
        matched = []
        for index, fault in self._faults:
            if not fault.matches(type_, sender):
                continue
            self._events[index] += 1
            if fault.probability is not None:
                applies = self._chance() < fault.probability
            else:
                applies = fault.nth in (None, self._events[index])
            if applies:
                self._applied.add(index)
                matched.append(fault)
        return matched

    @staticmethod
    def refusal(faults: Iterable[Fault]) -> HttpRefusal | None:
        """Return the HTTP response of the first ``http`` fault, or None."""
        for fault in faults:
            if fault.action == "http":
                return HttpRefusal(int(fault.code or 503), fault.error_message)
        return None
