"""The input audio buffer: where speech begins and ends in it, and what a commit takes from it."""

from __future__ import annotations

from functools import partial

from rtstt_testkit.mock.audio.detector import SpeechBoundary, SpeechDetector
from rtstt_testkit.mock.audio.recognition import recognize
from rtstt_testkit.mock.inspect.record import SessionRecord
from rtstt_testkit.mock.protocol import errors
from rtstt_testkit.mock.protocol.config import SessionConfig
from rtstt_testkit.mock.protocol.errors import Refused
from rtstt_testkit.mock.protocol.events import user_item
from rtstt_testkit.mock.protocol.ids import Ids
from rtstt_testkit.mock.script.script import Transcript
from rtstt_testkit.mock.session.conversation import Conversation
from rtstt_testkit.mock.session.latency import SessionLatency
from rtstt_testkit.mock.session.outbox import Outbox
from rtstt_testkit.mock.session.transcription import SpeechSegment, Transcriber

__all__ = ["InputBuffer"]

_SHORTEST_COMMIT_MS = 100  # [live]
#: The mock's stand-in for the endpoint's end-of-turn model: silence after a text that ends like a sentence. [assumed]
_SEMANTIC_SILENCE_MS = 500
_SENTENCE_ENDS = (".", "!", "?", "。", "！", "？")


