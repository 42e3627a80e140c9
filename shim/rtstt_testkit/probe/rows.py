"""The rows of the probe: one for each fact of the protocol, with the evidence for it.

A row defines how to connect, what to send and what to wait for. The expected events are the mock's answer to the same
row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from rtstt_testkit.mock.protocol.admission import Account, Profile

__all__ = [
    "AZURE_DEPLOYMENT",
    "BAD_KEY",
    "ROWS",
    "AppendAudio",
    "Credentials",
    "Row",
    "SendFrame",
    "Step",
    "WaitFor",
    "for_deployment",
    "select_rows",
]

#: Refused by the mock, because it contains "invalid", and by every real endpoint.
BAD_KEY = "sk-proj-invalid" + "0" * 40 + "robe"

#: ``api-key`` and ``bad-api-key`` are in Azure's header, the other keys in ``Authorization`` or a subprotocol.
Credentials = Literal["bearer", "none", "bad", "subprotocol", "ephemeral", "api-key", "bad-api-key"]


class SendFrame(NamedTuple):
    """Send an event, or a text (str) or binary (bytes) frame as it is."""

    frame: dict[str, Any] | str | bytes


class AppendAudio(NamedTuple):
    """Append audio: a bundled recording with silence around it.

    Attributes:
        recording: Its name; None for silence only.
        before: Milliseconds of silence before it.
        after: Milliseconds of silence after it.
        format: The ``audio.input.format``.
    """

    recording: str | None
    before: int = 300
    after: int = 0
    format: str = "audio/pcm"


class WaitFor(NamedTuple):
    """Read until an event of this type arrives."""

    type: str


Step = SendFrame | AppendAudio | WaitFor


class Row(NamedTuple):
    """One test of the endpoint.

    Every row waits for ``session.created`` first. At its end it clears the audio buffer and waits for the answer, which
    shows that everything before was answered and that the session is still open.

    Attributes:
        group: The heading in the list.
        name: The title; unique.
        evidence: The source of the mock's answer.
        steps: What to do after ``session.created``.
        query: The query of the URL.
        credentials: How the client authenticates.
        headers: Additional request headers.
        path: A path in place of the endpoint's; None for the endpoint's.
        secret: For ``ephemeral``: the body of the request for the secret.
        profile: The kind of endpoint that it is for.
        account: The state of the account that it is for; None for a good one.
        moment: Whether it is unknown when the endpoint refuses: on connect, or on ``session.update``.
        not_compared: Paths of fields whose value is unknown, or which the mock does not reproduce.
        prefix_only: Paths of texts whose beginning alone is known.
        id_format: Whether the format of identifiers is compared; in one row only, to report it once.
    """

    group: str
    name: str
    evidence: str
    steps: tuple[Step, ...] = ()
    query: str = "intent=transcription"
    credentials: Credentials = "bearer"
    headers: tuple[tuple[str, str], ...] = ()
    path: str | None = None
    secret: dict[str, Any] | None = None
    profile: Profile = "openai"
    account: Account | None = None
    moment: bool = False
    not_compared: tuple[str, ...] = ()
    prefix_only: tuple[str, ...] = ()
    id_format: bool = False

    @property
    def compatible(self) -> bool:
        """Whether a compatible server must answer as OpenAI does: the row contains no refusal of OpenAI's."""
        if self.group == "connecting":
            return self.query.lower() == "intent=transcription" and not self.headers and self.steps == _READY
        return self.group in ("session object", "transcribing") and not any(
            word in self.name for word in ("refused", "cleared audio")
        )

    def applies_to(self, profile: Profile, account: Account | None) -> bool:
        """Return whether an endpoint of this kind, with a key of an account in this state, can answer it."""
        return (self.profile, self.account) == (profile, account)

    @property
    def compares_session(self) -> bool:
        """Whether the session object is compared; the other rows compare its type only, to report a difference once."""
        return self.group in ("session object", "conversations") or self.secret is not None


MODEL = "gpt-4o-mini-transcribe"
ID = "probe-1"
_CONVERSATION_MODEL = "gpt-realtime"  # a conversation's model
_IN = "audio.input"


def _session(session: Any) -> SendFrame:
    return SendFrame({"type": "session.update", "event_id": ID, "session": session})


def _update(model: str | None = MODEL, *, include: Any = None, options: Any = None, **audio_input: Any) -> SendFrame:
    if model is not None:
        audio_input["transcription"] = {"model": model, **(options or {})}
    session: dict[str, Any] = {"type": "transcription", "audio": {"input": audio_input}}
    if include is not None:
        session["include"] = include
    return _session(session)


