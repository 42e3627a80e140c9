"""The HTTP side: ``POST /v1/realtime/client_secrets``, and a small API to steer a mock from another process.

The control API is under ``/_mock/``; ``GET /_mock/openapi.json`` describes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, Protocol

from rtstt_testkit.mock.inspect.explain import explain, explain_all
from rtstt_testkit.mock.inspect.record import SessionRecord
from rtstt_testkit.mock.inspect.verify import ScriptNotFollowed
from rtstt_testkit.mock.protocol import errors
from rtstt_testkit.mock.protocol.errors import ApiError
from rtstt_testkit.mock.protocol.handshake import Request
from rtstt_testkit.mock.protocol.secret_store import SecretStore
from rtstt_testkit.mock.script.script import Script
from rtstt_testkit.mock.server.http import HttpRequest, HttpResponse

__all__ = ["Controlled", "respond"]


class Controlled(Protocol):
    """What the API needs of a server."""

    control: bool
    routes: Sequence[Route]

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
    def virtual_time(self) -> bool:
        """Whether time moves only when it is told to."""

    def load(self, script: Script) -> None:
        """Say this from now on."""

    def reset(self) -> None:
        """Forget the sessions that are over, and begin the script again."""

    async def advance(self, seconds: float) -> None:
        """Let virtual time pass."""

    def verify(self) -> None:
        """Check that the script was followed."""


class Route(NamedTuple):
    """One operation: how it is asked for, what it does, how OpenAPI describes it.

    Attributes:
        method: Of the request.
        path: With ``{number}`` for a session's number.
        run: Answers it.
        name: The ``operationId``.
        summary: One sentence.
        answer: The schema of its answer, by name; or the media type of one that is not JSON.
        takes: The media types of its body, with their schemas.
        problems: The statuses with which it can be refused.
        control: Whether it is part of the control API.
    """

    method: str
    path: str
    run: Callable[[Controlled, HttpRequest, re.Match[str]], Awaitable[HttpResponse]]
    name: str
    summary: str
    answer: str
    takes: dict[str, dict[str, Any]] | None = None
    problems: tuple[int, ...] = ()
    control: bool = True

    @property
    def pattern(self) -> re.Pattern[str]:
        """The path as a pattern; ``{number}`` is a session's number."""
        return re.compile(self.path.replace("{number}", r"(\d{1,9})"))


async def respond(server: Controlled, request: HttpRequest) -> HttpResponse:
    """Return the response to a request."""
    methods = []
    for route in (*ROUTES, *server.routes):
        found = route.pattern.fullmatch(request.path)
        if found is None or (route.control and not server.control):
            continue
        if route.method == request.method:
            return await route.run(server, request, found)
        methods.append(route.method)
    if methods:
        return _problem(405, f"{request.path} takes {' and '.join(methods)}.")
    if request.path.startswith("/_mock") and not server.control:
        return _problem(404, "The control API is off; start the mock with control=True.")
    return _problem(404, f"Nothing at {request.method} {request.path}.")


def _problem(status: int, message: str, error: ApiError | None = None) -> HttpResponse:
    error = error or ApiError(message)
    return HttpResponse(status, {"error": {name: error.body()[name] for name in ("message", "type", "param", "code")}})


def _body(request: HttpRequest) -> Any:
    """The body as JSON; ApiError when it is none."""
    try:
        return json.loads(request.body or b"{}")
    except (ValueError, RecursionError):
        return ApiError("We could not parse the JSON body of your request.")


async def _client_secrets(server: Controlled, request: HttpRequest, found: re.Match[str]) -> HttpResponse:
    credentials = Request(request.head.target, request.head.headers)
    if credentials.key is None:
        return _problem(401, "", errors.MISSING_KEY)
    if not credentials.has_plausible_key:
        return _problem(401, "", errors.incorrect_key(credentials.masked_key))
    body = _body(request)
    made = body if isinstance(body, ApiError) else server.secrets.create(body)
    return _problem(400, "", made) if isinstance(made, ApiError) else HttpResponse(200, made)


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
        "refusal": record.refusal.message if record.refusal else None,
        "close": {"code": close.code, "reason": close.reason, "by": close.by} if close else None,
        "audio_bytes": record.audio_received,
        "transcripts": record.transcripts,
        "explanation": " ".join(explain(record)),
    }


async def _sessions(server: Controlled, request: HttpRequest, found: re.Match[str]) -> HttpResponse:
    return HttpResponse(200, {"sessions": [_summary(record) for record in server.sessions]})


