"""A client's opening request, and the copy of it without secrets that people and logs may see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from rtstt_core.masking import (
    KEY_SUBPROTOCOL,
    mask_headers,
    mask_keys,
    mask_query,
    mask_secret,
    mask_subprotocols,
)

__all__ = ["Handshake", "Request"]


@dataclass(frozen=True)
class Handshake:
    """A client's opening request with every secret masked.

    Attributes:
        path: The path, without the query.
        query: Every value of every parameter; an empty ``model=`` is ``{"model": [""]}``.
        headers: By lower-case name.
        subprotocols: As offered.
    """

    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    subprotocols: list[str]


class Request:
    """A client's opening request. It contains the key, so it is not kept.

    Args:
        target: The request target, such as ``/v1/realtime?intent=transcription``.
        headers: Names and values in order.
    """

    def __init__(self, target: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        parts = urlsplit(target)
        self.path = unquote(parts.path)
        self.query = parse_qs(parts.query, keep_blank_values=True)
        self._headers = [(name.lower(), value) for name, value in headers]

    def header(self, name: str) -> str | None:
        """Return the first value of a header.

        Args:
            name: Its lower-case name.
        """
        return next((value for key, value in self._headers if key == name), None)

    @property
    def subprotocols(self) -> list[str]:
        """The subprotocols that the client offers, in order."""
        offered = ",".join(value for key, value in self._headers if key == "sec-websocket-protocol")
        return [word.strip() for word in offered.split(",") if word.strip()]

    @property
    def key(self) -> str | None:
        """The API key from ``Authorization: Bearer`` or from a subprotocol, or None."""
        scheme, _, value = (self.header("authorization") or "").partition(" ")
        if scheme.lower() in {"bearer", "basic"} and value.strip():
            return value.strip()
        for word in self.subprotocols:
            if word.startswith(KEY_SUBPROTOCOL):
                return word[len(KEY_SUBPROTOCOL) :]
        return None

    @property
    def has_plausible_key(self) -> bool:
        """Whether the mock accepts the key: it begins with ``sk-`` or ``ek_`` and is not marked as bad."""
        return self.key is not None and self.key.startswith(("sk-", "ek_")) and not self.has_bad_key

    @property
    def has_bad_key(self) -> bool:
        """Whether the key is missing or marked as bad: it contains ``bad`` or ``invalid``.

        The header ``api-key`` counts as well: Azure and gateways accept it.
        """
        key = (self.key or self.header("api-key") or "bad").lower()
        return "bad" in key or "invalid" in key

    @property
    def masked_key(self) -> str:
        """The key as the endpoint's messages show it."""
        return mask_secret(self.key or "")

    def record(self) -> Handshake:
        """Return the request without its secrets."""
        return Handshake(
            mask_keys(self.path),
            mask_query(self.query),
            mask_headers(self._headers),
            mask_subprotocols(self.subprotocols),
        )