def _event(type_: str, **fields: Any) -> SendFrame:
    return SendFrame({"type": type_, "event_id": ID, **fields})


_UPDATED = WaitFor("session.updated")
_COMPLETED = WaitFor("conversation.item.input_audio_transcription.completed")
_DELTA = WaitFor("conversation.item.input_audio_transcription.delta")
_COMMIT = _event("input_audio_buffer.commit")
_LOGPROBS = ["item.input_audio_transcription.logprobs"]
_MANUAL: dict[str, Any] = {"turn_detection": None}
_VAD: dict[str, Any] = {"turn_detection": {"type": "server_vad"}}
_READY = (_update(), _UPDATED)
_SENTENCE = AppendAudio("hello", after=1000)

_ISSUE = "[agents-js#1756]"
_NOT_TOGETHER = "[openai-python#2253]"
_NOT_A_SESSION_MODEL = "[bifrost#6095]"
_CAPTURE = "[capture]"
_LIVE = "[live]"
_RECORDING = "[recording]"
_OPTIONS = "[options]"
_ASSUMED = "[assumed] the form of the captured errors"
_TYPES = "[types] live frames are not known"


def _refused_model(model: str, evidence: str, intent: str = "intent=transcription&") -> Row:
    mode = "intent=transcription" if intent else "no intent"
    return Row(
        "connecting",
        f"{mode}, model={model}",
        evidence,
        (_update(), _UPDATED),
        f"{intent}model={model}",
        moment=bool(intent),
        prefix_only=("error.message",) if model == "gpt-nope" else (),
    )


_CONNECTING = (
    Row("connecting", "intent=transcription alone", "[guide] [capture] [client]", _READY),
    Row("connecting", "intent in capitals", "[client]", _READY, "intent=TRANSCRIPTION"),
    *(
        _refused_model(model, _ISSUE)
        for model in ("gpt-4o-mini-transcribe", "gpt-4o-transcribe", "whisper-1", "gpt-transcribe")
    ),
    _refused_model("gpt-live-transcribe", _ISSUE),
    _refused_model(_CONVERSATION_MODEL, _NOT_TOGETHER),
    _refused_model("gpt-realtime-whisper", _NOT_TOGETHER),
    _refused_model("gpt-nope", "[assumed] the message for a known transcription model"),
    _refused_model("", "[assumed] an empty model counts as present"),
    Row("connecting", "neither intent nor model", _CAPTURE, (_update(), _UPDATED), ""),
    _refused_model("gpt-4o-mini-transcribe", _NOT_A_SESSION_MODEL, ""),
    _refused_model("whisper-1", _NOT_A_SESSION_MODEL, ""),
    _refused_model("gpt-nope", f"{_CAPTURE}; the message's end is not known", ""),
    Row(
        "connecting",
        f"model={_CONVERSATION_MODEL}: a conversation accepts its update",
        _CAPTURE,
        (_session({"type": "realtime", "instructions": "Be brief."}), _UPDATED),
        f"model={_CONVERSATION_MODEL}",
    ),
    Row(
        "connecting",
        f"model={_CONVERSATION_MODEL}: a conversation refuses a transcription update",
        "[cross-type]",
        (_update(),),
        f"model={_CONVERSATION_MODEL}",
        not_compared=("error.param",),
    ),
    Row(
        "connecting",
        "a transcription session refuses a conversation's update",
        "[cross-type]",
        (_session({"type": "realtime", "instructions": "Be brief."}),),
        not_compared=("error.param",),
    ),
    Row(
        "connecting",
        "the header of the beta",
        _CAPTURE,
        _READY,
        headers=(("OpenAI-Beta", "realtime=v1"),),
    ),
    Row(
        "connecting",
        "the subprotocol of the beta",
        "[beta-subprotocol]",
        _READY,
        credentials="subprotocol",
        headers=(("Sec-WebSocket-Protocol", "openai-beta.realtime-v1"),),
    ),
    Row("connecting", "an unknown path", _CAPTURE, path="/v1/realtimes", not_compared=("body",)),
)

_SECRET = {
    "expires_after": {"anchor": "created_at", "seconds": 120},
    "session": {"type": "transcription", "audio": {"input": {"transcription": {"model": MODEL, "language": "en"}}}},
}

