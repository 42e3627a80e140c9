"""The diagnosis: from a symptom on a connection to what happened and what to do about it.

Pure. The table is ``diagnosis.json``, which the Node shim reads too. Each row names the source of its facts.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from importlib import resources
from typing import Any, Literal, NamedTuple

__all__ = ["Cause", "Diagnosis", "Kind", "Symptom", "diagnose"]

Kind = Literal["error", "failed", "close", "handshake", "connect"]
Cause = Literal["dns", "tls", "timeout", "refused", "other"]


class Symptom(NamedTuple):
    """What the server or the network did when a session failed.

    Attributes:
        kind: ``"error"`` (an ``error`` event), ``"failed"`` (an item's ``…transcription.failed``), ``"close"`` (a close
            code other than 1000), ``"handshake"`` (an HTTP status other than 101) or ``"connect"`` (no connection).
        native: Whether the URL's host is one of OpenAI's own.
        type: The event's ``error.type``.
        code: The event's ``error.code``.
        message: The event's ``error.message``, the response's body or the exception's text.
        param: The event's ``error.param``.
        close_code: The close code once the connection is closed; 1006 without a CLOSE frame (RFC 6455 section 7.1.5).
        close_reason: The CLOSE frame's reason.
        status: The HTTP status of a refused handshake.
        cause: Why there is no connection.
    """

    kind: Kind
    native: bool = True
    type: str | None = None
    code: str | None = None
    message: str | None = None
    param: str | None = None
    close_code: int | None = None
    close_reason: str | None = None
    status: int | None = None
    cause: Cause | None = None


class Diagnosis(NamedTuple):
    """What a symptom means.

    Attributes:
        id: The name of the table's row.
        what: What happened, as a clause.
        do: What to do, in one or two sentences.
        fatal: Whether the session has ended or never began.
    """

    id: str
    what: str
    do: str
    fatal: bool


_PATTERNS = {"message", "param", "close_reason"}


@lru_cache(maxsize=1)
def _rows() -> tuple[dict[str, Any], ...]:
    # Read with the first symptom: an application without failures does not pay for it.
    # Through importlib.resources: in a zip archive the table is not a file.
    table = json.loads(resources.files("rtstt_core").joinpath("diagnosis.json").read_text(encoding="utf-8"))
    return tuple(table["rows"])


def _matches(name: str, expected: Any, actual: Any) -> bool:
    if name in _PATTERNS:
        return actual is not None and re.search(expected, actual) is not None
    return actual in expected if isinstance(expected, list) else bool(actual == expected)


def diagnose(symptom: Symptom) -> Diagnosis:
    """Return the first row of the table whose conditions all match; every kind has one.

    Args:
        symptom: What the server or the network did.

    Raises:
        ValueError: If the kind is unknown.
    """
    for row in _rows():
        if all(_matches(name, expected, getattr(symptom, name)) for name, expected in row["when"].items()):
            param = symptom.param or ""
            return Diagnosis(
                row["id"],
                row["what"].replace("{param}", param),
                row["do"].replace("{param}", param),
                symptom.kind not in ("error", "failed") or symptom.close_code is not None,
            )
    raise ValueError(f"unknown kind of symptom: {symptom.kind!r}")
