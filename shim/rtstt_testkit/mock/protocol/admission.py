"""Which handshakes are accepted, and how the others are refused: PROTOCOL.md, sections 1 and 2.

There is one function per profile, with its rules in tables, and no sockets. The rule for keys is the mock's own: a key
that begins with ``sk-`` or ``ek_`` is accepted unless it contains ``bad`` or ``invalid``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol

from rtstt_testkit.mock.protocol import errors
from rtstt_testkit.mock.protocol.errors import ApiError
from rtstt_testkit.mock.protocol.handshake import Request
from rtstt_testkit.mock.protocol.models import ModelKind, kind_of

__all__ = [
    "ACCOUNTS",
    "HTTP_REFUSALS",
    "PROFILES",
    "REFUSALS",
    "Account",
    "Admission",
    "HttpRefusal",
    "Profile",
    "RefusalMoment",
    "SecretLookup",
    "SessionKind",
    "admit",
]

Profile = Literal["openai", "gateway", "azure"]
RefusalMoment = Literal["at-connect", "on-update"]
SessionKind = Literal["transcription", "realtime"]
#: The states of an account in which every session is refused after the handshake.
Account = Literal["no-credit", "quota", "spend-limit", "no-model"]

ACCOUNTS: dict[Account, ApiError] = {
    "no-credit": errors.NO_CREDIT,
    "quota": errors.NO_QUOTA,
    "spend-limit": errors.SPEND_LIMIT,
    "no-model": errors.MODEL_NOT_FOUND,
}


class HttpRefusal(NamedTuple):
    """An HTTP response instead of the upgrade.

    Attributes:
        status: The HTTP status.
        message: ``error.message`` of its JSON body; ``{path}`` is replaced by the request's path.
        code: ``error.code``, or None.
        evidence: The marks of PROTOCOL.md that show it.
        type: ``error.type``; None where the body has none, as on Azure.
    """

    status: int
    message: str
    code: str | None = None
    evidence: str = "[assumed]"
    type: str | None = "invalid_request_error"

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body."""
        type_ = {} if self.type is None else {"type": self.type}
        return {"error": {"message": self.message, **type_, "code": self.code}}


class Admission(NamedTuple):
    """The outcome of a handshake that is answered with 101.

    Attributes:
        kind: The kind of the session.
        refusal: The error that refuses it over the open connection, or None.
        moment: When the refusal is sent.
        model: The model of a realtime session.
        seed: The session object of an ephemeral secret, or None.
    """

    kind: SessionKind
    refusal: ApiError | None = None
    moment: RefusalMoment = "at-connect"
    model: str | None = None
    seed: dict[str, Any] | None = None


class SecretLookup(Protocol):
    """A store of ephemeral secrets."""

    def find(self, value: str) -> dict[str, Any] | Literal["expired"] | None:
        """Return the session of a secret, ``expired``, or None for a secret of another server."""


class ModelRefusal(NamedTuple):
    """A row of the decision table: a ``?model=`` of this kind is refused.

    Attributes:
        transcription_mode: Whether the row is for ``intent=transcription`` or a transcription secret.
        kind: The kind of the model, or ``empty``.
        message: The refusal; ``{model}`` is replaced by the model.
        evidence: The marks of PROTOCOL.md that show it.
    """

    transcription_mode: bool
    kind: ModelKind | Literal["empty"]
    message: str
    evidence: str


_NOT_WITH_SESSIONS = "You must not provide a model parameter for transcription sessions."
_NOT_IN_TRANSCRIPTION = 'Model "{model}" is not supported in transcription mode.'
_NOT_A_SESSION_MODEL = (
    'Model "{model}" is a transcription model and cannot be used as the realtime session model. '
    "Use a realtime model for the session model. "
    "Pass this transcription model as audio.input.transcription.model instead."
)
_NOT_IN_REALTIME = 'Model "{model}" is not supported in realtime mode.'

