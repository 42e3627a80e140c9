"""The HTTP API: ``POST /v1/realtime/client_secrets``, and the control API under ``/_mock/``.

``GET /_mock/openapi.json`` describes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from rtstt_core.masking import mask_keys
from rtstt_testkit.cassette.player import Player
from rtstt_testkit.mock.inspect.explain import explain
from rtstt_testkit.mock.inspect.findings.finding import Finding
from rtstt_testkit.mock.inspect.record import SessionRecord
from rtstt_testkit.mock.inspect.verify import ScriptNotFollowed
from rtstt_testkit.mock.protocol import errors
from rtstt_testkit.mock.protocol.errors import ApiError
from rtstt_testkit.mock.protocol.handshake import Request
from rtstt_testkit.mock.protocol.ids import Ids
from rtstt_testkit.mock.protocol.secret_store import SecretStore
from rtstt_testkit.mock.script.script import Script
from rtstt_testkit.mock.server import memory
from rtstt_testkit.mock.server.access import Access
from rtstt_testkit.mock.server.http import HttpRequest, HttpResponse
from rtstt_testkit.mock.server.openapi import ANY_OBJECT, SCRIPT, SECONDS, TEXT, Operation, describe

__all__ = ["Controlled", "Handler", "Route", "respond"]


class Controlled(Protocol):
    """What the API needs of a server."""

    control: bool
    routes: Sequence[Route]
    access: Access

    @property
    def sessions(self) -> list[SessionRecord]:
        """The records of the sessions."""

    @property
    def url(self) -> str:
        """The WebSocket address."""

    @property
    def secrets(self) -> SecretStore:
        """The ephemeral secrets."""

    @property
    def player(self) -> Player | None:
        """The recording that answers the clients, or None."""

    def wall(self) -> float:
        """Return the time of day, in seconds since 1970."""

    @property
    def virtual_time(self) -> bool:
        """Whether time moves only in `advance`."""

    def load(self, script: Script) -> None:
        """Replace the script."""

    def reset(self) -> None:
        """Drop the sessions that ended, and start the script again."""

    async def advance(self, seconds: float) -> None:
        """Move virtual time."""

    def verify(self) -> None:
        """Check that the script was followed."""

    def explain(self) -> str:
        """Return the outcome of each session, in words."""

    def findings(self) -> list[Finding]:
        """Return what the clients did wrong."""

    def findings_of(self, record: SessionRecord) -> list[Finding]:
        """Return the findings for which a session has evidence."""


_PREFLIGHT = (
    ("Access-Control-Allow-Methods", "GET, POST, PUT"),
    ("Access-Control-Allow-Headers", "Authorization, Content-Type"),
)


async def respond(server: Controlled, request: HttpRequest) -> HttpResponse:
    """Return the response to a request."""
    cors = server.access.cors(request.head)
    if cors and request.method == "OPTIONS":
        return HttpResponse(204, b"", headers=[*cors, *_PREFLIGHT])
    response = await _dispatch(server, request)
    return response._replace(headers=[*response.headers, *cors])


async def _dispatch(server: Controlled, request: HttpRequest) -> HttpResponse:
    allowed = []
    for operation, handler in (*OPERATIONS, *server.routes):
        match = operation.match(request.path)
        if match is None or (operation.control and not server.control):
            continue
        if operation.method == request.method:
            refusal = server.access.control_refusal(request.head) if operation.control else None
            return refusal or await handler(server, request, match)
        allowed.append(operation.method)
    if allowed:
        message = f"{request.path} takes {' and '.join(allowed)}."
        return _error(405, message)._replace(headers=[("Allow", ", ".join(allowed))])
    if request.path.startswith("/_mock") and not server.control:
        return _error(404, "The control API is off; start the mock with control=True.")
    return _error(404, f"Nothing at {request.method} {request.path}.")


def _error(status: int, message: str, error: ApiError | None = None) -> HttpResponse:
    error = error or ApiError(message)
    return HttpResponse(status, {"error": {name: error.body()[name] for name in ("message", "type", "param", "code")}})


def _body(request: HttpRequest) -> Any:
    """Return the body as JSON, or the error of one that is none."""
    try:
        return json.loads(request.body or b"{}")
    except (ValueError, RecursionError):
        return ApiError("We could not parse the JSON body of your request.")


async def _client_secrets(server: Controlled, request: HttpRequest, match: re.Match[str]) -> HttpResponse:
    credentials = Request(request.head.target, request.head.headers)
    if credentials.key is None:
        return _error(401, "", errors.MISSING_KEY)
    if not credentials.has_plausible_key:
        return _error(401, "", errors.incorrect_key(credentials.masked_key))
    body = _body(request)
    if server.player is not None:
        recorded = server.player.exchange(body, Ids(), server.wall())
        if recorded is not None:
            return HttpResponse(*recorded)
    made = body if isinstance(body, ApiError) else server.secrets.create(body)
    return _error(400, "", made) if isinstance(made, ApiError) else HttpResponse(200, made)


def _summary(record: SessionRecord) -> dict[str, Any]:
    close = record.close
    return {
        "number": record.number,
        "open": record.open,
        "kind": record.kind,
        "http_status": record.http_status,
        "path": record.handshake.path,
        "query": record.handshake.query,
        "headers": record.handshake.headers,
        "subprotocols": record.handshake.subprotocols,
        "refusal": mask_keys(record.refusal.message) if record.refusal else None,
        "close": {"code": close.code, "reason": close.reason, "by": close.by} if close else None,
        "audio_bytes": record.audio_received,
        "transcripts": record.transcripts,
        "explanation": " ".join(explain(record)),
    }


async def _sessions(server: Controlled, request: HttpRequest, match: re.Match[str]) -> HttpResponse:
    return HttpResponse(200, {"sessions": [_summary(record) for record in server.sessions]})


def _session(server: Controlled, match: re.Match[str]) -> SessionRecord | HttpResponse:
    number = int(match[1])
    for record in server.sessions:
        if record.number == number:
            return record
    return _error(404, f"There is no session {number}; {len(server.sessions)} are known.")


async def _events(server: Controlled, request: HttpRequest, match: re.Match[str]) -> HttpResponse:
    record = _session(server, match)
    if isinstance(record, HttpResponse):
        return record
    events = [
        {
            "sender": event.sender,
            "at": round(event.at, 6),
            "count": event.count,
            "dropped": event.dropped,
            "event": event.data,
        }
        for event in record.events
    ]
    return HttpResponse(200, {**_summary(record), "events": events})


async def _audio(server: Controlled, request: HttpRequest, match: re.Match[str]) -> HttpResponse:
    record = _session(server, match)
    return record if isinstance(record, HttpResponse) else HttpResponse(200, record.wav(), "audio/wav")


def _format(request: HttpRequest) -> str:
    """Return the script's format by the Content-Type, such as ``application/yaml``."""
    kind = request.head.header("content-type") or ""
    return re.split(r"[/+-]", kind.partition(";")[0].strip().lower())[-1]


