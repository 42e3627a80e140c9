"""From a committed item to its transcript: deltas, segments, ``completed`` or ``failed``, each model in its own way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rtstt_testkit.mock.protocol.config import SessionConfig
from rtstt_testkit.mock.protocol.events import Segment, failure_fields, logprobs, segment_fields, usage, user_item
from rtstt_testkit.mock.protocol.ids import Ids
from rtstt_testkit.mock.protocol.models import Model
from rtstt_testkit.mock.script.script import Item, ScriptCursor, Transcript, split_deltas
from rtstt_testkit.mock.session.conversation import Conversation
from rtstt_testkit.mock.session.latency import Latency
from rtstt_testkit.mock.session.outbox import Outbox

__all__ = ["SpeechSegment", "Transcriber"]

_EVENT = "conversation.item.input_audio_transcription"
#: How long after the first word a streaming model sends its first delta, by ``delay``, in milliseconds of audio.
#: [capture] 0.5 to 1.4 s after speech; which setting gives which is not known.
_STREAM_DELAY_MS = {"minimal": 500, "low": 700, "medium": 900, "high": 1150, "xhigh": 1400}
_STREAM_STEP_MS = 300


Listen = Callable[[], str | None]


def _nothing_heard() -> None:
    """No recording."""


@dataclass
class SpeechSegment:
    """A piece of speech: its id is minted when it starts and kept to the end.

    Attributes:
        id: Of the item.
        start: The first sample of the item, padding included.
        onset: The first sample of speech.
        transcript: What is answered, once that is settled.
        deltas: The transcript's pieces.
        sent: How many of them were sent before the commit.
        listen: Names the bundled recording that it is.
    """

    id: str
    start: int
    onset: int
    transcript: Transcript | None = None
    deltas: list[str] = field(default_factory=list)
    sent: int = 0
    listen: Listen = _nothing_heard


class Transcriber:
    """Says what the script has for each item of one session.

    Args:
        number: Of the connection.
        cursor: Who knows what to say.
        ids: Where identifiers come from.
        latency: How long it takes.
        outbox: Where the events go.
        conversation: Where the transcript is kept with its item.
    """

    def __init__(
        self,
        number: int,
        cursor: ScriptCursor,
        ids: Ids,
        latency: Latency,
        outbox: Outbox,
        conversation: Conversation,
    ) -> None:
        self._number = number
        self._items = 0
        self._director = cursor
        self._ids = ids
        self._latency = latency
        self._outbox = outbox
        self._conversation = conversation

    def expected_text(self, config: SessionConfig) -> str:
        """The text of the next transcript, which a model that listens to meaning would be hearing."""
        return self._text(self._director.peek(self._wanted(config)))

    def stream(self, item: SpeechSegment, heard_ms: float, config: SessionConfig, now: float) -> None:
        """A streaming model's deltas before the commit, with the final item's id; the last is kept for after it.

        Args:
            item: The speech under way.
            heard_ms: How much of it was heard, in milliseconds.
            config: Of the session.
            now: The clock, in seconds.
        """
        model = config.model
        if model is None or not model.streams:
            return
        heard_ms -= _STREAM_DELAY_MS[config.delay]
        if heard_ms < 0:
            return
        transcript = self._choose(item, model, config)
        if transcript.failure is not None:
            return
        ready = min(int(heard_ms // _STREAM_STEP_MS) + 1, len(item.deltas) - 1)
        for delta in item.deltas[item.sent : ready]:
            self._outbox.say(now, f"{_EVENT}.delta", self._delta(item, delta, transcript, config))
        item.sent = max(item.sent, ready)

    def transcribe(self, item: SpeechSegment, seconds: float, config: SessionConfig, now: float) -> None:
        """Plan what follows a commit; items do not wait for each other's transcripts.

        Args:
            item: The committed speech.
            seconds: How long it is, silence included.
            config: Of the session.
            now: The clock, in seconds.
        """
        model = config.model
        if model is None:
            return
        transcript = self._choose(item, model, config)
        first = now + self._latency.first_delta + transcript.delay
        last = now + self._latency.completed + transcript.delay
        where = {"item_id": item.id, "content_index": 0}
        if transcript.failure is not None:
            error = failure_fields(transcript.failure, item.id)
            self._outbox.later(last, f"{_EVENT}.failed", {**where, "error": error})
            return
        deltas = item.deltas[item.sent :]
        pace = transcript.pace if transcript.pace is not None else (last - first) / max(len(deltas), 1)
        for index, delta in enumerate(deltas):
            fields = self._delta(item, delta, transcript, config)
            self._outbox.later(first + index * pace, f"{_EVENT}.delta", fields)
        last = max(last, first + (len(deltas) - 1) * pace)
        for number, segment in enumerate(self._segments(transcript, seconds) if model.segments else ()):
            self._outbox.later(last, f"{_EVENT}.segment", {**where, **segment_fields(segment, number)})
        self._outbox.later(
            last,
            f"{_EVENT}.completed",
            {**where, **self._completed(item, transcript, model, seconds, config)},
        )

    def _segments(self, transcript: Transcript, seconds: float) -> Sequence[Segment]:
        """Those of the script; left out, everything was said by one speaker."""
        text = self._text(transcript)
        return transcript.segments or ([Segment(text, "A", 0.0, round(seconds, 3))] if text else [])

    def _wanted(self, config: SessionConfig, listen: Listen = _nothing_heard) -> Item:
        model = config.model.name if config.model else ""
        return Item(self._number, model, config.language, listen, self._items + 1)

    def _text(self, transcript: Transcript) -> str:
        return transcript.spoken(self._director.script.default)

    def _choose(self, item: SpeechSegment, model: Model, config: SessionConfig) -> Transcript:
        if item.transcript is None:
            item.transcript = transcript = self._director.take(self._wanted(config, item.listen))
            self._items += 1
            if transcript.deltas is not None:
                item.deltas = list(transcript.deltas)
            elif model.single_delta:
                item.deltas = [text] if (text := self._text(transcript)) else []
            else:
                item.deltas = split_deltas(self._text(transcript))
        return item.transcript

    def _delta(self, item: SpeechSegment, delta: str, transcript: Transcript, config: SessionConfig) -> dict[str, Any]:
        fields: dict[str, Any] = {"item_id": item.id, "content_index": 0, "delta": delta}
        if config.logprobs:
            fields["logprobs"] = logprobs([delta], transcript.logprob)
        fields["obfuscation"] = self._ids.text(max(1, 16 - len(delta)))
        return fields

    def _completed(
        self, item: SpeechSegment, transcript: Transcript, model: Model, seconds: float, config: SessionConfig
    ) -> dict[str, Any]:
        text = self._text(transcript)
        fields: dict[str, Any] = {
            "transcript": text,
            "usage": usage(model.usage, seconds, len(split_deltas(text))),
        }
        if config.logprobs:
            fields["logprobs"] = logprobs(item.deltas, transcript.logprob)
        if model.detects_languages:
            fields["languages"] = [{"code": code} for code in transcript.languages or ("en",) if text]
        self._conversation.replace(user_item(item.id, text))
        return fields