REFUSALS: tuple[ModelRefusal, ...] = (
    ModelRefusal(True, "transcription", _NOT_IN_TRANSCRIPTION, "[agents-js#1756]"),
    ModelRefusal(True, "realtime", _NOT_WITH_SESSIONS, "[openai-python#2253]"),
    ModelRefusal(True, "streaming", _NOT_WITH_SESSIONS, "[openai-python#2253]"),
    ModelRefusal(True, "unknown", _NOT_IN_TRANSCRIPTION, "[assumed]"),
    ModelRefusal(True, "empty", _NOT_WITH_SESSIONS, "[assumed]"),
    ModelRefusal(False, "transcription", _NOT_A_SESSION_MODEL, "[bifrost#6095]"),
    ModelRefusal(False, "streaming", _NOT_A_SESSION_MODEL, "[bifrost#6095]"),
    ModelRefusal(False, "unknown", _NOT_IN_REALTIME, "[capture]"),  # the end of the message is not known
    ModelRefusal(False, "empty", _NOT_IN_REALTIME, "[assumed]"),
)
_REFUSAL_BY = {(row.transcription_mode, row.kind): row for row in REFUSALS}

_WRONG_PATH = HttpRefusal(
    403, "No WebSocket endpoint at {path}; the mock serves /v1/realtime.", evidence="[capture] [assumed]"
)
_GATEWAY_KEY = HttpRefusal(
    401, "Authentication Error: no valid API key passed in.", "invalid_api_key", "[gateways] [assumed]"
)
# LiteLLM never accepts an upgrade without a model, so it answers with 403.
_GATEWAY_MODEL = HttpRefusal(403, "Missing required query parameter: 'model'.", "missing_model", "[gateways] [assumed]")
_AZURE_PATH = HttpRefusal(404, "Resource not found", "404", "[azure]", None)
_AZURE_PREVIEW = HttpRefusal(
    501,
    "The mock does not speak the beta protocol of Azure's preview API; connect to /openai/v1/realtime.",
    "preview_not_supported",
    "[assumed]",
    None,
)
_AZURE_KEY = HttpRefusal(
    401,
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an "
    "active subscription and use a correct regional API endpoint for your resource.",
    "401",
    "[azure]",
    None,
)
#: The answer of the preview's transcription sessions to an API key.
_AZURE_EPHEMERAL = HttpRefusal(
    401, "This operation requires ephemeral authentication.", "Unauthorized", "[azure-ephemeral]", None
)
_AZURE_INTENT = HttpRefusal(
    400,
    "This operation requires either deployment=<deployment-id> or intent=transcription present on the querystring.",
    "OperationNotSupported",
    "[azure]",
    None,
)
_AZURE_MODEL = HttpRefusal(
    400,
    "The realtime operation does not work with the specified model. Please choose different model and try again.",
    "OpperationNotSupported",  # Azure's own spelling
    "[azure-whisper]",
    None,
)
_AZURE_DEPLOYMENT = HttpRefusal(
    404, "The API deployment for this resource does not exist.", "DeploymentNotFound", "[azure]", None
)
#: All handshakes that are refused with an HTTP status.
HTTP_REFUSALS = (
    _WRONG_PATH,
    _GATEWAY_KEY,
    _GATEWAY_MODEL,
    _AZURE_PATH,
    _AZURE_PREVIEW,
    _AZURE_KEY,
    _AZURE_EPHEMERAL,
    _AZURE_INTENT,
    _AZURE_MODEL,
    _AZURE_DEPLOYMENT,
)


def admit(request: Request, profile: Profile, moment: RefusalMoment, secrets: SecretLookup) -> Admission | HttpRefusal:
    """Decide about a handshake.

    Args:
        request: The opening request.
        profile: Whose rules to follow.
        moment: When a transcription session with a model is refused.
        secrets: The ephemeral secrets made by this server.

    Returns:
        An admission, which may carry a refusal to be sent over the open connection, or an HTTP response.
    """
    answer = PROFILES[profile](request, moment, secrets)
    if isinstance(answer, HttpRefusal):
        return answer._replace(message=answer.message.replace("{path}", request.path))
    return answer