class InputBuffer:
    """The audio of one session since its last commit.

    Positions are samples of the current format, counted from when that format was set.

    Args:
        config: The session's settings.
        record: The session's record, which keeps the audio.
        ids: The source of identifiers.
        outbox: Where events are emitted.
        transcriber: Transcribes the committed items.
        conversation: Where the committed items are added.
        latency: How long answers take.
        lenient_commit: Make an item of a commit without speech under turn detection, instead of refusing it.
    """

    def __init__(
        self,
        config: SessionConfig,
        record: SessionRecord,
        ids: Ids,
        outbox: Outbox,
        transcriber: Transcriber,
        conversation: Conversation,
        latency: SessionLatency,
        lenient_commit: bool,
    ) -> None:
        self._record = record
        self._ids = ids
        self._outbox = outbox
        self._transcriber = transcriber
        self._conversation = conversation
        self._latency = latency
        self._lenient_commit = lenient_commit
        self._base_ms = 0
        self._config = config
        self._speech: SpeechSegment | None = None
        self._buffer_start = self._idle_since = self._byte_origin = 0
        self._detector = self._start_over()

    def abandon(self) -> None:
        """Record that the connection ended before the commit of the speech under way."""
        if self._speech is not None:
            self._transcriber.abandon(self._speech)

    def configure(self, config: SessionConfig) -> None:
        """Apply new settings from the next sample on; a new format empties the buffer.

        Args:
            config: The session's settings.
        """
        before, received_ms = self._config, self._time_ms(self._detector.samples)
        self._config = config
        if before.format != config.format:
            self._base_ms = received_ms
            self._detector = self._start_over()
            return
        if before.turns is None and config.turns is not None:
            # speech_stopped needs a speech_started before it, so speech under way is detected again.
            self._discard_speech()
            self._detector.reset()
        self._detector.tune(config.threshold, self._silence_ms())

    def append(self, appends: list[bytes], at: float) -> None:
        """Append audio.

        Args:
            appends: The audio of consecutive ``input_audio_buffer.append`` events.
            at: When it came, in seconds since the session opened.
        """
        audio = appends[0] if len(appends) == 1 else b"".join(appends)
        self._record.add_audio(at, audio, len(appends))
        self._detector.detect(audio, self._on_boundary)
        self._advance(self._detector.samples)

    def commit(self) -> None:
        """Commit the buffer as an item.

        Raises:
            Refused: It holds less than 100 ms; or, unless lenient_commit is set, no speech under turn detection.
        """
        if self._config.turns is not None and self._speech is None and not self._lenient_commit:
            raise Refused(errors.commit_too_small(0))  # [commit-empty]
        length_ms = self._length_ms(self._detector.samples - self._buffer_start)
        if length_ms < _SHORTEST_COMMIT_MS:
            raise Refused(errors.commit_too_small(length_ms))
        item = self._speech
        if item is None:
            # A commit of silence: transcript "" plus usage, as streaming models answer [live].
            item = SpeechSegment(self._ids.new("item"), self._buffer_start, self._buffer_start, Transcript(""))
        elif self._config.turns is None:
            item.start = self._buffer_start
        self._commit_item(item, self._detector.samples)
        self._detector.reset()

    def clear(self) -> None:
        """Discard the buffer and the turn under way."""
        self._buffer_start = self._idle_since = self._detector.samples
        self._discard_speech()
        self._detector.reset()
        self._outbox.emit("input_audio_buffer.cleared")

    def _start_over(self) -> SpeechDetector:
        """Empty the buffer for the current format and return its detector."""
        config = self._config
        self._record.audio_format = config.format
        self._byte_origin = self._record.audio_received
        self._buffer_start = self._idle_since = 0
        self._discard_speech()
        return SpeechDetector(config.format, config.threshold, self._silence_ms())

    def _discard_speech(self) -> None:
        speech, self._speech = self._speech, None
        if speech is not None:
            self._transcriber.discard(speech)

    # -- units

    def _time_ms(self, sample: int) -> int:
        """Return the time of a sample on the session's time axis, in milliseconds."""
        return self._base_ms + sample * 1000 // self._config.format.rate

    def _length_ms(self, samples: int) -> float:
        return samples * 1000 / self._config.format.rate

    def _samples(self, milliseconds: int) -> int:
        return milliseconds * self._config.format.rate // 1000

    # -- turns

    def _on_boundary(self, boundary: SpeechBoundary) -> None:
        if boundary.starts:
            self._advance(self._detector.samples)
            self._on_speech_start(boundary.sample)
        else:
            self._advance(boundary.sample)
            self._on_speech_end(boundary.sample)

    def _advance(self, sample: int) -> None:
        """Emit what is due while speech or silence lasts, up to a sample."""
        if self._speech is not None:
            if self._config.model is not None and self._config.model.streams:
                length_ms = self._length_ms(sample - self._speech.onset)
                self._transcriber.stream(self._speech, length_ms, self._config, partial(self._recognize, self._speech))
        elif self._config.idle_ms is not None:
            idle = self._samples(self._config.idle_ms)
            while sample >= self._idle_since + idle:
                self._on_idle_timeout(self._idle_since + idle)

    def _on_speech_start(self, sample: int) -> None:
        """Begin an item; its identifier is minted now, whether or not turn detection reports it."""
        if self._speech is None:
            start = max(sample - self._samples(self._config.prefix_ms), self._buffer_start)
            self._speech = SpeechSegment(self._ids.new("item"), start, sample)
            self._detector.tune(self._config.threshold, self._silence_ms())
        if self._config.turns is not None:
            self._outbox.emit(
                "input_audio_buffer.speech_started",
                self._latency.speech_started,
                audio_start_ms=self._time_ms(self._speech.start),
                item_id=self._speech.id,
            )

    def _on_speech_end(self, sample: int) -> None:
        """Commit the turn, and answer it in a conversation; without turn detection only the client commits."""
        speech = self._speech
        if speech is None or self._config.turns is None:
            return
        end_ms = self._time_ms(sample)
        self._outbox.emit("input_audio_buffer.speech_stopped", audio_end_ms=end_ms, item_id=speech.id)
        self._commit_item(speech, sample, respond=self._config.creates_responses)

    def _on_idle_timeout(self, end: int) -> None:
        """Commit an empty item after ``idle_timeout_ms`` of silence, measured on the audio [types]."""
        item = SpeechSegment(self._ids.new("item"), self._idle_since, self._idle_since, Transcript(""))
        self._outbox.emit(
            "input_audio_buffer.timeout_triggered",
            audio_start_ms=self._time_ms(item.start),
            audio_end_ms=self._time_ms(end),
            item_id=item.id,
        )
        self._commit_item(item, end)

    def _silence_ms(self) -> int:
        """Return the silence that ends a turn: a setting, or for semantic_vad by how the expected text ends."""
        config = self._config
        if config.turns != "semantic_vad":
            return config.silence_ms
        text = self._transcriber.expected_text(config).rstrip()
        return _SEMANTIC_SILENCE_MS if text.endswith(_SENTENCE_ENDS) else config.longest_wait_ms

    # -- items

    def _recognize(self, speech: SpeechSegment) -> str | None:
        """Return the name of the bundled recording in the speech received so far, or None."""
        width, over = self._config.format.width, self._speech is not speech
        end = self._detector.last_loud if over else self._detector.samples
        audio = self._record.slice_audio(*(self._byte_origin + at * width for at in (speech.onset, end)))
        return recognize(audio, self._config.format, whole=over)

    def _commit_item(self, item: SpeechSegment, end: int, respond: bool = False) -> None:
        self._speech = None
        self._buffer_start = self._idle_since = end
        previous = self._conversation.last
        model = self._config.model
        delay = self._latency.committed(model.name if model else None)
        self._outbox.emit("input_audio_buffer.committed", delay, previous_item_id=previous, item_id=item.id)
        self._conversation.add(user_item(item.id), previous)
        if respond:
            self._conversation.respond()  # before the last deltas [recording]
        seconds = self._length_ms(end - item.start) / 1000
        self._transcriber.transcribe(item, seconds, self._config, partial(self._recognize, item))
