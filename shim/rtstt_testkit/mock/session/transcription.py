"""From a committed item to its transcript: deltas, segments, ``completed`` or ``failed``, as each model sends them."""

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
from rtstt_testkit.mock.session.latency import SessionLatency
from rtstt_testkit.mock.session.outbox import Outbox

__all__ = ["SpeechSegment", "Transcriber"]

_EVENT = "conversation.item.input_audio_transcription"
_STREAM_STEP_MS = 300  # [assumed] the audio between two deltas


Recognize = Callable[[], str | None]


def _no_recording() -> None:
    """Return None: the audio is no bundled recording."""


@dataclass
class SpeechSegment:
    """A piece of speech; its identifier is minted when speech starts and is that of the item.

    Attributes:
        id: The item's identifier.
        start: The first sample of the item, padding included.
        onset: The first sample of speech.
        transcript: The answer from the script, once it is chosen.
        deltas: The pieces of the transcript.
        sent: How many of them were sent before the commit.
    """

    id: str
    start: int
    onset: int
    transcript: Transcript | None = None
    deltas: list[str] = field(default_factory=list)
    sent: int = 0


class Transcriber:
    """Emits the script's transcripts for the items of one session.

    Args:
        number: The number of the connection.
        cursor: Supplies the transcripts of the script.
        ids: The source of identifiers.
        latency: How long answers take.
        outbox: Where events are emitted.
        conversation: Where the transcript is stored with its item.
    """

    def __init__(
        self,
        number: int,
        cursor: ScriptCursor,
        ids: Ids,
        latency: SessionLatency,
        outbox: Outbox,
        conversation: Conversation,
    ) -> None:
        self._number = number
        self._items = 0
        self._cursor = cursor
        self._ids = ids
        self._latency = latency
        self._outbox = outbox
        self._conversation = conversation

    def expected_text(self, config: SessionConfig) -> str:
        """Return the text of the next transcript, for semantic_vad, which depends on what is said."""
        return self._text(self._cursor.peek(self._item(config)))

    def stream(self, speech: SpeechSegment, length_ms: float, config: SessionConfig, recognize: Recognize) -> None:
        """Emit a streaming model's deltas that are due before the commit; the last delta follows the commit.

        Args:
            speech: The speech under way.
            length_ms: How much of it was received, in milliseconds.
            config: The session's settings.
            recognize: Returns the name of the bundled recording in the audio, or None.
        """
        model = config.model
        if model is None or not model.streams:
            return
        length_ms -= self._latency.stream_delays[config.delay] * 1000
        if length_ms < 0:
            return
        transcript = self._choose(speech, model, config, recognize)
        if transcript.failure is not None:
            return
        ready = min(int(length_ms // _STREAM_STEP_MS) + 1, len(speech.deltas) - 1)
        for delta in speech.deltas[speech.sent : ready]:
            self._outbox.emit(f"{_EVENT}.delta", **self._delta(speech, delta, transcript, config))
        speech.sent = max(speech.sent, ready)

    def transcribe(self, speech: SpeechSegment, seconds: float, config: SessionConfig, recognize: Recognize) -> None:
        """Plan what follows a commit; the transcripts of several items may overtake each other.

        Args:
            speech: The committed speech.
            seconds: The length of the item, silence included.
            config: The session's settings.
            recognize: Returns the name of the bundled recording in the audio, or None.
        """
        model = config.model
        if model is None:
            return
        transcript = self._choose(speech, model, config, recognize)
        first, last = self._latency.transcribed(model.name)
        first, last = first + transcript.delay, last + transcript.delay
        item = {"item_id": speech.id, "content_index": 0}
        if transcript.failure is not None:
            error = failure_fields(transcript.failure, speech.id)
            self._outbox.emit_unordered(f"{_EVENT}.failed", last, **item, error=error)
            return
        deltas = speech.deltas[speech.sent :]
        pace = transcript.pace if transcript.pace is not None else (last - first) / max(len(deltas), 1)
        for index, delta in enumerate(deltas):
            fields = self._delta(speech, delta, transcript, config)
            self._outbox.emit_unordered(f"{_EVENT}.delta", first + index * pace, **fields)
        last = max(last, first + (len(deltas) - 1) * pace)
        for number, segment in enumerate(self._segments(transcript, seconds) if model.segments else ()):
            self._outbox.emit_unordered(f"{_EVENT}.segment", last, **item, **segment_fields(segment, number))
        completed = self._completed(speech, transcript, model, seconds, config)
        self._outbox.emit_unordered(f"{_EVENT}.completed", last, **item, **completed)

    def discard(self, speech: SpeechSegment) -> None:
        """Return the transcript of speech that will not be committed to the script, for the next item.

        Args:
            speech: The speech.
        """
        if speech.transcript is not None:
            self._cursor.put_back(speech.transcript)
            self._items -= 1

    def abandon(self, speech: SpeechSegment) -> None:
        """Record that the connection ended before the commit of speech whose transcript had begun to stream.

        Args:
            speech: The speech under way.
        """
        transcript = speech.transcript
        if transcript is None:
            return
        item = {"item_id": speech.id, "content_index": 0}
        if transcript.failure is not None:
            self._outbox.abandon(f"{_EVENT}.failed", **item, error=failure_fields(transcript.failure, speech.id))
        else:
            self._outbox.abandon(f"{_EVENT}.completed", **item, transcript=self._text(transcript))

    def _segments(self, transcript: Transcript, seconds: float) -> Sequence[Segment]:
        """Return the script's segments, or one segment with the whole text."""
        text = self._text(transcript)
        return transcript.segments or ([Segment(text, "A", 0.0, round(seconds, 3))] if text else [])

    def _item(self, config: SessionConfig, recognize: Recognize = _no_recording) -> Item:
        model = config.model.name if config.model else ""
        return Item(self._number, model, config.language, recognize, self._items + 1)

    def _text(self, transcript: Transcript) -> str:
        return transcript.full_text(self._cursor.script.default)

    def _choose(self, speech: SpeechSegment, model: Model, config: SessionConfig, recognize: Recognize) -> Transcript:
        if speech.transcript is None:
            speech.transcript = transcript = self._cursor.take(self._item(config, recognize))
            self._items += 1
            if transcript.deltas is not None:
                speech.deltas = list(transcript.deltas)
            elif model.single_delta:
                speech.deltas = [text] if (text := self._text(transcript)) else []
            else:
                speech.deltas = split_deltas(self._text(transcript))
        return speech.transcript

    def _delta(
        self, speech: SpeechSegment, delta: str, transcript: Transcript, config: SessionConfig
    ) -> dict[str, Any]:
        fields: dict[str, Any] = {"item_id": speech.id, "content_index": 0, "delta": delta}
        if config.logprobs:
            fields["logprobs"] = logprobs([delta], transcript.logprob)
        fields["obfuscation"] = self._ids.text(max(1, 16 - len(delta)))
        return fields

    def _completed(
        self, speech: SpeechSegment, transcript: Transcript, model: Model, seconds: float, config: SessionConfig
    ) -> dict[str, Any]:
        text = self._text(transcript)
        fields: dict[str, Any] = {
            "transcript": text,
            "usage": usage(config.usage(model), seconds, len(split_deltas(text))),
        }
        if config.logprobs and model.logprobs:
            fields["logprobs"] = logprobs(speech.deltas, transcript.logprob)
        if model.detects_languages:
            fields["languages"] = [{"code": code} for code in transcript.languages or ("en",) if text]
        self._conversation.replace(user_item(speech.id, text))
        return fields