def _is_transcription_intent(request: Request) -> bool:
    return any(value.lower() == "transcription" for value in request.query.get("intent", ()))  # [client]


def _asks_for_beta(request: Request) -> bool:
    """Return whether the header or the subprotocol of the Beta API is there [capture] [beta-subprotocol]."""
    header = (request.header("openai-beta") or "").replace(" ", "").lower()
    return "realtime=v1" in header or "openai-beta.realtime-v1" in request.subprotocols


def _openai(request: Request, moment: RefusalMoment, secrets: SecretLookup) -> Admission | HttpRefusal:
    if request.path.rstrip("/") != "/v1/realtime":
        return _WRONG_PATH
    kind: SessionKind = "transcription" if _is_transcription_intent(request) else "realtime"
    key = request.key
    if key is None:
        return Admission(kind, errors.MISSING_KEY)
    session = secrets.find(key) if key.startswith("ek_") else None
    # A secret of this server is valid even if it contains one of the words for bad keys.
    if session == "expired" or (session is None and not request.has_plausible_key):
        return Admission(kind, errors.incorrect_key(request.masked_key))
    # A secret of another server counts as one for transcription.
    ephemeral = session or ({"type": "transcription"} if key.startswith("ek_") else None)
    if _asks_for_beta(request):
        return Admission(kind, errors.BETA_DISABLED)
    return _decide(request, moment, ephemeral)


def _decide(request: Request, moment: RefusalMoment, ephemeral: dict[str, Any] | None) -> Admission:
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
    row = _REFUSAL_BY[transcription, kind_of(model) if model else "empty"]
    refusal = errors.invalid_model(row.message.format(model=model[:200]), row.evidence)
    # Only a refusal in transcription mode was reported after the update [agents-js#1756]; the others come at once.
    if not transcription:
        moment = "at-connect"
    return Admission("transcription" if transcription else "realtime", refusal, moment, seed=ephemeral)


def _gateway(request: Request, moment: RefusalMoment, secrets: SecretLookup) -> Admission | HttpRefusal:
    """Decide as a gateway, which needs ``model`` to route [gateways]."""
    if not request.path.rstrip("/").endswith("/realtime"):
        return _WRONG_PATH
    if request.has_bad_key:
        return _GATEWAY_KEY
    model = request.query.get("model", [""])[0]
    if not model:
        return _GATEWAY_MODEL
    if _is_transcription_intent(request) or kind_of(model) in {"transcription", "streaming"}:
        return Admission("transcription", model=model)
    return Admission("realtime", model=model)


def _azure(request: Request, moment: RefusalMoment, secrets: SecretLookup) -> Admission | HttpRefusal:
    """Decide as Azure: ``model=<deployment>`` or ``intent=transcription``, never both and never neither [azure].

    The mock's own rules: a deployment whose name contains ``missing`` does not exist, and one with the name of a
    transcription model is one of that model.
    """
    path = request.path.rstrip("/")
    preview = path.endswith("/openai/realtime")
    if not preview and not path.endswith("/v1/realtime"):
        return _AZURE_PATH
    key = request.key or request.header("api-key") or ""
    ephemeral = key.startswith("ek_")
    if request.has_bad_key or (ephemeral and secrets.find(key) == "expired"):
        return _AZURE_KEY
    transcription = _is_transcription_intent(request)
    if preview:
        return _AZURE_EPHEMERAL if transcription and not ephemeral else _AZURE_PREVIEW
    deployment = (request.query.get("model") or request.query.get("deployment") or [""])[0]
    if bool(deployment) == transcription:
        return _AZURE_INTENT
    if not deployment:
        return Admission("transcription")
    if "missing" in deployment.lower():
        return _AZURE_DEPLOYMENT
    if kind_of(deployment) in ("transcription", "streaming"):
        return _AZURE_MODEL
    return Admission("realtime", model=deployment)


PROFILES: dict[Profile, Callable[[Request, RefusalMoment, SecretLookup], Admission | HttpRefusal]] = {
    "openai": _openai,
    "gateway": _gateway,
    "azure": _azure,
}
