"""The items of a session, and the least of a conversation that a client can be told apart by.

A transcription session has items too: its commits make them. ``response.create`` answers with one short text;
nothing here models a conversation further. The refusals' words are public reports', not captures.
"""

from __future__ import annotations

from typing import Any, Protocol

from rtstt_testkit.mock.protocol.admission import SessionKind
from rtstt_testkit.mock.protocol.errors import ApiError, Refused, invalid_type
from rtstt_testkit.mock.protocol.ids import Ids

__all__ = ["Conversation", "Say"]

_REPLY = "Hello from the mock."
_NO_RESPONSES = ApiError("Responses are not supported in transcription sessions.", "invalid_event", "type")
_NOTHING_TO_CANCEL = ApiError("Cancellation failed: no active response found", "response_cancel_not_active")


class Say(Protocol):
    """Plans a server event; those of one session keep their order."""

    def __call__(self, type_: str, delay: float = 0.0, /, **fields: Any) -> None:
        """Plan it, after ``delay`` seconds."""


class Conversation:
    """The items of one session, in order.

    Args:
        kind: Of the session.
        ids: Where identifiers come from.
        say: How events are sent.
    """

    def __init__(self, kind: SessionKind, ids: Ids, say: Say) -> None:
        self._kind = kind
        self._ids = ids
        self._say = say
        self._items: dict[str, dict[str, Any]] = {}
        self.last: str | None = None

    def add(self, item: dict[str, Any], previous: str | None) -> None:
        """Take in an item: ``added`` and ``done``, both with the whole item [capture]."""
        self._items[item["id"]] = item
        self.last = item["id"]
        for moment in ("added", "done"):
            self._say(f"conversation.item.{moment}", previous_item_id=previous, item=item)

    def replace(self, item: dict[str, Any]) -> None:
        """Keep a newer state of an item, which a client may retrieve."""
        if item["id"] in self._items:
            self._items[item["id"]] = item

    def create(self, event: dict[str, Any]) -> None:
        """``conversation.item.create``."""
        given = event["item"]
        if not isinstance(given, dict) or not isinstance(given.get("type"), str):
            raise Refused(
                ApiError("Missing required parameter: 'item.type'.", "missing_required_parameter", "item.type")
            )
        if not isinstance(given.get("id", ""), str):
            raise Refused(invalid_type("item.id", "a string", given["id"]))
        item = {"id": self._ids.new("item"), "status": "completed", **given}
        previous = event.get("previous_item_id")
        self.add(item, previous if previous in self._items else self.last)

    def retrieve(self, event: dict[str, Any]) -> None:
        """``conversation.item.retrieve``."""
        self._say("conversation.item.retrieved", item=self._known(event, "retriev", "retrieve"))

    def delete(self, event: dict[str, Any]) -> None:
        """``conversation.item.delete``."""
        item = self._known(event, "delet", "delete")
        del self._items[item["id"]]
        if self.last == item["id"]:
            self.last = next(reversed(self._items), None)
        self._say("conversation.item.deleted", item_id=item["id"])

    def truncate(self, event: dict[str, Any]) -> None:
        """``conversation.item.truncate``."""
        item = self._known(event, "truncat", "truncate")
        self._say(
            "conversation.item.truncated",
            item_id=item["id"],
            content_index=event["content_index"],
            audio_end_ms=event["audio_end_ms"],
        )

    def _known(self, event: dict[str, Any], stem: str, verb: str) -> dict[str, Any]:
        item = self._items.get(event["item_id"])
        if item is None:
            raise Refused(
                ApiError(
                    f"Error {stem}ing item: the item with id '{event['item_id'][:200]}' does not exist.",
                    f"item_{verb}_invalid_item_id",
                    "item_id",
                )
            )
        return item

    def respond(self, event: dict[str, Any]) -> None:
        """``response.create``: one text message."""
        if self._kind == "transcription":
            raise Refused(_NO_RESPONSES)  # not known how the endpoint puts it
        response: dict[str, Any] = {
            "id": self._ids.new("resp"),
            "object": "realtime.response",
            "status": "in_progress",
            "output": [],
            "output_modalities": ["text"],
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
        where = {"response_id": response["id"], "output_index": 0}
        within = {**where, "item_id": item["id"], "content_index": 0}
        previous, self.last = self.last, item["id"]
        self._items[item["id"]] = done
        self._say("response.created", response=response)
        self._say("response.output_item.added", **where, item=item)
        self._say("conversation.item.added", previous_item_id=previous, item=item)
        self._say("response.content_part.added", **within, part={"type": "text", "text": ""})
        self._say("response.output_text.delta", **within, delta=_REPLY)
        self._say("response.output_text.done", **within, text=_REPLY)
        self._say("response.content_part.done", **within, part={"type": "text", "text": _REPLY})
        self._say("response.output_item.done", **where, item=done)
        self._say("conversation.item.done", previous_item_id=previous, item=done)
        self._say("response.done", response={**response, "status": "completed", "output": [done]})

    def cancel(self, event: dict[str, Any]) -> None:
        """``response.cancel``: there is never one under way."""
        raise Refused(_NOTHING_TO_CANCEL)
