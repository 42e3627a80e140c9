"""The masking of the core, for the rooms of the mock: records, reports and traces are masked by the same code."""

from __future__ import annotations

from rtstt_core.masking import (
    KEY_SUBPROTOCOL,
    mask_headers,
    mask_json,
    mask_keys,
    mask_query,
    mask_secret,
    mask_subprotocols,
)

__all__ = [
    "KEY_SUBPROTOCOL",
    "mask_headers",
    "mask_json",
    "mask_keys",
    "mask_query",
    "mask_secret",
    "mask_subprotocols",
]