def _session(server: Controlled, found: re.Match[str]) -> SessionRecord | HttpResponse:
    number = int(found[1])
    for record in server.sessions:
        if record.number == number:
            return record
    return _problem(404, f"There is no session {number}; {len(server.sessions)} are known.")


async def _events(server: Controlled, request: HttpRequest, found: re.Match[str]) -> HttpResponse:
    record = _session(server, found)
    if isinstance(record, HttpResponse):
        return record
    events = [
        {"sender": event.sender, "at": round(event.at, 6), "count": event.count, "event": event.data}
        for event in record.events
    ]
    return HttpResponse(200, {**_summary(record), "events": events})


async def _audio(server: Controlled, request: HttpRequest, found: re.Match[str]) -> HttpResponse:
    record = _session(server, found)
    return record if isinstance(record, HttpResponse) else HttpResponse(200, record.wav(), "audio/wav")


def _format(request: HttpRequest) -> str:
    """The script's format by the Content-Type, such as ``application/yaml``; TOML unless it says otherwise."""
    kind = request.head.header("content-type") or ""
    return re.split(r"[/+-]", kind.partition(";")[0].strip().lower())[-1]


async def _script(server: Controlled, request: HttpRequest, found: re.Match[str]) -> HttpResponse:
    from rtstt_testkit.mock.script.file import ScriptError, parse_script  # with its parsers, which most never need

    try:
        script = parse_script(request.body.decode("utf-8"), "script", _format(request))
    except UnicodeDecodeError:
        return _problem(400, "The script is not UTF-8 text.")
    except ScriptError as error:
        return _problem(400, str(error))
    server.load(script)
    return HttpResponse(200, {"transcripts": len(script.transcripts), "faults": len(script.faults)})


async def _reset(server: Controlled, request: HttpRequest, found: re.Match[str]) -> HttpResponse:
    server.reset()
    return HttpResponse(200, {"sessions": len(server.sessions)})


async def _advance(server: Controlled, request: HttpRequest, found: re.Match[str]) -> HttpResponse:
    body = _body(request)
    seconds = body.get("seconds") if isinstance(body, dict) else None
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds <= 1e9:
        return _problem(400, 'Send {"seconds": N}, with N from 0.')
    if not server.virtual_time:
        return _problem(409, "Time is real; start the mock with virtual time to move it.")
    await server.advance(seconds)
    return HttpResponse(200, {"advanced": seconds})


async def _explain(server: Controlled, request: HttpRequest, found: re.Match[str]) -> HttpResponse:
    text = explain_all(server.sessions, server.url) + "\n"
    return HttpResponse(200, text.encode(), "text/plain; charset=utf-8")


async def _verify(server: Controlled, request: HttpRequest, found: re.Match[str]) -> HttpResponse:
    try:
        server.verify()
    except ScriptNotFollowed as error:
        return _problem(409, str(error))
    return HttpResponse(200, {"followed": True})


async def _openapi(server: Controlled, request: HttpRequest, found: re.Match[str]) -> HttpResponse:
    return HttpResponse(200, describe(server.routes))


_ANY_OBJECT: dict[str, Any] = {"type": "object"}
_TEXT: dict[str, Any] = {"type": "string"}
_SCRIPT_REF: dict[str, Any] = {"$ref": "#/components/schemas/Script"}
_SECONDS: dict[str, Any] = {"type": "number", "minimum": 0}

ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        "/v1/realtime/client_secrets",
        _client_secrets,
        "createClientSecret",
        "Make an ephemeral secret (ek_…), as OpenAI's own API does.",
        "ClientSecret",
        {"application/json": _ANY_OBJECT},
        (400, 401),
        control=False,
    ),
    Route(
        "GET",
        "/_mock/sessions",
        _sessions,
        "listSessions",
        "The sessions: handshake, close, transcripts, explanation.",
        "Sessions",
    ),
    Route(
        "GET",
        "/_mock/sessions/{number}",
        _events,
        "getSession",
        "One session with every event both ways.",
        "SessionWithEvents",
        problems=(404,),
    ),
    Route(
        "GET",
        "/_mock/sessions/{number}/audio.wav",
        _audio,
        "getAudio",
        "The audio that a session received.",
        "audio/wav",
        problems=(404,),
    ),
    Route("GET", "/_mock/explain", _explain, "explain", "What became of each session, in words.", "text/plain"),
    Route(
        "GET",
        "/_mock/verify",
        _verify,
        "verify",
        "Whether the script was followed: used up, and by no client that it did not expect.",
        "Followed",
        problems=(409,),
    ),
    Route(
        "PUT",
        "/_mock/script",
        _script,
        "loadScript",
        "Replace the script, from its beginning; the body is what --script takes, TOML unless its type says otherwise.",
        "Loaded",
        {"application/toml": _TEXT, "application/yaml": _TEXT, "application/json": _SCRIPT_REF},
        (400,),
    ),
    Route(
        "POST",
        "/_mock/reset",
        _reset,
        "reset",
        "Forget the sessions that are over and begin the script again.",
        "Left",
    ),
    Route(
        "POST",
        "/_mock/advance",
        _advance,
        "advance",
        "Let virtual time pass.",
        "Advanced",
        {"application/json": {"type": "object", "required": ["seconds"], "properties": {"seconds": _SECONDS}}},
        (400, 409),
    ),
    Route("GET", "/_mock/openapi.json", _openapi, "describe", "This description.", "Description"),
)


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _list(name: str) -> dict[str, Any]:
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}}


_COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
_SESSION = _object(
    number={"type": "integer", "minimum": 1},
    open={"type": "boolean"},
    kind={"enum": ["transcription", "realtime", None]},
    http_status={"type": "integer", "description": "101, or the status that refused the upgrade."},
    path=_TEXT,
    query={"type": "object", "additionalProperties": {"type": "array", "items": _TEXT}},
    headers={"type": "object", "additionalProperties": _TEXT, "description": "Secrets are masked."},
    subprotocols={"type": "array", "items": _TEXT},
    refusal={"type": ["string", "null"], "description": "The error that ended it by the rules of connecting."},
    close={
        "oneOf": [{"type": "null"}, _object(code={"type": "integer"}, reason=_TEXT, by={"enum": ["client", "server"]})]
    },
    audio_bytes=_COUNT,
    transcripts={"type": "array", "items": _TEXT},
    explanation={"type": "string", "description": "What it came to, and if that is nothing, why."},
)
_SCHEMAS: dict[str, dict[str, Any]] = {
    "ClientSecret": _object(value=_TEXT, expires_at={"type": "integer"}, session=_ANY_OBJECT),
    "Sessions": _object(sessions=_list("Session")),
    "Session": _SESSION,
    "SessionWithEvents": {"allOf": [{"$ref": "#/components/schemas/Session"}, _object(events=_list("Event"))]},
    "Event": _object(
        sender={"enum": ["client", "server"]},
        at={"type": "number", "description": "Seconds since the socket opened."},
        count={"type": "integer", "description": "How many appends came in a row; 1 for every other event."},
        event=_ANY_OBJECT,
    ),
    "Followed": _object(followed={"const": True}),
    "Loaded": _object(transcripts=_COUNT, faults=_COUNT),
    "Left": _object(sessions=_COUNT),
    "Advanced": _object(advanced=_SECONDS),
    "Description": _ANY_OBJECT,
    "Error": _object(
        error=_object(
            message=_TEXT,
            type=_TEXT,
            param={"type": ["string", "null"]},
            code={"type": ["string", "null"]},
        )
    ),
}
_NUMBER = {"name": "number", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1}}


def describe(routes: Sequence[Route] = ()) -> dict[str, Any]:
    """The API as an OpenAPI 3.1 document.

    Args:
        routes: Operations beyond those of `ROUTES`.
    """
    from rtstt_testkit.mock.script.json_schema import schema

    paths: dict[str, Any] = {}
    for route in (*ROUTES, *routes):
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    script = {name: value for name, value in schema().items() if not name.startswith("$")}
    return {
        "openapi": "3.1.0",
        "info": {"title": "rtstt-shim mock", "version": "1", "description": "Steers and watches a running mock."},
        "paths": paths,
        "components": {"schemas": {**_SCHEMAS, "Script": script}},
    }


def _operation(route: Route) -> dict[str, Any]:
    kind, answer = (
        (route.answer, _TEXT if route.answer.startswith("text/") else {})
        if "/" in route.answer
        else ("application/json", {"$ref": f"#/components/schemas/{route.answer}"})
    )
    responses: dict[str, Any] = {"200": {"description": "Done.", "content": {kind: {"schema": answer}}}}
    for status in route.problems:
        responses[str(status)] = {
            "description": "Refused; `error.message` says why.",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        }
    operation: dict[str, Any] = {"operationId": route.name, "summary": route.summary, "responses": responses}
    if "{number}" in route.path:
        operation["parameters"] = [_NUMBER]
    if route.takes is not None:
        content = {kind: {"schema": taken} for kind, taken in route.takes.items()}
        operation["requestBody"] = {"required": True, "content": content}
    return operation
