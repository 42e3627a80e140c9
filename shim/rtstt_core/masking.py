"""The masking of secrets in everything that is recorded: by their position, and by the shape of OpenAI's keys.

A header is masked unless it is known to be harmless, and so is the value of a query parameter. In an event, the fields
that hold credentials are masked. A key is masked wherever it occurs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from rtstt_core.redact import KEY_PREFIXES, SHOWN_PARAMETERS

__all__ = [
    "KEY_SUBPROTOCOL",
    "mask_headers",
    "mask_json",
    "mask_keys",
    "mask_query",
    "mask_secret",
    "mask_subprotocols",
]

KEY_SUBPROTOCOL = "openai-insecure-api-key."
_PREFIX = re.compile(r"(?:sk-(?:proj-|svcacct-|admin-)?|ek_)?")
_KEY = re.compile(rf"(?<![A-Za-z0-9])(?:{KEY_PREFIXES})[A-Za-z0-9_-]{{8,}}")
#: The headers that hold no secret.
_SHOWN_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "connection",
        "content-length",
        "content-type",
        "date",
        "host",
        "openai-beta",
        "openai-log-session",
        "origin",
        "pragma",
        "sec-websocket-extensions",
        "sec-websocket-key",  # a nonce
        "sec-websocket-version",
        "upgrade",
        "user-agent",
    }
)
#: The fields of events that hold credentials: tools of a session [types], and what clients put into events by mistake.
_SECRET_FIELDS = frozenset(
    {"access_token", "api-key", "api_key", "apikey", "authorization", "client_secret", "password", "secret"}
)


def mask_secret(secret: str) -> str:
    """Mask a key as the endpoint's messages do: its prefix, asterisks, its last four characters [capture].

    A key that is too short for that becomes asterisks throughout.
    """
    prefix = _PREFIX.match(secret)
    head = prefix.group() if prefix else ""
    rest = len(secret) - len(head)
    if rest < 12:
        return head + "*" * rest
    return head + "*" * min(rest - 4, 64) + secret[-4:]


def mask_keys(text: str) -> str:
    """Mask every key in a text."""
    return _KEY.sub(lambda found: mask_secret(found.group()), text)


def mask_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return headers by lower-case name, secrets masked (``Bearer sk-****…``), repeated ones joined by a comma."""
    masked: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        value = _mask_header(key, value)
        masked[key] = f"{masked[key]}, {value}" if key in masked else value
    return masked


def _mask_header(name: str, value: str) -> str:
    if name == "sec-websocket-protocol":
        return ", ".join(mask_subprotocols(word.strip() for word in value.split(",")))
    if name in _SHOWN_HEADERS:
        return mask_keys(value)
    scheme, space, secret = value.partition(" ")
    return f"{scheme} {mask_secret(secret)}" if space and scheme in ("Bearer", "Basic") else mask_secret(value)


def mask_subprotocols(offered: Iterable[str]) -> list[str]:
    """Return the subprotocols that a client offered, keys masked."""
    return [
        KEY_SUBPROTOCOL + mask_secret(word[len(KEY_SUBPROTOCOL) :])
        if word.startswith(KEY_SUBPROTOCOL)
        else mask_keys(word)
        for word in offered
    ]


def mask_query(query: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return query parameters; values are masked unless the parameter is known to hold no secret."""
    return {
        mask_keys(name): [mask_keys(value) if name in SHOWN_PARAMETERS else mask_secret(value) for value in values]
        for name, values in query.items()
    }


def mask_json(data: Any) -> Any:
    """Return JSON data, such as an event, with its secrets masked.

    Args:
        data: Whatever JSON can hold.
    """
    if isinstance(data, str):
        return mask_keys(data)
    if isinstance(data, list | tuple):
        return [mask_json(value) for value in data]
    if not isinstance(data, dict):
        return data
    masked = {}
    for name, value in data.items():
        lower = name.lower()
        if lower in _SECRET_FIELDS:
            value = _mask_strings(value)
        elif lower == "headers" and isinstance(value, dict):
            value = {
                key: _mask_header(key.lower(), text) if isinstance(text, str) else text for key, text in value.items()
            }
        else:
            value = mask_json(value)
        masked[mask_keys(name)] = value
    return masked


def _mask_strings(data: Any) -> Any:
    """Return JSON data with every string masked."""
    if isinstance(data, str):
        return mask_secret(data)
    if isinstance(data, list):
        return [_mask_strings(value) for value in data]
    return {name: _mask_strings(value) for name, value in data.items()} if isinstance(data, dict) else data
