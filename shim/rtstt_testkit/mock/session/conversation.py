"""The items of a session, and as much of a conversation as a client needs to notice that it opened one.

A transcription session has items too: its commits make them. A response is one short text; nothing else of a
conversation is modelled. The order and the shapes are those of recorded conversations: PROTOCOL.md, sections 5 and 6.
"""

from __future__ import annotations

from typing import Any

from rtstt_testkit.mock.protocol import errors
from rtstt_testkit.mock.protocol.admission import SessionKind
from rtstt_testkit.mock.protocol.errors import Refused
from rtstt_testkit.mock.protocol.ids import Ids
from rtstt_testkit.mock.session.outbox import Outbox

__all__ = ["Conversation"]

_REPLY = "Hello from the mock."
#: The figures are the mock's own; the shapes are recorded [recording].
_USAGE = {"total_tokens": 0, "input_tokens": 0, "output_tokens": 0}
_RATE_LIMITS = ({"name": "tokens", "limit": 15_000_000, "remaining": 15_000_000, "reset_seconds": 0.0},)


class Conversation:
    """The items of one session, in order.

    Args:
        kind: The kind of the session.
        ids: The source of identifiers.
        outbox: Where events are emitted.

    Attributes:
        last: The identifier of the last item, or None.
    """

    def __init__(self, kind: SessionKind, ids: Ids, outbox: Outbox) -> None:
        self._kind = kind
        self._ids = ids
        self._outbox = outbox
        self._items: dict[str, dict[str, Any]] = {}
        self._id = ids.new("conv") if kind == "realtime" else ""
        self.last: str | None = None

    def add(self, item: dict[str, Any], previous: str | None) -> None:
        """Add an item and emit ``added`` and ``done``, both with the whole item [capture]."""
        self._items[item["id"]] = item
        self.last = item["id"]
        for state in ("added", "done"):
            self._outbox.emit(f"conversation.item.{state}", previous_item_id=previous, item=item)

    def replace(self, item: dict[str, Any]) -> None:
        """Store a newer state of an item, which a client may retrieve."""
        if item["id"] in self._items:
            self._items[item["id"]] = item

    def create(self, event: dict[str, Any]) -> None:
        """Add the item of ``conversation.item.create``."""
        given = event["item"]
        if not isinstance(given, dict) or not isinstance(given.get("type"), str):
            raise Refused(errors.missing_parameter("item.type"))
        if not isinstance(given.get("id", ""), str):
            raise Refused(errors.invalid_type("item.id", "a string", given["id"]))
        item = {"id": self._ids.new("item"), "status": "completed", **given}
        previous = event.get("previous_item_id")
        self.add(item, previous if previous in self._items else self.last)

    def retrieve(self, event: dict[str, Any]) -> None:
        """Answer ``conversation.item.retrieve``."""
        self._outbox.emit("conversation.item.retrieved", item=self._existing(event, "retrieve", "retrieving"))

    def delete(self, event: dict[str, Any]) -> None:
        """Delete the item of ``conversation.item.delete``."""
        item = self._existing(event, "delete", "deleting")
        del self._items[item["id"]]
        if self.last == item["id"]:
            self.last = next(reversed(self._items), None)
        self._outbox.emit("conversation.item.deleted", item_id=item["id"])

    def truncate(self, event: dict[str, Any]) -> None:
        """Answer ``conversation.item.truncate``."""
        item = self._existing(event, "truncate", "truncating")
        self._outbox.emit(
            "conversation.item.truncated",
            item_id=item["id"],
            content_index=event["content_index"],
            audio_end_ms=event["audio_end_ms"],
        )

    def _existing(self, event: dict[str, Any], verb: str, gerund: str) -> dict[str, Any]:
        item = self._items.get(event["item_id"])
        if item is None:
            raise Refused(errors.unknown_item(event["item_id"], verb, gerund))
        return item

    def respond(self) -> None:
        """Answer with one short text, in the recorded order [recording]."""
        if self._kind == "transcription":
            raise Refused(errors.NO_RESPONSES)
        response: dict[str, Any] = {
            "object": "realtime.response",
            "id": self._ids.new("resp"),
            "status": "in_progress",
            "status_details": None,
            "output": [],
            "conversation_id": self._id,
            "output_modalities": ["text"],
            "max_output_tokens": "inf",
            "usage": None,
            "metadata": None,
        }
        item: dict[str, Any] = {
            "id": self._ids.new("item"),
            "type": "message",
            "status": "in_progress",
            "role": "assistant",
            "content": [],
        }
        part = {"type": "output_text", "text": _REPLY}
        done = {**item, "status": "completed", "content": [part]}
        output = {"response_id": response["id"], "output_index": 0}
        content = {**output, "item_id": item["id"], "content_index": 0}
        previous, self.last = self.last, item["id"]
        self._items[item["id"]] = done
        self._outbox.emit("response.created", response=response)
        self._outbox.emit("response.output_item.added", **output, item=item)
        self._outbox.emit("conversation.item.added", previous_item_id=previous, item=item)
        self._outbox.emit("response.content_part.added", **content, part={"type": "text", "text": ""})
        self._outbox.emit("response.output_text.delta", **content, delta=_REPLY)
        self._outbox.emit("response.output_text.done", **content, text=_REPLY)
        self._outbox.emit("response.content_part.done", **content, part={"type": "text", "text": _REPLY})
        self._outbox.emit("conversation.item.done", previous_item_id=previous, item=done)
        self._outbox.emit("response.output_item.done", **output, item=done)
        completed = {"status": "completed", "output": [done], "usage": _USAGE}
        self._outbox.emit("response.done", response={**response, **completed})
        self._outbox.emit("rate_limits.updated", rate_limits=[dict(limit) for limit in _RATE_LIMITS])

    def cancel(self, event: dict[str, Any]) -> None:
        """Refuse ``response.cancel``: no response is ever under way."""
        raise Refused(errors.NOTHING_TO_CANCEL)