_CREDENTIALS = (
    Row("credentials", "no key", _CAPTURE, credentials="none"),
    Row("credentials", "an unknown key", _CAPTURE, credentials="bad"),
    Row("credentials", "the key as a subprotocol", "[client]", _READY, credentials="subprotocol"),
    Row(
        "credentials",
        "an ephemeral secret opens the bare URL with its session",
        "[client] [types]",
        _READY,
        "",
        "ephemeral",
        secret=_SECRET,
    ),
    Row(
        "credentials",
        "an ephemeral secret and a model",
        "[assumed] like intent=transcription and a model",
        _READY,
        "model=whisper-1",
        "ephemeral",
        secret=_SECRET,
        moment=True,
    ),
    Row(
        "credentials",
        "a secret for a session with an unknown field",
        _ASSUMED,
        credentials="ephemeral",
        secret={"session": {"type": "transcription", "bogus_field": 1}},
    ),
    Row(
        "credentials",
        "a secret for gpt-realtime-whisper without turn detection",
        "[omitted-vad] what the session object shows then is not known",
        query="",
        credentials="ephemeral",
        secret={
            "session": {
                "type": "transcription",
                "audio": {"input": {"transcription": {"model": "gpt-realtime-whisper"}}},
            }
        },
        not_compared=("session.audio.input.turn_detection",),
    ),
    Row(
        "credentials",
        "a secret that expires after one second",
        "[types] 10 to 7200 seconds",
        credentials="ephemeral",
        secret={**_SECRET, "expires_after": {"anchor": "created_at", "seconds": 1}},
    ),
)

_SESSION = (
    Row("session object", "created and never updated; the form of identifiers", _CAPTURE, id_format=True),
    Row("session object", "noise reduction", _CAPTURE, (_update(noise_reduction={"type": "near_field"}), _UPDATED)),
    Row(
        "session object",
        "server_vad with settings of its own",
        _CAPTURE,
        (_update(turn_detection={"type": "server_vad", "threshold": 0.7, "silence_duration_ms": 450}), _UPDATED),
    ),
    Row("session object", "semantic_vad", _TYPES, (_update(turn_detection={"type": "semantic_vad"}), _UPDATED)),
    Row("session object", "no turn detection", _CAPTURE, (_update(**_MANUAL), _UPDATED)),
    Row("session object", "audio/pcmu", _LIVE, (_update(format={"type": "audio/pcmu"}), _UPDATED)),
    Row("session object", "audio/pcma", "[types]", (_update(format={"type": "audio/pcma"}), _UPDATED)),
    Row("session object", "logprobs included", _TYPES, (_update(include=_LOGPROBS), _UPDATED)),
    Row(
        "session object",
        "languages are echoed, delay and keywords are not",
        _LIVE,
        (
            _update(
                "gpt-live-transcribe",
                options={"languages": ["en", "de"], "delay": "low", "keywords": ["gateway"]},
                turn_detection=None,
            ),
            _UPDATED,
        ),
    ),
    Row(
        "session object",
        "a second update keeps what the first one set",
        _CAPTURE,
        (
            _update(options={"language": "en"}, noise_reduction={"type": "far_field"}),
            _UPDATED,
            _update(None, turn_detection={"type": "server_vad", "prefix_padding_ms": 100}),
            _UPDATED,
        ),
    ),
    *(
        Row(
            "session object",
            f"turn detection left out with {model}",
            "[omitted-vad] what the session object shows then is not known",
            (_update(model), _UPDATED),
            not_compared=("session.audio.input.turn_detection",),
        )
        for model in ("gpt-realtime-whisper", "gpt-live-transcribe")
    ),
    Row(
        "session object",
        "a refused update is discarded whole: turns and items, no transcript",
        _CAPTURE,
        (
            _session(
                {
                    "type": "transcription",
                    "audio": {"input": {"transcription": {"model": MODEL}, "noise_reduction": {"type": "near_field"}}},
                    "bogus_field": 1,
                }
            ),
            _SENTENCE,
            WaitFor("conversation.item.done"),
            _session({"type": "transcription"}),
            _UPDATED,
        ),
    ),
)


def _error(name: str, evidence: str, *steps: Step, **options: Any) -> Row:
    return Row("errors", name, evidence, steps, **options)


