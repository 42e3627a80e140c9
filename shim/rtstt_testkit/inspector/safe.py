"""No key leaves the inspector, wherever a client put it and whatever the record did about it."""

from __future__ import annotations

import json
from typing import Any

from rtstt_testkit.mock.protocol.secrets import mask_json

__all__ = ["masked"]

_PREFIXES = ("sk-", "ek_")


def masked(data: Any) -> Any:
    """Return JSON data with every key in its strings masked.

    Args:
        data: Whatever JSON can hold.
    """
    text = json.dumps(data, ensure_ascii=False)
    return mask_json(data) if any(prefix in text for prefix in _PREFIXES) else data
