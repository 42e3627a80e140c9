"""The diagnosis: from what was seen on a socket to what happened and what to do about it.

Pure. The table is ``diagnosis.json``, which the Node shim reads too; each row names the source of its knowledge.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Diagnosis", "Failure", "diagnose"]


class Failure(NamedTuple):
    """What was seen on one socket when it failed.

    Attributes:
        kind: ``"error"`` (an `error` event), ``"failed"`` (an item's `…transcription.failed`), ``"close"`` (a close
            other than 1000), ``"handshake"`` (an HTTP status other than 101) or ``"connect"`` (no connection).
        native: Whether the URL's host is OpenAI's own.
        type: The event's ``error.type``.
        code: The event's ``error.code``.
        message: The event's ``error.message``, the response's body or the exception's text.
        param: The event's ``error.param``.
        close_code: The close code, when the connection is closed; 1006 when no close frame came.
        close_reason: The close frame's reason.
        status: The HTTP status of a refused handshake.
        cause: Why there is no connection: ``"dns"``, ``"tls"``, ``"timeout"``, ``"refused"`` or ``"other"``.
    """

    kind: str
    native: bool = True
    type: str | None = None
    code: str | None = None
    message: str | None = None
    param: str | None = None
    close_code: int | None = None
    close_reason: str | None = None
    status: int | None = None
    cause: str | None = None


class Diagnosis(NamedTuple):
    """What a failure means.

    Attributes:
        id: The name of the table's row.
        what: What happened, a clause.
        do: What to do, one or two sentences.
        fatal: Whether the session is over, or never began.
    """

    id: str
    what: str
    do: str
    fatal: bool


_SEARCHED = {"message", "param", "close_reason"}


@lru_cache(maxsize=1)
def _rows() -> tuple[dict[str, Any], ...]:
    # Read when the first failure is seen: an application without failures never pays for it.
    table = json.loads(Path(__file__).with_name("diagnosis.json").read_text(encoding="utf-8"))
    return tuple(table["rows"])


def _holds(name: str, wanted: Any, seen: Any) -> bool:
    if name in _SEARCHED:
        return seen is not None and re.search(wanted, seen) is not None
    return seen in wanted if isinstance(wanted, list) else bool(seen == wanted)


def diagnose(failure: Failure) -> Diagnosis:
    """Look a failure up.

    Args:
        failure: What was seen.

    Returns:
        The first row of the table whose conditions all hold. There is one for every kind.
    """
    for row in _rows():
        if all(_holds(name, wanted, getattr(failure, name)) for name, wanted in row["when"].items()):
            param = failure.param or ""
            return Diagnosis(
                row["id"],
                row["what"].replace("{param}", param),
                row["do"].replace("{param}", param),
                failure.kind not in ("error", "failed") or failure.close_code is not None,
            )
    raise ValueError(f"no such kind of failure: {failure.kind!r}")