_ERRORS = (
    _error("a commit of nothing", _LIVE, _COMMIT),
    _error("a commit of 50 ms", _LIVE, AppendAudio(None, before=50), _COMMIT),
    _error("an unknown event", _CAPTURE, _event("nope")),
    _error(
        "transcription_session.update, the beta's event", _CAPTURE, _event("transcription_session.update", session={})
    ),
    _error("an unknown field", _CAPTURE, _session({"type": "transcription", "bogus_field": 1})),
    _error("no session.type", "[drift-test]", _session({"audio": {"input": {}}})),
    _error("no transcription.model", _LIVE, _update(None, transcription={"language": "en"})),
    _error("no turn_detection.type", _LIVE, _update(turn_detection={"threshold": 0.5})),
    _error("8 kHz", _CAPTURE, _update(format={"type": "audio/pcm", "rate": 8000})),
    _error("48 kHz", _ASSUMED, _update(format={"type": "audio/pcm", "rate": 48000})),
    _error("an unknown delay", _LIVE, _update("gpt-realtime-whisper", options={"delay": "bogus"}, turn_detection=None)),
    _error("turn detection with gpt-realtime-whisper", "[whisrs#34]", _update("gpt-realtime-whisper", **_VAD)),
    _error("turn detection with gpt-live-transcribe", "[whisrs#34]", _update("gpt-live-transcribe", **_VAD)),
    _error("not JSON", f"{_CAPTURE}; the message's end is unknown", SendFrame("{nope"), prefix_only=("error.message",)),
    _error("a binary frame", _CAPTURE, SendFrame(b"\0\1")),
    _error(
        "an append of nothing",
        "[append-issues] the code is not known",
        _event("input_audio_buffer.append", audio=""),
        not_compared=("error.code", "error.param"),
    ),
    _error(
        "an append that is not base64",
        "[append-issues] the code is not known",
        _event("input_audio_buffer.append", audio="!!"),
        not_compared=("error.code", "error.param"),
    ),
    _error("an append without audio", _ASSUMED, _event("input_audio_buffer.append")),
    _error("an event without a type", _ASSUMED, SendFrame({"event_id": ID})),
    _error("an unknown format", _ASSUMED, _update(format={"type": "audio/wav"})),
    _error(
        "an unknown transcription model",
        "[unknown-model] the list of models is not known",
        _update("gpt-nope"),
        prefix_only=("error.message",),
    ),
    _error("a threshold above 1", _ASSUMED, _update(turn_detection={"type": "server_vad", "threshold": 1.5})),
    _error(
        "a silence that is no number",
        _ASSUMED,
        _update(turn_detection={"type": "server_vad", "silence_duration_ms": "x"}),
    ),
    _error("an unknown eagerness", _ASSUMED, _update(turn_detection={"type": "semantic_vad", "eagerness": "keen"})),
    _error("an unknown noise reduction", _ASSUMED, _update(noise_reduction={"type": "mid_field"})),
    _error("an unknown include", _ASSUMED, _update(include=["logprobs"])),
    _error("delay with whisper-1", _OPTIONS, _update("whisper-1", options={"delay": "low"})),
    _error(
        "prompt with gpt-realtime-whisper",
        _OPTIONS,
        _update("gpt-realtime-whisper", options={"prompt": "Ada, Grace"}, **_MANUAL),
    ),
    _error(
        "keywords with gpt-4o-transcribe", _OPTIONS, _update("gpt-4o-transcribe", options={"keywords": ["gateway"]})
    ),
    _error("a prompt of 1,025 characters", "[type-wave]", _update(options={"prompt": "x" * 1025})),
    _error(
        "a keyword with an angle bracket",
        "[type-wave]",
        _update("gpt-live-transcribe", options={"keywords": ["a<b"]}, **_MANUAL),
    ),
    _error("audio/pcm without a rate", "[pcm-rate]", _update(format={"type": "audio/pcm"})),
    _error("audio/pcmu with a rate", _LIVE, _update(format={"type": "audio/pcmu", "rate": 8000})),
    _error(
        "language beside languages",
        "[guide] the message and the code are assumed",
        _update("gpt-live-transcribe", options={"language": "en", "languages": ["de"]}, **_MANUAL),
        not_compared=("error.code", "error.message", "error.param"),
    ),
    _error(
        "an empty list of languages",
        "[guide] the message and the code are assumed",
        _update("gpt-live-transcribe", options={"languages": []}, **_MANUAL),
        not_compared=("error.code", "error.message"),
    ),
    _error(
        "languages that are null",
        "[guide] the message and the code are assumed",
        _update("gpt-live-transcribe", options={"languages": None}, **_MANUAL),
        not_compared=("error.code", "error.message"),
    ),
    _error(
        "a commit without speech under server_vad",
        "[commit-empty] not settled: it may make an item",
        *_READY,
        AppendAudio(None, before=400),
        _COMMIT,
    ),
    _error("a response in a transcription session", "[assumed]", _event("response.create")),
    _error("an unknown item", "[item-reports]", _event("conversation.item.retrieve", item_id="item_probe")),
)


