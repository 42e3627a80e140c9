"""What went wrong with a session, in sentences that name the cause and the fix.

The texts are tables: `REFUSALS` for sessions that were refused, `HINTS` for ``error`` events, `CLOSES` for CLOSE frames
of the server, and `NO_TRANSCRIPT` for accepted sessions without a transcript.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from rtstt_testkit.mock.inspect.record import APPEND, COMPLETED, FAILED, Closed, SessionRecord

__all__ = ["alike", "attempts", "explain", "explain_all"]


def explain_all(sessions: Sequence[SessionRecord], url: str) -> str:
    """Explain every session, one paragraph each.

    Args:
        sessions: The sessions of a server.
        url: The server's address.
    """
    if not sessions:
        return f"No client has connected to {url}."
    return "\n".join(_paragraph(run, explanation) for run, explanation in alike(sessions))


def alike(sessions: Sequence[SessionRecord]) -> list[tuple[list[SessionRecord], str]]:
    """Group consecutive sessions that failed alike.

    Args:
        sessions: The sessions of a server.

    Returns:
        Each group with its explanation.
    """
    runs: list[tuple[list[SessionRecord], str]] = []
    for record in sessions:
        explanation = " ".join(explain(record))
        if runs and runs[-1][1] == explanation and runs[-1][0][0].failed and record.failed:
            runs[-1][0].append(record)
        else:
            runs.append(([record], explanation))
    return runs


def attempts(run: Sequence[SessionRecord]) -> str:
    """Return how often and how fast a client reconnected, in words."""
    times = [record.opened_at for record in run]
    shortest = min(after - before for before, after in pairwise(times))
    return f"{len(run)} attempts in {times[-1] - times[0]:.1f} s, at the shortest {shortest:.2f} s apart"


def _paragraph(run: Sequence[SessionRecord], explanation: str) -> str:
    if len(run) == 1:
        return f"Session {run[0].number}: {explanation}"
    return f"Sessions {run[0].number} to {run[-1].number} ({attempts(run)}): {explanation}"


def explain(record: SessionRecord) -> list[str]:
    """Explain a session.

    Args:
        record: The session.

    Returns:
        Sentences, the cause first.
    """
    if record.http_status != 101:
        return [
            f"the upgrade of {record.handshake.path} was refused with HTTP {record.http_status}: {record.http_message}"
        ]
    if record.internal_error is not None:
        return [f"an exception inside the mock ended the session: {record.internal_error}; this is a bug of the mock."]
    if record.mismatch is not None:
        return [f"the client differs from the recording: {record.mismatch}."]
    if record.refusal is not None:
        return [_refusal(record)]
    transcripts = len(record.transcripts)
    if transcripts:
        completed = f"{transcripts} transcript{'s were' if transcripts > 1 else ' was'} completed."
        return [completed, *_errors(record), *_end(record)]
    return [*_errors(record), *_no_transcript(record), *_end(record)] or ["nothing was transcribed."]


# -- sessions that were refused

#: By the refusal's code; ``{beta}`` is replaced by how the client asked for the Beta API.
REFUSALS: dict[str | None, str] = {
    "missing_model": (
        "the URL has neither `intent=transcription` nor `model`: OpenAI answers `missing_model` and closes 4000. Add "
        "`?intent=transcription` for transcription."
    ),
    "invalid_api_key": (
        "the API key was refused (close 3000). The mock accepts any key that begins with sk- or ek_ and contains "
        "neither `bad` nor `invalid`; an ek_ that it made itself, until it expires."
    ),
    "beta_api_shape_disabled": (
        "the client sent {beta}, which OpenAI has refused since 2026-05-12 (close 4000). Do not send it."
    ),
    "credit_balance_exhausted": (
        "the account has no credit, as the mock's account setting says: OpenAI closes 1013, and retrying does not help."
    ),
    "insufficient_quota": (
        "the account's quota is used up, as the mock's account setting says: OpenAI closes 1013, and retrying does not "
        "help."
    ),
    "organization_spend_limit_exceeded": (
        "the organization's spend limit is reached, as the mock's account setting says: OpenAI closes 1013, and "
        "retrying does not help."
    ),
    "model_not_found": (
        "the key's project has no access to the model, as the mock's account setting says: OpenAI closes 4004, and "
        "retrying does not help."
    ),
    None: "the client sent no API key: OpenAI closes 3000. Send `Authorization: Bearer sk-…`.",
}
_MODEL_IN_TRANSCRIPTION = (
    "the client sent `?model={model}` with intent=transcription: OpenAI answers `invalid_model` and closes 4000. "
    "Remove `model` from the URL; the transcription model goes into session.update, as "
    "session.audio.input.transcription.model."
)
_MODEL_WITHOUT_INTENT = (
    "the client sent `?model={model}` without intent=transcription: OpenAI accepts only realtime models there, answers "
    "`invalid_model` and closes 4000. For transcription, replace `model` by `intent=transcription` in the URL."
)


def _refusal(record: SessionRecord) -> str:
    refusal, query = record.refusal, record.handshake.query
    assert refusal is not None
    if refusal.code == "invalid_model":
        intent = "transcription" in (value.lower() for value in query.get("intent", ()))
        text = _MODEL_IN_TRANSCRIPTION if intent else _MODEL_WITHOUT_INTENT
        return text.format(model=query.get("model", [""])[0])
    subprotocol = "openai-beta.realtime-v1" in record.handshake.subprotocols
    beta = "the subprotocol `openai-beta.realtime-v1`" if subprotocol else "the header `OpenAI-Beta: realtime=v1`"
    return REFUSALS.get(refusal.code, f"it was refused: {refusal.message}").replace("{beta}", beta)


# -- error events


class Hint(NamedTuple):
    """What a client can do about an ``error`` event.

    Attributes:
        code: The event's code.
        part: A part of its message, where the code is used for several errors.
        text: The hint.
    """

    code: str | None
    part: str
    text: str


HINTS: tuple[Hint, ...] = (
    Hint(
        "invalid_parameter",
        "Passing a transcription session update",
        "Without `intent=transcription` the URL opens a conversation; replace `model` by it.",
    ),
    Hint(
        "invalid_parameter",
        "Passing a realtime session update",
        "The URL opens a transcription session; send `type: transcription` in session.update.",
    ),
    Hint(
        "invalid_value",
        "'transcription_session.update'",
        "That is the Beta's event; send session.update with `type: transcription`, and the audio settings under "
        "session.audio.input.",
    ),
    Hint(
        "invalid_value",
        "Turn detection is not supported",
        "Set `turn_detection: null` and send input_audio_buffer.commit, or use a model with VAD.",
    ),
    Hint("invalid_value", "is not supported for this model", "Leave it out, or use a model that supports it."),
    Hint("string_above_max_length", ".prompt'", "Shorten the prompt to 1,024 characters."),
    Hint("invalid_value", "'keywords'", "Remove angle brackets and line breaks from the keywords."),
    Hint("invalid_value", "'languages'", "Send either `language` or `languages`."),
    Hint("empty_array", ".languages'", "Name a language, or leave `languages` out."),
    Hint("missing_required_parameter", "format.rate'", "Send `rate: 24000` with audio/pcm."),
    Hint("missing_required_parameter", "'session.type'", "Send `type: transcription` in session.update."),
    Hint(
        "integer_below_min_value",
        "format.rate",
        "OpenAI accepts PCM at 24000 Hz only; resample, or send audio/pcmu or audio/pcma.",
    ),
    Hint(
        "input_audio_buffer_commit_empty",
        "",
        "Under server_vad the turn was committed already: do not commit by hand there; otherwise append 100 ms of "
        "audio or more before the commit.",
    ),
    Hint("invalid_json", "", "Each message is one JSON object in one TEXT frame."),
    Hint("invalid_event", "binary frames", "Send audio as base64 in input_audio_buffer.append, in TEXT frames."),
    Hint(None, "Invalid 'audio'", "`audio` is base64 of the raw samples, at most 15 MiB an append."),
)
_DISCARDED = "A refused update is discarded whole."
_SHOWN_ERRORS = 5


def _errors(record: SessionRecord) -> list[str]:
    """Return the errors that the server sent, each once, with their hints."""
    counts: dict[str, int] = {}
    hints: dict[str, str] = {}
    for event in record.sent:
        if event["type"] == "error":
            message = event["error"]["message"]
            counts[message] = counts.get(message, 0) + 1
            hints[message] = _hint(event["error"])
    sentences = [
        f"the server answered with an error{f' {count} times' if count > 1 else ''}: {message}{hints[message]}"
        for message, count in list(counts.items())[:_SHOWN_ERRORS]
    ]
    if len(counts) > _SHOWN_ERRORS:
        sentences.append(f"{len(counts) - _SHOWN_ERRORS} other errors followed.")
    return sentences


def _hint(error: dict[str, Any]) -> str:
    hints = (hint.text for hint in HINTS if error["code"] == hint.code and hint.part in error["message"])
    discarded = _DISCARDED if (error["param"] or "").startswith("session.") else ""
    return "".join(f" {sentence}" for sentence in (next(hints, ""), discarded) if sentence)


# -- the end of the connection

#: By the code of a CLOSE frame that the server sent because of the client.
CLOSES = {
    1002: "the client broke the WebSocket protocol, so the server closed 1002.",
    1007: "the client sent TEXT that is not UTF-8, so the server closed 1007.",
    1009: "the client sent a message of more than 21 MiB, so the server closed 1009.",
}


def _end(record: SessionRecord) -> list[str]:
    """Return how the connection ended, where that explains the outcome."""
    close = record.close
    if close is None:
        return []
    if close.by == "client" and close.code != 1006:
        return [f"the client closed {lost}: {fix}." for lost, fix in _unsent(record)]
    lost = [f"the connection ended {lost}." for lost, _ in _unsent(record)]
    if close.by == "server":
        return [*lost, *_server_close(close)]
    return [*lost, "the connection was lost without a CLOSE frame."]


def _server_close(close: Closed) -> list[str]:
    code, reason = close.code, close.reason
    if "keepalive ping timeout" in reason:
        return ["the client did not answer a PING within 20 s, so the server closed 1011: is its event loop blocked?"]
    if code in CLOSES:
        return [CLOSES[code]]
    if close.at_limit:
        return ["the session reached its 60 minutes and was closed 1001; open a new one before that."]
    if code in (1000, 1001):
        return []
    ended = "cut the connection" if code == 1006 else f"closed {code}{f' {reason}' if reason else ''}"
    return [f"the server {ended}, as the script says."]


def _unsent(record: SessionRecord) -> Iterator[tuple[str, str]]:
    """Yield what the end of the connection came before, and what the client has to do first."""
    dropped = record.dropped
    planned, streaming = (
        [repr(event.data["transcript"]) for event in dropped if (event.type, event.dropped) == (COMPLETED, why)]
        for why in ("close", "uncommitted")
    )
    if planned:
        count = sum(event.dropped == "close" for event in dropped)
        transcripts = f"transcript{'s' if len(planned) > 1 else ''} {_some(planned)}"
        events = f"{count} event{'s' if count > 1 else ''} dropped, among them the {transcripts}"
        yield f"before the transcript was sent ({events})", "wait for `…completed` of the last item"
    if streaming:
        yield (
            f"before the commit of the speech that was being transcribed ({_some(streaming)})",
            "send input_audio_buffer.commit and wait for `…completed`",
        )


def _some(texts: list[str]) -> str:
    return ", ".join(texts[:3]) + (", …" if len(texts) > 3 else "")


# -- accepted sessions without a transcript


class MissingTranscript(NamedTuple):
    """A reason why no transcript was sent.

    Attributes:
        applies: Whether it is this reason.
        text: The sentence; ``{silence}`` and ``{never}`` are filled in.
        last: Whether to skip the rules below.
    """

    applies: Callable[[SessionRecord], bool]
    text: str
    last: bool = True


def _input(record: SessionRecord) -> dict[str, Any]:
    audio_input: dict[str, Any] = record.session.get("audio", {}).get("input", {})
    return audio_input


def _received(record: SessionRecord, type_: str) -> bool:
    return any(event.sender == "client" and event.type == type_ for event in record.events)


def _planned(record: SessionRecord, type_: str) -> bool:
    """Return whether the server sent such an event, or had planned it when the connection ended."""
    return any(event.sender == "server" and event.type == type_ for event in record.events)


def _begins_with(magic: bytes) -> Callable[[SessionRecord], bool]:
    return lambda record: record.slice_audio(0, 4).startswith(magic)


def _is_silent(record: SessionRecord) -> bool:
    whole = record.audio_dropped == 0
    return whole and not any(record.audio_format.loudness(record.audio))


_FILE = "the audio begins like {kind} file: send its samples alone, without the file's header."

NO_TRANSCRIPT: tuple[MissingTranscript, ...] = (
    MissingTranscript(
        lambda record: FAILED in record.types,
        "the transcription failed, as the script says.",
    ),
    MissingTranscript(
        lambda record: not record.audio_received and not _received(record, APPEND),
        "the client sent no audio.",
    ),
    MissingTranscript(lambda record: not record.audio_received, "no append held audio."),
    MissingTranscript(
        lambda record: _input(record).get("transcription") is None,
        "audio came, but no accepted session.update set session.audio.input.transcription{never}, so no transcript "
        "can come.",
    ),
    *(
        MissingTranscript(_begins_with(magic), _FILE.replace("{kind}", kind), last=False)
        for magic, kind in (
            (b"RIFF", "a WAV"),
            (b"OggS", "an Ogg"),
            (b"ID3", "an MP3"),
            (b"fLaC", "a FLAC"),
            (b"\x1aE\xdf\xa3", "a WebM"),
        )
    ),
    MissingTranscript(
        lambda record: _input(record).get("turn_detection") is None
        and not _received(record, "input_audio_buffer.commit")
        and not record.unsent_transcripts,
        "turn_detection is null and the client never sent input_audio_buffer.commit, so nothing was transcribed.",
    ),
    MissingTranscript(
        lambda record: _input(record).get("turn_detection") is not None
        and not _planned(record, "input_audio_buffer.speech_started")
        and _is_silent(record),
        "all of the audio is silence: is the microphone muted, or the right one?",
    ),
    MissingTranscript(
        lambda record: _input(record).get("turn_detection") is not None
        and not _planned(record, "input_audio_buffer.speech_started"),
        "nothing in the audio was loud enough, for long enough, to count as speech; is it 16-bit little-endian mono "
        "PCM?",
    ),
    MissingTranscript(
        lambda record: _input(record).get("turn_detection") is not None
        and not _planned(record, "input_audio_buffer.speech_stopped"),
        "speech began and did not end: keep sending audio after it{silence}, or commit.",
    ),
)


def _no_transcript(record: SessionRecord) -> list[str]:
    """Return why no transcript was completed."""
    silence = (_input(record).get("turn_detection") or {}).get("silence_duration_ms")
    values = {
        "{silence}": f" ({silence} ms of silence end a turn)" if silence else "",
        "{never}": "" if _received(record, "session.update") else " (the client sent none)",
    }
    sentences = []
    for rule in NO_TRANSCRIPT:
        if rule.applies(record):
            text = rule.text
            for name, value in values.items():
                text = text.replace(name, value)
            sentences.append(text)
            if rule.last:
                break
    return sentences
