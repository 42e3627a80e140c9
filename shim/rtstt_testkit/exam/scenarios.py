"""The scenarios: what the mock does, and what must hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rtstt_testkit.exam.audio import spoken
from rtstt_testkit.mock.script.faults import Fault
from rtstt_testkit.mock.script.script import Script, Transcript
from rtstt_testkit.speech import load

__all__ = ["CLEAN", "SCENARIOS", "Must", "Scenario"]

Must = Literal["transcribe", "transcribe or report", "report"]
"""What the program must do: print the transcripts, print them or report why not, or report the refusal."""

PART = "(part of a turn)"
"""The transcript of audio that is not a complete recording."""

_TURNS = ("hold", "bread")
_SIX = ("hold", "bread", "hello", "shortly", "meeting", "weather")
_NINE = (*_SIX, "coffee", "order", "train")
_ENDPOINT_FAULT = "Invalid value at 'session.audio.input.transcription.model'."
_LONG = "Long. " + "word " * (3 * 1024 * 1024)
_SPLIT = "Déjà vu, 你好 🎧."


@dataclass(frozen=True)
class Scenario:
    """One scenario.

    Attributes:
        name: Its name.
        summary: What the mock does, as a sentence.
        faults: What goes wrong.
        must: What the program must do.
        turns: The bundled recordings that are spoken, with pauses between.
        lost: How many of the first turns need no transcript.
        transcripts: What the mock answers, where it is not the text of the recording.
        script: Further fields of the script.
        server: Further arguments of the server.
        seconds: How long the program may take beyond the length of the recording.
        ends: Whether the scenario applies only if a session was ended by the mock.
        reorders: Whether the scenario applies only if transcripts completed out of order.
    """

    name: str
    summary: str
    faults: Sequence[Fault] = ()
    must: Must = "transcribe"
    turns: Sequence[str] = _TURNS
    lost: int = 0
    transcripts: Sequence[Transcript] = ()
    script: Mapping[str, Any] = field(default_factory=dict)
    server: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 25.0
    ends: bool = False
    reorders: bool = False

    @property
    def texts(self) -> list[str]:
        """The transcripts that the program must print."""
        given = {transcript.recording: transcript.text or "" for transcript in self.transcripts}
        return [given.get(name, load(name).text) for name in self.turns[self.lost :]]

    @property
    def limit(self) -> float:
        """How long the program may take, in seconds."""
        return spoken(self.turns).seconds + self.seconds

    def make_script(self) -> Script:
        """Return the script of the mock."""
        return Script(tuple(self.transcripts), PART, tuple(self.faults), **self.script)


def _refused(code: int, error: str) -> tuple[Fault, ...]:
    reason = f"invalid_request_error.{error}"
    return (
        Fault("error", before="session.created", code=error),
        Fault("close", before="session.created", code=code, reason=reason),
    )


_SPEECH = "input_audio_buffer.append"
_IN_SPEECH: dict[str, Any] = {"after": _SPEECH, "nth": 12, "connection": 1}
_DONE: dict[str, Any] = {"after": "completed", "connection": 1}

CLEAN = Scenario("clean turn", "Nothing goes wrong: two turns are transcribed.")

SCENARIOS: tuple[Scenario, ...] = (
    CLEAN,
    Scenario(
        "slow handshake",
        "The handshake takes two seconds; audio from before it must not be lost.",
        [Fault("delay", on="connect", seconds=2.0, connection=1)],
    ),
    Scenario("HTTP 401", "Every handshake is refused with 401.", [Fault("http", on="connect", code=401)], "report"),
    Scenario("HTTP 403", "Every handshake is refused with 403.", [Fault("http", on="connect", code=403)], "report"),
    Scenario("HTTP 429", "The first handshake is refused with 429.", [Fault("http", on="connect", code=429, first=1)]),
    Scenario("HTTP 503", "The first handshake is refused with 503.", [Fault("http", on="connect", code=503, first=1)]),
    Scenario(
        "HTTP 503 four times",
        "The first four handshakes are refused with 503; the pauses must grow.",
        [Fault("http", on="connect", code=503, first=4)],
        "transcribe or report",
        seconds=40,
    ),
    Scenario(
        "reset at the handshake", "The first connection is reset unanswered.", [Fault("reset", on="connect", first=1)]
    ),
    Scenario(
        "closed before created",
        "The first session is closed with 1011 before session.created.",
        [Fault("close", before="session.created", code=1011, first=1)],
    ),
    Scenario("invalid_api_key", "Every session is refused: CLOSE 3000.", _refused(3000, "invalid_api_key"), "report"),
    Scenario("invalid_model", "Every session is refused: CLOSE 4000.", _refused(4000, "invalid_model"), "report"),
    Scenario("no credit", "The account has no credit: CLOSE 1013.", must="report", script={"account": "no-credit"}),
    Scenario(
        "update refused",
        "Every session.update is refused, and the socket stays open.",
        [
            Fault("error", before="session.update", nth=None, code="invalid_value", message=_ENDPOINT_FAULT),
            Fault("drop", on="session.update", nth=None),
        ],
        "report",
    ),
    Scenario(
        "error event",
        "An error event of the server comes before the first transcript; the session goes on.",
        [Fault("error", before="completed", connection=1)],
    ),
    Scenario("reset during speech", "The connection is reset during the first turn.", [Fault("reset", **_IN_SPEECH)]),
    Scenario(
        "1011 during speech",
        "The session is closed with 1011 during the first turn.",
        [Fault("close", code=1011, **_IN_SPEECH)],
    ),
    Scenario(
        "1001 at the end of the session",
        "The session is closed with 1001 after the first turn, as after 60 minutes.",
        [Fault("expire", **_DONE)],
    ),
    Scenario(
        "an hour in seconds",
        "Every session ends with 1001 after eleven seconds, as after 60 minutes.",
        # Longer than the ten seconds after which clients count a connection as one that held.
        server={"max_duration": 11.0},
        turns=_NINE,
        seconds=40,
        ends=True,
    ),
    Scenario(
        "stall during speech",
        "The connection stays open and falls silent during the first turn.",
        [Fault("stall", **_IN_SPEECH)],
        seconds=75,
    ),
    Scenario(
        "no PONG",
        "The connection stays open and falls silent after the first turn: no PING is answered.",
        [Fault("stall", **_DONE)],
        seconds=75,
    ),
    Scenario(
        "failed item",
        "The first item fails with 429; the second is transcribed.",
        [Fault("fail", on="completed", connection=1)],
        lost=1,
    ),
    Scenario(
        "completions out of order",
        "The first transcript comes four seconds late, after the second.",
        transcripts=[Transcript(load(_TURNS[0]).text, delay=4.0, recording=_TURNS[0])],
        reorders=True,
    ),
    Scenario(
        "empty transcript",
        "The first transcript is empty.",
        lost=1,
        transcripts=[Transcript("", recording=_TURNS[0])],
    ),
    Scenario(
        "delta without completed",
        "The first item gets deltas and no completed.",
        [Fault("drop", on="completed", connection=1)],
        lost=1,
        seconds=40,
    ),
    Scenario(
        "duplicate events",
        "Every completed comes twice.",
        [Fault("duplicate", on="completed", nth=None)],
    ),
    Scenario(
        "split character",
        "The first transcript arrives byte by byte: characters of UTF-8 are split.",
        [Fault("trickle", on="completed", seconds=0.5, connection=1)],
        transcripts=[Transcript(_SPLIT, recording=_TURNS[0])],
    ),
    Scenario(
        "15 MiB message",
        "The first transcript is 15 MiB long.",
        lost=1,
        # A program may show the deltas: they are the beginning of the transcript.
        transcripts=[Transcript(_LONG, deltas=[_LONG[:400]], recording=_TURNS[0])],
    ),
    Scenario(
        "six interruptions",
        "Each of the first five sessions is closed with 1011 after its first transcript.",
        [Fault("close", after="completed", code=1011, first=5)],
        turns=_SIX,
        seconds=60,
    ),
)
