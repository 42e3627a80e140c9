"""The routes of the HTTP API as data, and their OpenAPI 3.1 description."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple, get_args

from rtstt_testkit.mock.inspect.findings.finding import FindingName
from rtstt_testkit.mock.inspect.record import Dropped

__all__ = ["ANY_OBJECT", "SCRIPT", "SECONDS", "TEXT", "Operation", "describe"]


class Operation(NamedTuple):
    """One operation: how it is requested, and how OpenAPI describes it.

    Attributes:
        method: The method of the request.
        path: The path, with ``{number}`` for a session's number.
        name: The ``operationId``.
        summary: One sentence.
        result: The name of the result's schema, or the media type of a result that is not JSON.
        body: The media types of the request's body, with their schemas.
        errors: The statuses of its errors.
        control: Whether it is part of the control API.
    """

    method: str
    path: str
    name: str
    summary: str
    result: str
    body: dict[str, dict[str, Any]] | None = None
    errors: tuple[int, ...] = ()
    control: bool = True

    def match(self, path: str) -> re.Match[str] | None:
        """Match a path; group 1 is the session's number."""
        return re.fullmatch(self.path.replace("{number}", r"([0-9]{1,9})"), path)


ANY_OBJECT: dict[str, Any] = {"type": "object"}
TEXT: dict[str, Any] = {"type": "string"}
SCRIPT: dict[str, Any] = {"$ref": "#/components/schemas/Script"}
SECONDS: dict[str, Any] = {"type": "number", "minimum": 0}


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
    path=TEXT,
    query={"type": "object", "additionalProperties": {"type": "array", "items": TEXT}},
    headers={"type": "object", "additionalProperties": TEXT, "description": "Secrets are masked."},
    subprotocols={"type": "array", "items": TEXT},
    refusal={"type": ["string", "null"], "description": "The error that refused the session when it connected."},
    close={
        "oneOf": [{"type": "null"}, _object(code={"type": "integer"}, reason=TEXT, by={"enum": ["client", "server"]})]
    },
    audio_bytes=_COUNT,
    transcripts={"type": "array", "items": TEXT},
    explanation={
        "type": "string",
        "description": "The outcome of the session, and why it got no transcript.",
    },
)
_SCHEMAS: dict[str, dict[str, Any]] = {
    "ClientSecret": _object(value=TEXT, expires_at={"type": "integer"}, session=ANY_OBJECT),
    "Sessions": _object(sessions=_list("Session")),
    "Session": _SESSION,
    "SessionWithEvents": {"allOf": [{"$ref": "#/components/schemas/Session"}, _object(events=_list("Event"))]},
    "Event": _object(
        sender={"enum": ["client", "server"]},
        at={"type": "number", "description": "Seconds since the WebSocket opened."},
        count={"type": "integer", "description": "The number of consecutive appends; 1 for every other event."},
        dropped={
            "enum": [None, *get_args(Dropped)],
            "description": "Why an event of the server was not sent, null for one that was.",
        },
        event=ANY_OBJECT,
    ),
    "Findings": _object(findings=_list("Finding")),
    "Finding": _object(name={"enum": [*get_args(FindingName)]}, meaning=TEXT, fix=TEXT, evidence=_list("Evidence")),
    "Evidence": _object(
        session={"type": ["integer", "null"], "description": "The number of the connection."},
        event={"type": ["integer", "null"], "description": "The number of the event in the session, counted from 1."},
        at={"type": ["number", "null"], "description": "Seconds since the WebSocket opened."},
        text=TEXT,
    ),
    "Followed": _object(followed={"const": True}),
    "Loaded": _object(transcripts=_COUNT, faults=_COUNT),
    "Left": _object(sessions=_COUNT),
    "Advanced": _object(advanced=SECONDS),
    "Healthy": _object(status={"const": "ok"}),
    "Description": ANY_OBJECT,
    "Error": _object(
        error=_object(
            message=TEXT,
            type=TEXT,
            param={"type": ["string", "null"]},
            code={"type": ["string", "null"]},
        )
    ),
}
_NUMBER = {"name": "number", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1}}


def describe(operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the OpenAPI document of an API.

    Args:
        operations: Its operations.
    """
    from rtstt_testkit.mock.script.json_schema import schema

    paths: dict[str, Any] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _describe(operation)
    script = {name: value for name, value in schema().items() if not name.startswith("$")}
    return {
        "openapi": "3.1.0",
        "info": {"title": "rtstt-shim mock", "version": "1", "description": "Controls and observes a running mock."},
        "paths": paths,
        "components": {"schemas": {**_SCHEMAS, "Script": script}},
    }


def _describe(operation: Operation) -> dict[str, Any]:
    if "/" in operation.result:
        kind, schema = operation.result, TEXT if operation.result.startswith("text/") else {}
    else:
        kind, schema = "application/json", {"$ref": f"#/components/schemas/{operation.result}"}
    responses: dict[str, Any] = {"200": {"description": "Done.", "content": {kind: {"schema": schema}}}}
    for status in operation.errors:
        responses[str(status)] = {
            "description": "Refused; `error.message` is the reason.",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        }
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": responses,
    }
    if "{number}" in operation.path:
        described["parameters"] = [_NUMBER]
    if operation.body is not None:
        content = {kind: {"schema": schema} for kind, schema in operation.body.items()}
        described["requestBody"] = {"required": True, "content": content}
    return described
