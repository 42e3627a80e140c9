"""What went wrong with a session, in a sentence a person can act on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from rtstt_testkit.mock.record import APPEND, SessionRecord

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
        "neither `bad` nor `invalid`."
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


def _course(record: SessionRecord) -> list[str]:
    """An accepted session: what came of it, and if that is nothing, why."""
    types = set(record.types)
    audio_input = record.session.get("audio", {}).get("input", {})
    transcripts = len(record.transcripts)
    said = [
        f"the server answered with an error: {event['error']['message']}"
        for event in record.sent
        if event["type"] == "error"
    ]
    if transcripts:
        return [f"{transcripts} transcript{'s were' if transcripts > 1 else ' was'} completed.", *said]
    failed = "conversation.item.input_audio_transcription.failed" in types
    if failed:
        said.append("the transcription failed, as the script wanted it.")
    elif not record.audio_received:
        appended = any(event.type == APPEND for event in record.events)
        said.append("the client sent no audio." if not appended else "no append held audio.")
    elif audio_input.get("transcription") is None:
        said.append(
            "audio came, but no accepted session.update set session.audio.input.transcription, so no transcript "
            "can come."
        )
    elif audio_input.get("turn_detection") is None:
        if "input_audio_buffer.committed" not in types:
            said.append(
                "turn_detection is null and the client never sent input_audio_buffer.commit, so nothing was "
                "transcribed."
            )
    elif "input_audio_buffer.speech_started" not in types:
        said.append(
            "nothing in the audio was loud enough, for long enough, to count as speech; is it 16-bit little-endian "
            "mono PCM?"
        )
    elif "input_audio_buffer.speech_stopped" not in types:
        silence = audio_input["turn_detection"].get("silence_duration_ms")
        enough = f" ({silence} ms of silence end a turn)" if silence else ""
        said.append(f"speech began and did not end: keep sending audio after it{enough}, or commit.")
    return said or ["nothing was transcribed."]
