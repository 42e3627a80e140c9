"""What went wrong with a session, in a sentence a person can act on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from rtstt_testkit.mock.inspect.record import APPEND, SessionRecord

__all__ = ["explain", "explain_all"]


def explain_all(sessions: Sequence[SessionRecord], url: str) -> str:
    """Explain every session, one paragraph each.

    Args:
        sessions: Of a server.
        url: Where it listens.
    """
    if not sessions:
        return f"No client has connected to {url}."
    return "\n".join(_paragraph(run, said) for run, said in alike(sessions))


def alike(sessions: Sequence[SessionRecord]) -> list[tuple[list[SessionRecord], str]]:
    """Sessions in a row that came to the same, each such run with what is said of it once."""
    runs: list[tuple[list[SessionRecord], str]] = []
    for record in sessions:
        said = " ".join(explain(record))
        if runs and runs[-1][1] == said and runs[-1][0][0].failed and record.failed:
            runs[-1][0].append(record)
        else:
            runs.append(([record], said))
    return runs


def pauses(run: Sequence[SessionRecord]) -> str:
    """How a client came back: how often, and how soon."""
    times = [record.opened_at for record in run]
    shortest = min(after - before for before, after in pairwise(times))
    return f"{len(run)} attempts in {times[-1] - times[0]:.1f} s, at the shortest {shortest:.2f} s apart"


def _paragraph(run: Sequence[SessionRecord], said: str) -> str:
    if len(run) == 1:
        return f"Session {run[0].number}: {said}"
    return f"Sessions {run[0].number} to {run[-1].number} ({pauses(run)}): {said}"


def explain(record: SessionRecord) -> list[str]:
    """Say what a session came to: sentences, the cause first."""
    if record.http_status != 101:
        return [_refused_upgrade(record)]
    if record.refusal is not None:
        return [_REFUSALS.get(record.refusal.code, _other_refusal)(record)]
    return _course(record)


def _model(record: SessionRecord) -> str:
    return record.handshake.query.get("model", [""])[0]


def _refused_upgrade(record: SessionRecord) -> str:
    return f"the upgrade of {record.handshake.path} was refused with HTTP {record.http_status}: {record.http_message}"


def _invalid_model(record: SessionRecord) -> str:
    query = record.handshake.query
    if "transcription" in (value.lower() for value in query.get("intent", ())):
        return (
            f"the client sent `?model={_model(record)}` with intent=transcription: OpenAI answers `invalid_model` and "
            "closes 4000. Remove `model` from the URL; the transcription model goes into session.update, as "
            "session.audio.input.transcription.model."
        )
    return (
        f"the client sent `?model={_model(record)}` without intent=transcription: OpenAI takes only realtime models "
        "there, answers `invalid_model` and closes 4000. For transcription, replace `model` by "
        "`intent=transcription` in the URL."
    )


def _missing_model(record: SessionRecord) -> str:
    return (
        "the URL has neither `intent=transcription` nor `model`: OpenAI answers `missing_model` and closes 4000. Add "
        "`?intent=transcription` for transcription."
    )


def _invalid_key(record: SessionRecord) -> str:
    return (
        "the API key was refused (close 3000). The mock takes any key that begins with sk- or ek_ and contains "
        "neither `bad` nor `invalid`; an ek_ that it made itself, until it expires."
    )


def _beta(record: SessionRecord) -> str:
    return (
        "the client sent the header `OpenAI-Beta: realtime=v1`, which OpenAI has refused since 2026-05-12 (close "
        "4000). Do not send it."
    )


def _other_refusal(record: SessionRecord) -> str:
    refusal = record.refusal
    assert refusal is not None
    if refusal.close == 3000:
        return "the client sent no API key: OpenAI closes 3000. Send `Authorization: Bearer sk-…`."
    return f"it was refused: {refusal.message}"


_REFUSALS: dict[str | None, Callable[[SessionRecord], str]] = {
    "invalid_model": _invalid_model,
    "missing_model": _missing_model,
    "invalid_api_key": _invalid_key,
    "beta_api_shape_disabled": _beta,
}


#: What a client can do about an ``error`` event: by its code, and a part of its message where the code says too little.
_MENDS: tuple[tuple[str | None, str, str], ...] = (
    (
        "invalid_parameter",
        "Passing a transcription session update",
        "Without `intent=transcription` the URL opens a conversation; replace `model` by it.",
    ),
    (
        "invalid_parameter",
        "Passing a realtime session update",
        "The URL opens a transcription session; send `type: transcription` in session.update.",
    ),
    (
        "invalid_value",
        "'transcription_session.update'",
        "That is the Beta's event; send session.update with `type: transcription`, and the audio settings under "
        "session.audio.input.",
    ),
    (
        "invalid_value",
        "Turn detection is not supported",
        "Set `turn_detection: null` and send input_audio_buffer.commit, or take a model with VAD.",
    ),
    ("missing_required_parameter", "'session.type'", "Send `type: transcription` in session.update."),
    (
        "integer_below_min_value",
        "format.rate",
        "OpenAI takes PCM at 24000 Hz only; resample, or send audio/pcmu or audio/pcma.",
    ),
    (
        "input_audio_buffer_commit_empty",
        "",
        "Under server_vad the turn was committed already: do not commit by hand there; otherwise append 100 ms of "
        "audio or more before the commit.",
    ),
    ("invalid_json", "", "Each message is one JSON object in one TEXT frame."),
    ("invalid_event", "binary frames", "Send audio as base64 in input_audio_buffer.append, in TEXT frames."),
    (None, "Invalid 'audio'", "`audio` is base64 of the raw samples, at most 15 MiB an append."),
)
_WHOLE = "An update that is refused is discarded whole."
_SHOWN_ERRORS = 5
#: How files begin that are not raw samples.
_CONTAINERS = (
    (b"RIFF", "a WAV"),
    (b"OggS", "an Ogg"),
    (b"ID3", "an MP3"),
    (b"fLaC", "a FLAC"),
    (b"\x1aE\xdf\xa3", "a WebM"),
)
_PROTOCOL_CLOSES = {
    1002: "broke the WebSocket protocol",
    1007: "sent TEXT that is not UTF-8",
    1009: "sent a message of more than 21 MiB",
}


def _errors(record: SessionRecord) -> list[str]:
    """The errors that it was answered with, each once, and what to do."""
    counts: dict[str, int] = {}
    mends: dict[str, str] = {}
    for event in record.sent:
        if event["type"] == "error":
            message = event["error"]["message"]
            counts[message] = counts.get(message, 0) + 1
            mends[message] = _mend(event["error"])
    said = [
        f"the server answered with an error{f' {count} times' if count > 1 else ''}: {message}{mends[message]}"
        for message, count in list(counts.items())[:_SHOWN_ERRORS]
    ]
    if len(counts) > _SHOWN_ERRORS:
        said.append(f"{len(counts) - _SHOWN_ERRORS} other errors followed.")
    return said


def _mend(error: dict[str, Any]) -> str:
    mends = (mend for code, part, mend in _MENDS if error["code"] == code and part in error["message"])
    mend = next(mends, "")
    whole = _WHOLE if (error["param"] or "").startswith("session.") else ""
    return "".join(f" {sentence}" for sentence in (mend, whole) if sentence)


def _end(record: SessionRecord) -> list[str]:
    """How it ended, where that is the news."""
    close = record.close
    if close is None:
        return []
    if close.by == "server":
        if "keepalive ping timeout" in close.reason:
            return [
                "the client did not answer a PING within 20 s, so the server closed 1011: is its event loop blocked?"
            ]
        if close.code in _PROTOCOL_CLOSES:
            return [f"the client {_PROTOCOL_CLOSES[close.code]}, so the server closed {close.code}."]
        if close.code == 1001 and "maximum duration" in close.reason:
            return ["the session reached its 60 minutes and was closed 1001; open a new one before that."]
        if close.code not in (1000, 1001):
            reason = f" {close.reason}" if close.reason else ""
            ended = "cut the connection" if close.code == 1006 else f"closed {close.code}{reason}"
            return [f"the server {ended}, as the script wanted it."]
        return []
    if close.code == 1006:
        return ["the connection was lost without a CLOSE frame."]
    pending = record.types.count("input_audio_buffer.committed") - len(record.transcripts)
    if pending > 0 and "conversation.item.input_audio_transcription.failed" not in record.types:
        return ["the client closed before the transcript came: wait for `…completed` of the last item."]
    return []


def _course(record: SessionRecord) -> list[str]:
    """An accepted session: what came of it, and if that is nothing, why."""
    transcripts = len(record.transcripts)
    said = _errors(record)
    if transcripts:
        return [f"{transcripts} transcript{'s were' if transcripts > 1 else ' was'} completed.", *said, *_end(record)]
    return [*said, *_silence(record), *_end(record)] or ["nothing was transcribed."]


def _silence(record: SessionRecord) -> list[str]:
    """Why no transcript was completed."""
    types = set(record.types)
    audio_input = record.session.get("audio", {}).get("input", {})
    if "conversation.item.input_audio_transcription.failed" in types:
        return ["the transcription failed, as the script wanted it."]
    if not record.audio_received:
        appended = any(event.type == APPEND for event in record.events)
        return ["the client sent no audio." if not appended else "no append held audio."]
    if audio_input.get("transcription") is None:
        sent = any(event.type == "session.update" for event in record.events if event.sender == "client")
        never = "" if sent else " (the client sent none)"
        return [
            f"audio came, but no accepted session.update set session.audio.input.transcription{never}, so no "
            "transcript can come."
        ]
    return [*_container(record), *_no_turn(types, audio_input)]


def _container(record: SessionRecord) -> list[str]:
    beginning = record.slice_audio(0, 4)
    return [
        f"the audio begins like {kind} file: send its samples alone, without the file's header."
        for magic, kind in _CONTAINERS
        if beginning.startswith(magic)
    ]


def _no_turn(types: set[str], audio_input: dict[str, Any]) -> list[str]:
    """What kept the audio from becoming an item."""
    turns = audio_input.get("turn_detection")
    if turns is None:
        if "input_audio_buffer.committed" in types:
            return []
        return [
            "turn_detection is null and the client never sent input_audio_buffer.commit, so nothing was transcribed."
        ]
    if "input_audio_buffer.speech_started" not in types:
        return [
            "nothing in the audio was loud enough, for long enough, to count as speech; is it 16-bit little-endian "
            "mono PCM?"
        ]
    if "input_audio_buffer.speech_stopped" not in types:
        silence = turns.get("silence_duration_ms")
        enough = f" ({silence} ms of silence end a turn)" if silence else ""
        return [f"speech began and did not end: keep sending audio after it{enough}, or commit."]
    return []