async def _script(server: Controlled, request: HttpRequest, match: re.Match[str]) -> HttpResponse:
    from rtstt_testkit.mock.script.file import ScriptError, parse_script  # imports the parsers, which few servers need

    try:
        script = parse_script(request.body.decode("utf-8"), "script", _format(request))
    except UnicodeDecodeError:
        return _error(400, "The script is not UTF-8 text.")
    except ScriptError as error:
        return _error(400, str(error))
    server.load(script)
    return HttpResponse(200, {"transcripts": len(script.transcripts), "faults": len(script.faults)})


async def _reset(server: Controlled, request: HttpRequest, match: re.Match[str]) -> HttpResponse:
    server.reset()
    memory.trim()
    return HttpResponse(200, {"sessions": len(server.sessions)})


async def _advance(server: Controlled, request: HttpRequest, match: re.Match[str]) -> HttpResponse:
    body = _body(request)
    seconds = body.get("seconds") if isinstance(body, dict) else None
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds <= 1e9:
        return _error(400, 'Send {"seconds": N}, with N from 0.')
    if not server.virtual_time:
        return _error(409, "Time is real; start the mock with virtual time to move it.")
    await server.advance(seconds)
    return HttpResponse(200, {"advanced": seconds})


async def _explain(server: Controlled, request: HttpRequest, match: re.Match[str]) -> HttpResponse:
    text = server.explain() + "\n"
    return HttpResponse(200, text.encode(), "text/plain; charset=utf-8")