def _turn(model: str, evidence: str = _CAPTURE, **options: Any) -> Row:
    return Row(
        "transcribing", f"{model}, server_vad", evidence, (_update(model), _UPDATED, _SENTENCE, _COMPLETED), **options
    )


def _manual(model: str, evidence: str = _CAPTURE) -> Row:
    steps = (_update(model, **_MANUAL), _UPDATED, AppendAudio("hello"), _COMMIT, _COMPLETED)
    return Row("transcribing", f"{model}, a commit by the client", evidence, steps)


def _streaming(model: str) -> Row:
    steps = (_update(model, **_MANUAL), _UPDATED, AppendAudio("coffee"), _DELTA, _COMMIT, _COMPLETED)
    return Row("transcribing", f"{model}, deltas before the commit", _LIVE, steps)


def _telephone(format_: str) -> Row:
    steps = (_update(format={"type": format_}), _UPDATED, AppendAudio("hello", after=1000, format=format_), _COMPLETED)
    return Row("transcribing", f"{format_}, server_vad", _LIVE if format_ == "audio/pcmu" else "[types]", steps)


_TRANSCRIBING = (
    _turn("gpt-4o-mini-transcribe"),
    _turn("gpt-4o-transcribe"),
    _turn("whisper-1", _LIVE),
    _turn("gpt-transcribe", _TYPES),
    _turn(
        "gpt-4o-transcribe-diarize",
        "[types] whether it takes server_vad, and its usage, are not known",
        not_compared=("usage",),
    ),
    Row(
        "transcribing",
        "semantic_vad, the end of a sentence",
        _TYPES,
        (
            _update(turn_detection={"type": "semantic_vad", "eagerness": "high"}),
            _UPDATED,
            AppendAudio("hello", after=3000),
            _COMPLETED,
        ),
        not_compared=("audio_end_ms", "usage"),
    ),
    _manual("gpt-4o-mini-transcribe"),
    _manual("whisper-1", _LIVE),
    _streaming("gpt-live-transcribe"),
    _streaming("gpt-realtime-whisper"),
    Row(
        "transcribing",
        "silence, committed to gpt-live-transcribe",
        _LIVE,
        (_update("gpt-live-transcribe", **_MANUAL), _UPDATED, AppendAudio(None, before=1000), _COMMIT, _COMPLETED),
    ),
    Row(
        "transcribing",
        "log probabilities",
        _TYPES,
        (_update(include=_LOGPROBS, **_MANUAL), _UPDATED, AppendAudio("hello"), _COMMIT, _COMPLETED),
    ),
    Row(
        "transcribing",
        "two turns, one after the other: the chain of items",
        _CAPTURE,
        (*_READY, _SENTENCE, _COMPLETED, AppendAudio("weather", after=1000), _COMPLETED),
    ),
    _telephone("audio/pcmu"),
    _telephone("audio/pcma"),
    Row(
        "transcribing",
        "cleared audio is gone",
        "[types]",
        (_update(**_MANUAL), _UPDATED, AppendAudio("hello"), _event("input_audio_buffer.clear"), _COMMIT),
    ),
    Row(
        "transcribing",
        "idle_timeout_ms: silence is committed",
        _TYPES,
        (
            _update(turn_detection={"type": "server_vad", "idle_timeout_ms": 5000}),
            _UPDATED,
            AppendAudio(None, before=5200),
            WaitFor("input_audio_buffer.timeout_triggered"),
            _COMPLETED,
        ),
    ),
)

_IN_CONVERSATION = {
    "type": "realtime",
    "audio": {"input": {"transcription": {"model": "gpt-realtime-whisper"}, "turn_detection": {"type": "server_vad"}}},
}

_CONVERSATIONS = (
    Row(
        "conversations",
        "session.created is whole, and no conversation.created follows",
        _RECORDING,
        query=f"model={_CONVERSATION_MODEL}",
        not_compared=("session.instructions", "session.audio.output.voice"),
    ),
    Row(
        "conversations",
        "server_vad with gpt-realtime-whisper is accepted",
        _RECORDING,
        (_session(_IN_CONVERSATION), _UPDATED),
        f"model={_CONVERSATION_MODEL}",
        not_compared=("session.instructions", "session.audio.output.voice"),
    ),
)

