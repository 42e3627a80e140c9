"""The HTTP side: ``POST /v1/realtime/client_secrets``, and a small API to steer a mock from another process.

The control API is under ``/_mock/``; ``GET /_mock/openapi.json`` describes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

from rtstt_testkit.mock import errors
from rtstt_testkit.mock.errors import ApiError
from rtstt_testkit.mock.explain import explain, explain_all
from rtstt_testkit.mock.handshake import Request
from rtstt_testkit.mock.http import HttpRequest, HttpResponse
from rtstt_testkit.mock.record import SessionRecord
from rtstt_testkit.mock.script import Script
from rtstt_testkit.mock.script_file import ScriptError, parse_script
from rtstt_testkit.mock.secret_store import SecretStore

__all__ = ["Controlled", "answer"]


class Controlled(Protocol):
    """What the API needs of a server."""

    sessions: list[SessionRecord]
    control: bool

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


class Route(NamedTuple):
    """One operation: how it is asked for, what it does, how OpenAPI describes it."""

    method: str
    path: str
    run: Callable[[Controlled, HttpRequest, re.Match[str]], Awaitable[HttpResponse]]
    summary: str
    control: bool = True

    @property
    def pattern(self) -> re.Pattern[str]:
        """The path as a pattern; ``{number}`` is a session's number."""
        return re.compile(self.path.replace("{number}", r"(\d{1,9})"))


async def answer(server: Controlled, request: HttpRequest) -> HttpResponse:
    """Answer a request."""
    methods = []
    for route in ROUTES:
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
    credentials = Request(request.target, request.headers)
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


async def _script(server: Controlled, request: HttpRequest, found: re.Match[str]) -> HttpResponse:
    try:
        script = parse_script(request.body.decode("utf-8"), "script")
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


async def _openapi(server: Controlled, request: HttpRequest, found: re.Match[str]) -> HttpResponse:
    return HttpResponse(200, describe())


ROUTES: tuple[Route, ...] = (
    Route("POST", "/v1/realtime/client_secrets", _client_secrets, "Make an ephemeral secret (ek_…).", control=False),
    Route("GET", "/_mock/sessions", _sessions, "The sessions: handshake, close, transcripts, explanation."),
    Route("GET", "/_mock/sessions/{number}", _events, "One session with every event both ways."),
    Route("GET", "/_mock/sessions/{number}/audio.wav", _audio, "The audio that a session received."),
    Route("GET", "/_mock/explain", _explain, "What became of each session, in words."),
    Route("PUT", "/_mock/script", _script, "Replace the script; the body is TOML as for --script."),
    Route("POST", "/_mock/reset", _reset, "Forget the sessions that are over and begin the script again."),
    Route("POST", "/_mock/advance", _advance, 'Let virtual time pass: {"seconds": N}.'),
    Route("GET", "/_mock/openapi.json", _openapi, "This description."),
)


def describe() -> dict[str, Any]:
    """The API as an OpenAPI 3.1 document."""
    paths: dict[str, Any] = {}
    for route in ROUTES:
        parameters = [{"name": "number", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1}}]
        paths.setdefault(route.path, {})[route.method.lower()] = {
            "summary": route.summary,
            "responses": {
                "200": {"description": "Done."},
                "4XX": {"description": "Refused; `error.message` says why."},
            },
            **({"parameters": parameters} if "{number}" in route.path else {}),
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "rtstt-shim mock", "version": "1", "description": "Steers and watches a running mock."},
        "paths": paths,
    }
