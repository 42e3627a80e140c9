"""No key leaves the inspector, wherever a client put it and whatever the record did about it."""

from __future__ import annotations

import json
from typing import TypeVar

from rtstt_testkit.mock.protocol.secrets import has_key, mask_keys

__all__ = ["masked"]

T = TypeVar("T")


def masked(data: T) -> T:
    """Return JSON data with every key in it masked.

    Args:
        data: Whatever JSON can hold.
    """
    text = json.dumps(data, separators=(",", ":"))
    masked_data: T = json.loads(mask_keys(text)) if has_key(text) else data
    return masked_data