async def _findings(server: Controlled, request: HttpRequest, match: re.Match[str]) -> HttpResponse:
    return HttpResponse(200, {"findings": [finding.as_json() for finding in server.findings()]})


async def _verify(server: Controlled, request: HttpRequest, match: re.Match[str]) -> HttpResponse:
    try:
        server.verify()
    except ScriptNotFollowed as error:
        return _error(409, str(error))
    return HttpResponse(200, {"followed": True})


async def _health(server: Controlled, request: HttpRequest, match: re.Match[str]) -> HttpResponse:
    return HttpResponse(200, {"status": "ok"})


async def _openapi(server: Controlled, request: HttpRequest, match: re.Match[str]) -> HttpResponse:
    return HttpResponse(200, describe(operation for operation, _ in (*OPERATIONS, *server.routes)))


Handler = Callable[[Controlled, HttpRequest, re.Match[str]], Awaitable[HttpResponse]]

#: An operation and what handles it.
Route = tuple[Operation, Handler]

OPERATIONS: tuple[Route, ...] = (
    (
        Operation(
            "POST",
            "/v1/realtime/client_secrets",
            "createClientSecret",
            "Create an ephemeral secret (ek_…), as OpenAI's API does.",
            "ClientSecret",
            {"application/json": ANY_OBJECT},
            (400, 401),
            control=False,
        ),
        _client_secrets,
    ),
    (
        Operation(
            "GET",
            "/_mock/sessions",
            "listSessions",
            "The sessions: handshake, close, transcripts, explanation.",
            "Sessions",
        ),
        _sessions,
    ),
    (
        Operation(
            "GET",
            "/_mock/sessions/{number}",
            "getSession",
            "One session with every event both ways.",
            "SessionWithEvents",
            errors=(404,),
        ),
        _events,
    ),
    (
        Operation(
            "GET",
            "/_mock/sessions/{number}/audio.wav",
            "getAudio",
            "The audio that a session received.",
            "audio/wav",
            errors=(404,),
        ),
        _audio,
    ),
    (Operation("GET", "/_mock/explain", "explain", "The outcome of each session, in words.", "text/plain"), _explain),
    (
        Operation("GET", "/_mock/findings", "findings", "What the clients did wrong, with the evidence.", "Findings"),
        _findings,
    ),
    (
        Operation(
            "GET",
            "/_mock/verify",
            "verify",
            "Whether the script was used up, and no client connected that was not expected.",
            "Followed",
            errors=(409,),
        ),
        _verify,
    ),
    (
        Operation(
            "PUT",
            "/_mock/script",
            "loadScript",
            "Replace the script; the body is what --script takes, TOML unless the Content-Type is another.",
            "Loaded",
            {"application/toml": TEXT, "application/yaml": TEXT, "application/json": SCRIPT},
            (400,),
        ),
        _script,
    ),
    (
        Operation(
            "POST",
            "/_mock/reset",
            "reset",
            "Drop the sessions that ended, and start the script again.",
            "Left",
        ),
        _reset,
    ),
    (
        Operation(
            "POST",
            "/_mock/advance",
            "advance",
            "Move virtual time.",
            "Advanced",
            {"application/json": {"type": "object", "required": ["seconds"], "properties": {"seconds": SECONDS}}},
            (400, 409),
        ),
        _advance,
    ),
    # For the health check of a container, which has no token.
    (Operation("GET", "/_mock/health", "health", "Whether the mock serves.", "Healthy", control=False), _health),
    (Operation("GET", "/_mock/openapi.json", "describe", "This description.", "Description"), _openapi),
)
