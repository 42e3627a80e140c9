"""Texts and URLs without secrets, fit for a log line."""

from __future__ import annotations

import re

__all__ = ["KEY_PREFIXES", "SHOWN_PARAMETERS", "redact", "redact_url"]

KEY_PREFIXES = r"sk-|ek_|sess-"
"""How OpenAI's keys and client secrets begin, as a regular expression."""

SHOWN_PARAMETERS = frozenset({"intent", "model", "deployment", "api-version"})
"""The query parameters whose values help to explain a failure and identify no one; all other values are masked."""

# Keys, Authorization values, and the key in a quoted subprotocol.
_SECRET = re.compile(
    rf"(?<![a-z0-9_])(?P<prefix>{KEY_PREFIXES}|openai-insecure-api-key\.|Bearer\s+|Basic\s+)(?!\*)[\w.~+/=*-]{{4,}}",
    re.IGNORECASE,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
# Any scheme: the URL of a proxy holds a password too.
_URL_IN_TEXT = re.compile(r"://[^\s\"'<>]+")
_USERINFO = re.compile(r"(?<=//)[^/]*@")
_MAX_LENGTH = 400


def redact_url(url: str) -> str:
    """Return a URL without userinfo and fragment, with the values of all but a few query parameters masked.

    Args:
        url: Any string.
    """
    head, question, query = url.partition("#")[0].partition("?")
    head = _USERINFO.sub("***@", head)
    return _clean(head + question + "&".join(_mask_pair(pair) for pair in query.split("&")))


def redact(text: str) -> str:
    """Return a text on one line, at most 400 characters long, with keys and the URLs in it masked.

    Args:
        text: Any string, such as the message of a server or of an exception.
    """
    return _clean(_URL_IN_TEXT.sub(lambda match: redact_url(match[0]), text))


def _mask_pair(pair: str) -> str:
    key, equals, value = pair.partition("=")
    if not equals:
        # A word without a value may be a key.
        return pair if key in SHOWN_PARAMETERS or not key else "***"
    return pair if key in SHOWN_PARAMETERS or not value else f"{key}=***"


def _clean(text: str) -> str:
    text = _CONTROL.sub(" ", _SECRET.sub(lambda match: match["prefix"] + "***", text))
    return text if len(text) <= _MAX_LENGTH else text[: _MAX_LENGTH - 3] + "..."
