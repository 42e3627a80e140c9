"""Who gets in, and what the others are told: PROTOCOL sections 1 and 2.

One function a profile, each reading its table; nothing here knows sockets. The mock's rule about keys is its
own: a key that begins with ``sk-`` or ``ek_`` is accepted unless it contains ``bad`` or ``invalid``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol

from rtstt_testkit.mock.protocol import errors
from rtstt_testkit.mock.protocol.errors import ApiError
from rtstt_testkit.mock.protocol.handshake import Request
from rtstt_testkit.mock.protocol.models import ModelKind, kind_of

__all__ = [
    "PROFILES",
    "REFUSALS",
    "Admission",
    "HttpRefusal",
    "Moment",
    "Profile",
    "SecretLookup",
    "SessionKind",
    "admit",
]

Profile = Literal["openai", "gateway", "azure"]
Moment = Literal["at-connect", "on-update"]
SessionKind = Literal["transcription", "realtime"]


class HttpRefusal(NamedTuple):
    """An answer instead of the upgrade: an HTTP status and a JSON error."""

    status: int
    message: str
    code: str | None = None


class Admission(NamedTuple):
    """What a handshake leads to.

    Attributes:
        kind: The session it opens.
        refusal: The error that ends it, or None.
        moment: When the refusal comes.
        model: The model of a realtime session.
        seed: The session object that an ephemeral secret carries, or None.
    """

    kind: SessionKind
    refusal: ApiError | None = None
    moment: Moment = "at-connect"
    model: str | None = None
    seed: dict[str, Any] | None = None


class SecretLookup(Protocol):
    """Where ephemeral secrets are kept."""

    def find(self, value: str) -> dict[str, Any] | Literal["expired"] | None:
        """The session of a secret, ``expired``, or None when it was not made here."""


class Row(NamedTuple):
    """A row of the decision table: a ``?model=`` of this kind, in or out of transcription mode, is refused
    so.
    """

    transcription_mode: bool
    kind: ModelKind | Literal["empty"]
    message: str
    evidence: str


_NOT_WITH_SESSIONS = "You must not provide a model parameter for transcription sessions."
_NOT_IN_TRANSCRIPTION = 'Model "{model}" is not supported in transcription mode.'

REFUSALS: tuple[Row, ...] = (
    Row(True, "transcription", _NOT_IN_TRANSCRIPTION, "livekit/agents-js#1756 (2026-06-11) and four later"),
    Row(True, "realtime", _NOT_WITH_SESSIONS, "openai-python#2253 (2025-03), #2652 (2025-09) and later"),
    Row(True, "streaming", _NOT_WITH_SESSIONS, "openai-python#2253 (2025-03), #2652 (2025-09) and later"),
    Row(True, "unknown", _NOT_IN_TRANSCRIPTION, "assumed: the words of a known transcription model"),
    Row(True, "empty", _NOT_WITH_SESSIONS, "assumed: empty counts as present, the words are not known"),
    Row(
        False,
        "transcription",
        'Model "{model}" is a transcription model and cannot be used as the realtime session model. '
        "Use a realtime model for the session model. "
        "Pass this transcription model as audio.input.transcription.model instead.",
        "maximhq/bifrost#6095 (2026-08-12)",
    ),
    Row(
        False,
        "streaming",
        'Model "{model}" is a transcription model and cannot be used as the realtime session model. '
        "Use a realtime model for the session model. "
        "Pass this transcription model as audio.input.transcription.model instead.",
        "maximhq/bifrost#6095 (2026-08-12)",
    ),
    Row(
        False,
        "unknown",
        'Model "{model}" is not supported in realtime mode.',
        "capture; its end is not known",
    ),
    Row(False, "empty", 'Model "{model}" is not supported in realtime mode.', "assumed"),
)
_REFUSAL_BY = {(row.transcription_mode, row.kind): row.message for row in REFUSALS}


def admit(request: Request, profile: Profile, moment: Moment, secrets: SecretLookup) -> Admission | HttpRefusal:
    """Decide about a handshake.

    Args:
        request: The opening request.
        profile: Whose rules to follow.
        moment: When a transcription session with a model is refused.
        secrets: The ephemeral secrets made by this server.

    Returns:
        An admission, which may carry a refusal to be sent over the open socket, or an HTTP answer.
    """
    return PROFILES[profile](request, moment, secrets)


def _is_transcription_intent(request: Request) -> bool:
    return any(value.lower() == "transcription" for value in request.query.get("intent", ()))  # [client]


def _openai(request: Request, moment: Moment, secrets: SecretLookup) -> Admission | HttpRefusal:
    if request.path.rstrip("/") != "/v1/realtime":
        return HttpRefusal(403, f"No WebSocket endpoint at {request.path}; the mock serves /v1/realtime.")
    key = request.key
    if key is None:
        return Admission("transcription", errors.MISSING_KEY)
    session = secrets.find(key) if key.startswith("ek_") else None
    # A secret that was made here is good whatever letters chance put into it.
    if session == "expired" or (session is None and not request.has_plausible_key):
        return Admission("transcription", errors.incorrect_key(request.masked_key))
    if "realtime=v1" in (request.header("openai-beta") or "").replace(" ", "").lower():
        return Admission("transcription", errors.BETA_DISABLED)
    # An ek_ that was not made here counts as one for transcription.
    ephemeral = session or ({"type": "transcription"} if key.startswith("ek_") else None)
    return _decide(request, moment, ephemeral)


def _decide(request: Request, moment: Moment, ephemeral: dict[str, Any] | None) -> Admission:
    transcription = _is_transcription_intent(request) or (
        ephemeral is not None and ephemeral.get("type") == "transcription"
    )
    models = request.query.get("model")
    if models is None:
        if transcription:
            return Admission("transcription", seed=ephemeral)
        if ephemeral is not None and ephemeral.get("model"):
            return Admission("realtime", model=ephemeral["model"], seed=ephemeral)
        return Admission("realtime", errors.MISSING_MODEL)
    model = models[0]
    if not transcription and kind_of(model) == "realtime":
        return Admission("realtime", model=model, seed=ephemeral)
    message = _REFUSAL_BY[transcription, kind_of(model) if model else "empty"]
    refusal = errors.invalid_model(message.format(model=model[:200]))
    # Only the refusal of #1756 was ever seen after the update; the others come at once.
    if not transcription:
        moment = "at-connect"
    return Admission("transcription" if transcription else "realtime", refusal, moment, seed=ephemeral)


def _gateway(request: Request, moment: Moment, secrets: SecretLookup) -> Admission | HttpRefusal:
    """A gateway needs ``model`` to route; LiteLLM answers 403 without one, since the upgrade is never
    accepted.
    """
    if not request.path.rstrip("/").endswith("/realtime"):
        return HttpRefusal(403, f"No WebSocket endpoint at {request.path}; the mock serves /v1/realtime.")
    if request.has_bad_key:
        return HttpRefusal(401, "Authentication Error: no valid API key passed in.", "invalid_api_key")
    model = request.query.get("model", [""])[0]
    if not model:
        return HttpRefusal(403, "Missing required query parameter: 'model'.", "missing_model")
    if _is_transcription_intent(request) or kind_of(model) in {"transcription", "streaming"}:
        return Admission("transcription", model=model)
    return Admission("realtime", model=model)


def _azure(request: Request, moment: Moment, secrets: SecretLookup) -> Admission | HttpRefusal:
    """Azure: ``deployment=`` or ``intent=transcription``, never both and never neither."""
    if not request.path.rstrip("/").endswith("/realtime"):
        return HttpRefusal(404, "Resource not found", "404")
    if request.has_bad_key:
        return HttpRefusal(
            401,
            "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a "
            "valid key for an active subscription and use a correct regional API endpoint for your resource.",
            "401",
        )
    deployment = request.query.get("deployment")
    if (deployment is not None) == _is_transcription_intent(request):
        return HttpRefusal(
            400,
            "The requested operation is not supported: pass either deployment or intent=transcription.",
            "OperationNotSupported",
        )
    return Admission("realtime", model=deployment[0]) if deployment else Admission("transcription")


PROFILES: dict[Profile, Callable[[Request, Moment, SecretLookup], Admission | HttpRefusal]] = {
    "openai": _openai,
    "gateway": _gateway,
    "azure": _azure,
}
