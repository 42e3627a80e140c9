"""What goes wrong, where and how often: faults at the boundary of any event, and at the handshake.

A fault is data; the session meets it when the event passes by, the shell carries out what sockets are needed for.
Several may meet at one event: those ``before`` it happen first, then what happens to it, then those ``after`` it, each
group in the order in which the faults are listed.
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

#: The boundary of the handshake, for ``on``.
CONNECT = "connect"

_TRANSCRIPTION = "conversation.item.input_audio_transcription"
#: The events that the mock sends.
SERVER_EVENTS = (
    "session.created",
    "session.updated",
    "conversation.created",
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
    "error",
)

#: What a fault does to the event itself, so it needs ``on``; the others happen ``before`` or ``after`` an event.
_ON_EVENT = frozenset(
    {"fail", "drop", "duplicate", "reorder", "malformed", "invalid_utf8", "binary", "truncate", "trickle"}
)
_ON_CONNECT = frozenset({"http", "delay", "reset"})
#: What can happen only to what the server sends; of these a client's event can only be ignored (``drop``).
_SERVER_ONLY = (_ON_EVENT - {"drop"}) | {"pause"}
#: The events that ``pause`` and ``fail`` are about: an item's transcription.
_PAUSABLE = frozenset(f"{_TRANSCRIPTION}.{part}" for part in ("delta", "segment", "completed", "failed"))
_FAILS = frozenset({f"{_TRANSCRIPTION}.completed"})
_ONLY_FOR = {"pause": _PAUSABLE, "fail": _FAILS}

#: The endpoint's own words for a code, for an ``error`` fault that gives only that.
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
        errors.invalid_model("You must not provide a model parameter for transcription sessions."),
    )
}
_SERVER_FAULT = "The server had an error while processing your request."


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        action: ``error`` (an ``error`` event), ``close`` (a CLOSE frame), ``expire`` (the error ``session_expired``
            and CLOSE 1001, as after 60 minutes), ``reset`` (TCP), ``stall`` (the socket stays open and silent),
            ``delay`` (this event and all after it come ``seconds`` later), ``pause`` (only the transcription of this
            item stops for ``seconds``, other events come in time), ``fail`` (``….failed`` instead of ``….completed``,
            429 unless told otherwise), ``drop``, ``duplicate``, ``reorder`` (the event changes places with the next),
            ``malformed`` (half its JSON), ``invalid_utf8``, ``binary`` (the event in a BINARY frame), ``truncate``
            (half the frame, then the end of the connection), ``trickle`` (byte by byte over ``seconds``), ``http``
            (the upgrade is refused with ``code``).
        before: The type of the event, of either side, before which it happens; its last part will do (``delta``), and
            ``*`` is any.
        after: The type of the event after which it happens.
        on: The type of the event to which it happens, or ``connect``. A client's event can only be dropped.
        nth: Which of the events of that type in a session, counted from 1; None for every one.
        connection: Only on the nth connection.
        first: Only on the first n connections.
        probability: Happens by chance, at every such event (``nth`` does not count then). A server's ``seed`` makes
            chance the same for the same connection, whatever happens on others.
        code: The close code, the error's code, or the HTTP status.
        reason: The close reason.
        message: The error's message; left out, the endpoint's own for that ``code``, or that of a server's fault.
        seconds: How long.

    Raises:
        ValueError: The parts do not go together; the message is one sentence that says which do.
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
            raise ValueError(f"{self.action!r} cannot happen on connect; {', '.join(sorted(_ON_CONNECT))} can")
        if self.on != CONNECT and (on_event is not (self.on is not None) or self.action == "http"):
            need = "on='connect'" if self.action == "http" else "on" if on_event else "before or after"
            raise ValueError(f"{self.action!r} goes with {need}, not {places[0]}={getattr(self, places[0])!r}")
        if self.on != CONNECT:
            self._check_event(places[0])
        if self.action in {"close", "http"} and self.code is not None:
            self._check_code(self.code)
        if self.probability is not None and not 0 <= self.probability <= 1:
            raise ValueError(f"probability is {self.probability!r}; it must be from 0 to 1")

    @property
    def event(self) -> str:
        """What it happens before, after or to."""
        return self.before or self.after or self.on or ""

    @property
    def said(self) -> str:
        """Its message, or the usual one."""
        if self.message is not None:
            return self.message
        return RATE_LIMITED if self.action == "fail" else _SERVER_FAULT

    @property
    def error(self) -> ApiError:
        """The error that it sends: a server's unless it has a code, in the endpoint's words unless it has its own."""
        if self.action == "expire":
            return errors.MAX_DURATION
        if self.code is None:
            return ApiError(self.said, type="server_error")
        known = _ERRORS.get(str(self.code))
        if known is not None and self.message is None:
            return known
        return ApiError(self.said, str(self.code))

    def _check_event(self, place: str) -> None:
        """A fault that can never happen is a mistake in the test."""
        possible = [type_ for type_ in (*SERVER_EVENTS, *CLIENT_EVENTS) if self._names(type_)]
        if not possible:
            known = [*SERVER_EVENTS, *CLIENT_EVENTS]
            close = get_close_matches(self.event, [*known, *(type_.rpartition(".")[2] for type_ in known)], 1)
            hint = f"did you mean {close[0]!r}?" if close else "give its type, the last part of it, or '*'"
            raise ValueError(f"{place}={self.event!r} is no event of either side; {hint}")
        wanted = _ONLY_FOR.get(self.action)
        if wanted is not None and not wanted.intersection(possible):
            names = " or ".join(sorted(type_.rpartition(".")[2] for type_ in wanted))
            raise ValueError(f"{self.action!r} is for {names} of a transcription, not {place}={self.event!r}")
        if self.action in _SERVER_ONLY and not any(type_ in SERVER_EVENTS for type_ in possible):
            raise ValueError(f"{self.action!r} happens only to what the server sends, not to {self.event!r}")

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
        """Whether it is for this type of event of this side's."""
        if sender == "client" and self.action in _SERVER_ONLY:
            return False
        wanted = _ONLY_FOR.get(self.action)
        return self._names(type_) and (wanted is None or type_ in wanted)

    def is_for(self, connection: int) -> bool:
        """Whether it may happen on the nth connection."""
        return self.connection in (None, connection) and (self.first is None or connection <= self.first)

    def __str__(self) -> str:
        place = next(name for name in ("before", "after", "on") if getattr(self, name) is not None)
        nth = "" if self.nth in (1, None) else f" (number {self.nth})"
        return f"{self.action} {place} {self.event}{nth}"


_CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})


class FaultPlan:
    """The faults of one session, and how often each has met its event.

    Args:
        faults: Of the server.
        connection: The session's number.
        chance: Gives numbers from 0 up to 1.
        happened: Where those that strike are noted, by their place in ``faults``.
    """

    def __init__(
        self,
        faults: Iterable[Fault],
        connection: int,
        chance: Callable[[], float],
        happened: set[int] | None = None,
    ) -> None:
        self._chance = chance
        self._faults = [(index, fault) for index, fault in enumerate(faults) if fault.is_for(connection)]
        self._met = dict.fromkeys((index for index, _ in self._faults), 0)
        self._happened = happened if happened is not None else set()

    def __bool__(self) -> bool:
        return bool(self._faults)

    def match(self, type_: str, sender: Sender = "server") -> list[Fault]:
        """The faults that strike at this event; it counts as met."""
        struck = []
        for index, fault in self._faults:
            if not fault.matches(type_, sender):
                continue
            self._met[index] += 1
            if fault.probability is not None:
                strikes = self._chance() < fault.probability
            else:
                strikes = fault.nth in (None, self._met[index])
            if strikes:
                self._happened.add(index)
                struck.append(fault)
        return struck

    @staticmethod
    def refusal(faults: Iterable[Fault]) -> HttpRefusal | None:
        """The HTTP answer that faults at the handshake ask for."""
        for fault in faults:
            if fault.action == "http":
                return HttpRefusal(int(fault.code or 503), fault.said)
        return None
