"""Masking of API keys, wherever a client sends them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

__all__ = ["KEY_SUBPROTOCOL", "has_key", "mask_headers", "mask_keys", "mask_query", "mask_secret", "mask_subprotocols"]

KEY_SUBPROTOCOL = "openai-insecure-api-key."
_PREFIX = re.compile(r"(?:sk-(?:proj-|svcacct-|admin-)?|ek_)?")
_KEY = re.compile(r"(?<![A-Za-z0-9])(?:sk-|ek_)[A-Za-z0-9_-]{8,}")
_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "api-key", "x-api-key", "cookie"})
_SECRET_QUERY = frozenset({"api_key", "api-key", "apikey", "key", "token", "access_token", "authorization"})


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


def has_key(text: str) -> bool:
    """Return whether a text contains a key."""
    return _KEY.search(text) is not None


def mask_keys(text: str) -> str:
    """Mask every key in a text."""
    return _KEY.sub(lambda found: mask_secret(found.group()), text)


def mask_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return headers by lower-case name, secrets masked (``Bearer sk-****…``), repeated ones joined by a comma."""
    masked: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        if key in _SECRET_HEADERS:
            scheme, space, secret = value.partition(" ")
            value = f"{scheme} {mask_secret(secret)}" if space else mask_secret(value)
        elif key == "sec-websocket-protocol":
            value = ", ".join(mask_subprotocols(word.strip() for word in value.split(",")))
        value = mask_keys(value)
        masked[key] = f"{masked[key]}, {value}" if key in masked else value
    return masked


def mask_subprotocols(offered: Iterable[str]) -> list[str]:
    """Return the subprotocols that a client offered, keys masked."""
    return [
        KEY_SUBPROTOCOL + mask_secret(word[len(KEY_SUBPROTOCOL) :])
        if word.startswith(KEY_SUBPROTOCOL)
        else mask_keys(word)
        for word in offered
    ]


def mask_query(query: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return query parameters, keys masked."""
    return {
        mask_keys(name): [mask_secret(value) if name.lower() in _SECRET_QUERY else mask_keys(value) for value in values]
        for name, values in query.items()
    }