_IN_TRANSCRIPTION = "reported for conversations; [assumed] for transcription sessions"


def _account(name: str, account: Account, evidence: str, **options: Any) -> Row:
    return Row("accounts", name, evidence, _READY, account=account, **options)


_ACCOUNTS = (
    _account("no credit", "no-credit", f"[accounts] {_IN_TRANSCRIPTION}"),
    _account("the quota is used up", "quota", f"[accounts] {_IN_TRANSCRIPTION}", prefix_only=("error.message",)),
    _account("the spend limit is reached", "spend-limit", f"[accounts] {_IN_TRANSCRIPTION}"),
    _account(
        "no credit: a secret is made, and its session is refused",
        "no-credit",
        f"[accounts] {_IN_TRANSCRIPTION}",
        query="",
        credentials="ephemeral",
        secret=_SECRET,
    ),
    _account(
        "no access to the model",
        "no-model",
        "[voice-client] [assumed] the message, and for transcription sessions",
        not_compared=("error.message",),
    ),
)

#: The deployment of a realtime model on Azure, unless another is named.
AZURE_DEPLOYMENT = "gpt-realtime"


def _azure(
    name: str,
    evidence: str = "[azure]",
    query: str = "intent=transcription",
    *steps: Step,
    credentials: Credentials = "api-key",
    **options: Any,
) -> Row:
    return Row("azure", name, evidence, steps, query, credentials, profile="azure", **options)


_AZURE = (
    _azure("intent=transcription opens a transcription session"),
    _azure("model=<deployment> opens a conversation", query=f"model={AZURE_DEPLOYMENT}"),
    _azure(
        "a conversation refuses a transcription update",
        "[azure-whisper]",
        f"model={AZURE_DEPLOYMENT}",
        _update(),
        not_compared=("error.message", "error.param"),
    ),
    _azure(
        "a deployment and the intent",
        "[azure] the body is not known",
        f"intent=transcription&model={AZURE_DEPLOYMENT}",
        not_compared=("body",),
    ),
    _azure(
        "neither a deployment nor the intent",
        "[azure] the code has two spellings",
        "",
        not_compared=("body.error.code",),
    ),
    _azure("the deployment of a transcription model", "[azure-whisper]", "model=gpt-realtime-whisper"),
    _azure(
        "an unknown deployment",
        "[azure] the message may go on",
        "model=rtstt-missing",
        prefix_only=("body.error.message",),
    ),
    _azure("no key on Azure", "[azure] the body is not known", credentials="none", not_compared=("body",)),
    _azure("an unknown key on Azure", credentials="bad-api-key"),
    _azure(
        "the preview's transcription session with an API key",
        "[azure-ephemeral]",
        "api-version=2025-04-01-preview&intent=transcription",
        path="/openai/realtime",
    ),
)

ROWS: tuple[Row, ...] = (
    _CONNECTING + _CREDENTIALS + _SESSION + _ERRORS + _TRANSCRIBING + _CONVERSATIONS + _ACCOUNTS + _AZURE
)


def select_rows(
    words: str | None,
    skip: Sequence[str] = (),
    *,
    compatible: bool = False,
    profile: Profile | None = None,
    account: Account | None = None,
) -> list[Row]:
    """Return the rows whose group and name together contain every word; all rows without words.

    Args:
        words: Words separated by spaces; case does not matter.
        skip: Rows that contain every word of one of these are left out.
        compatible: Whether to leave out the rows on refusals of OpenAI's.
        profile: Leave out the rows that are not for this kind of endpoint.
        account: Leave out the rows that are not for an account in this state.
    """

    def contains(row: Row, text: str) -> bool:
        return all(word in f"{row.group}: {row.name}".lower() for word in text.lower().split())

    return [
        row
        for row in ROWS
        if contains(row, words or "")
        and not any(contains(row, text) for text in skip)
        and (row.compatible or not compatible)
        and profile in (None, row.profile)
        and account in (None, row.account)
    ]


def for_deployment(rows: Sequence[Row], name: str) -> list[Row]:
    """Return the rows for Azure with the name of another deployment.

    Args:
        rows: The rows.
        name: The deployment of a realtime model, as it is written in a query.
    """
    return [row._replace(query=row.query.replace(f"model={AZURE_DEPLOYMENT}", f"model={name}")) for row in rows]
