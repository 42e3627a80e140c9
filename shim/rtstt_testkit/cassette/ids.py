"""Identifiers as placeholders: the same identifier is the same placeholder in the whole session.

The endpoint makes new identifiers in every session, so two recordings of one conversation differ in all of them. In a
recording the first event is ``event_1``, the second item ``item_2``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

__all__ = ["PLACEHOLDER", "Placeholders", "each_id", "is_id_field"]

PLACEHOLDER = re.compile(r"[a-z][a-z0-9]*_[1-9][0-9]*")
"""What a placeholder looks like."""

_NO_ID = frozenset({"", "root"})
"""Values of such fields that are not identifiers: ``previous_item_id`` may be ``root``."""

_PREFIX = re.compile(r"([a-z][a-z0-9]*)_.")
# Inside a text an identifier must look random; otherwise words with underscores would match.
_IN_TEXT = re.compile(r"\b(?:event|item|sess|resp|conv|call|rtc|part|seg)_(?=[0-9A-Za-z_-]*[0-9A-Z])[0-9A-Za-z_-]{12,}")


def is_id_field(name: str) -> bool:
    """Return whether a field of an event holds an identifier."""
    return name == "id" or name.endswith("_id")


class Placeholders:
    """The placeholders of one session."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._originals: dict[str, str] = {}
        self._counts: Counter[str] = Counter()

    def replace(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return an event with its identifiers replaced, in its fields and in its texts.

        Args:
            event: The event.
        """
        replaced: dict[str, Any] = each_id(event, self._name, self._in_text)
        return replaced

    def original(self, placeholder: str) -> str:
        """Return the identifier that a placeholder stands for; the placeholder itself if there is none yet."""
        return self._originals.get(placeholder, placeholder)

    def _name(self, field: str, value: str) -> str:
        known = self._names.get(value)
        if known is None:
            prefix = _PREFIX.match(value)
            kind = prefix[1] if prefix else field.removesuffix("_id").rpartition("_")[2] or "id"
            self._counts[kind] += 1
            known = self._names[value] = f"{kind}_{self._counts[kind]}"
            self._originals[known] = value
        return known

    def _in_text(self, text: str) -> str:
        return _IN_TEXT.sub(lambda match: self._name("id", match[0]), text) if "_" in text else text


def each_id(data: Any, name: Callable[[str, str], str], text: Callable[[str], str], field: str = "") -> Any:
    """Return JSON data with a function applied to every identifier, and another to every other string.

    Args:
        data: Whatever JSON can hold.
        name: Called with the field and the identifier in it.
        text: Called with every other string.
        field: The field that holds the data.
    """
    if isinstance(data, str):
        return name(field, data) if is_id_field(field) and data not in _NO_ID else text(data)
    if isinstance(data, dict):
        return {key: each_id(value, name, text, key) for key, value in data.items()}
    if isinstance(data, list):
        return [each_id(value, name, text) for value in data]
    return data
