"""Texts and URLs with every secret masked, fit for a log line."""

from __future__ import annotations

import re

__all__ = ["redact", "redact_url"]

# OpenAI's keys (`sk-`, `sk-proj-`, `ek_`, `sess-`), bearer values, and what a client may quote of the subprotocol.
_SECRET = re.compile(
    r"(?<![a-z0-9_])(?P<prefix>sk-|ek_|sess-|openai-insecure-api-key\.|Bearer\s+|Basic\s+)(?!\*)[\w.~+/=*-]{4,}",
    re.IGNORECASE,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
# Of any scheme: the URL of a proxy has a password too.
_URL_IN_TEXT = re.compile(r"://[^\s\"'<>]+")
_USERINFO = re.compile(r"(?<=//)[^/]*@")
# The only query parameters whose values say something about the failure and nothing about the caller.
_SPEAKING = {"intent", "model", "deployment", "api-version"}
_LIMIT = 400


def _mask_pair(pair: str) -> str:
    key, equals, value = pair.partition("=")
    if not equals:
        # A bare word may be a key just as well.
        return pair if key in _SPEAKING or not key else "***"
    return pair if key in _SPEAKING or not value else f"{key}=***"


def redact_url(url: str) -> str:
    """The URL without userinfo and fragment, and with the values of all but a few query parameters masked.

    Args:
        url: Any string.
    """
    head, question, query = url.partition("#")[0].partition("?")
    head = _USERINFO.sub("***@", head)
    return _clean(head + question + "&".join(_mask_pair(pair) for pair in query.split("&")))


def redact(text: str) -> str:
    """Text from a server or an exception, on one line, bounded, with keys and the URLs in it masked.

    Args:
        text: Any string.
    """
    return _clean(_URL_IN_TEXT.sub(lambda match: redact_url(match[0]), text))


def _clean(text: str) -> str:
    text = _CONTROL.sub(" ", _SECRET.sub(lambda match: match["prefix"] + "***", text))
    return text if len(text) <= _LIMIT else text[: _LIMIT - 3] + "..."
