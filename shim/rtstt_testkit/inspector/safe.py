"""No key leaves the inspector, wherever a client put it and whatever the record did about it."""

from __future__ import annotations

import json
from typing import Any

from rtstt_testkit.mock.protocol.secrets import mask_keys

__all__ = ["masked"]

_PREFIXES = ("sk-", "ek_")


def masked(data: Any) -> Any:
    """Return JSON data with every key in its strings masked.

    Args:
        data: Whatever JSON can hold.
    """
    text = json.dumps(data, ensure_ascii=False)
    return _masked(data) if any(prefix in text for prefix in _PREFIXES) else data


def _masked(data: Any) -> Any:
    if isinstance(data, str):
        return mask_keys(data)
    if isinstance(data, dict):
        return {_masked(name): _masked(value) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [_masked(value) for value in data]
    return data
