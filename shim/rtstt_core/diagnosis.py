"""The diagnosis: from a symptom on a connection to what happened and what to do about it.

Pure. The table is ``node/diagnosis.json``, which the Node shim reads too. Each row names the source of its facts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any, Literal, NamedTuple

from rtstt_core.redact import redact

__all__ = ["Cause", "Diagnosis", "Kind", "Symptom", "diagnose"]

Kind = Literal["error", "failed", "close", "handshake", "connect", "silent"]
Cause = Literal[
    # kind "connect"
    "dns",
    "tls",
    "timeout",
    "refused",
    "hang-up",
    "other",
    # kind "silent"
    "not-configured",
    "silence",
    "not-committed",
    "no-speech",
    "pending",
]


class Symptom(NamedTuple):
    """What the server or the network did when a session failed.

    Attributes:
        kind: ``"error"`` (an ``error`` event), ``"failed"`` (an item's ``…transcription.failed``), ``"close"`` (a close
            code other than 1000), ``"handshake"`` (an HTTP status other than 101), ``"connect"`` (no connection) or
            ``"silent"`` (audio was sent, and neither a transcript nor an error arrived).
        native: Whether the URL's host is one of OpenAI's own.
        type: The event's ``error.type``.
        code: The event's ``error.code``.
        message: The event's ``error.message``, the response's body or the exception's text.
        param: The event's ``error.param``.
        close_code: The close code once the connection is closed; 1006 without a CLOSE frame (RFC 6455 section 7.1.5).
        close_reason: The CLOSE frame's reason.
        status: The HTTP status of a refused handshake.
        cause: Why there is no connection, or why there is no transcript.
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
        what: What happened, as a clause without secrets.
        do: What to do, in one or two sentences without secrets.
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
    table = json.loads(
        resources.files("rtstt_core").joinpath("node").joinpath("diagnosis.json").read_text(encoding="utf-8")
    )
    return tuple(table["rows"])


def _match(conditions: Mapping[str, Any], symptom: Symptom) -> dict[str, str] | None:
    """Return the named groups of the patterns if all conditions match, otherwise None."""
    groups: dict[str, str] = {}
    for name, expected in conditions.items():
        actual = getattr(symptom, name)
        if name in _PATTERNS:
            found = re.search(expected, actual) if actual is not None else None
            if found is None:
                return None
            groups.update(found.groupdict())
        elif actual not in expected if isinstance(expected, list) else actual != expected:
            return None
    return groups


def diagnose(symptom: Symptom) -> Diagnosis:
    """Return the first row of the table that matches; every kind has one.

    Args:
        symptom: What the server or the network did, with its secrets: rows match by the server's own words.

    Raises:
        ValueError: If the kind is unknown.
    """
    for row in _rows():
        alternatives = row["when"] if isinstance(row["when"], list) else [row["when"]]
        for conditions in alternatives:
            groups = _match(conditions, symptom)
            if groups is not None:
                values = {"param": symptom.param or "", **groups}
                fatal = symptom.kind in ("close", "handshake", "connect") or symptom.close_code is not None
                return Diagnosis(row["id"], _fill(row["what"], values), _fill(row["do"], values), fatal)
    raise ValueError(f"unknown kind of symptom: {symptom.kind!r}")


def _fill(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: redact(values[match[1]]), text)
