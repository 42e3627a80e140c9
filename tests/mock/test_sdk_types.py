"""The strict check of every event that a mock sends can fail, and covers all of them."""

import asyncio
from typing import Any

import pytest
import sdk_types
from talk import COMPLETED, KEY, Talk, silence, tone, update
from websockets.asyncio.client import connect

from rtstt_testkit import RealtimeServer
from rtstt_testkit.mock.session.outbox import Outbox

CLEARED = {"type": "input_audio_buffer.cleared", "event_id": "event_1"}


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({**CLEARED, "bogus": 1}, "the openai SDK's types do not have ['input_audio_buffer.cleared: bogus']"),
        ({**CLEARED, "event_id": 5}, "Input should be a valid string"),
        ({"type": "input_audio_buffer.cleared"}, "Field required"),
        ({"type": "input_audio_buffer.emptied", "event_id": "event_1"}, "no event type 'input_audio_buffer.emptied'"),
        (
            {
                "type": COMPLETED,
                "event_id": "event_1",
                "item_id": "item_1",
                "content_index": 0,
                "transcript": "",
                "usage": {"type": "duration", "seconds": 1, "minutes": 0},
            },
            "input_audio_transcription.completed: usage.minutes",
        ),
    ],
    ids=["an unknown field", "a wrong type", "a missing field", "an unknown event", "an unknown field further in"],
)
def test_what_the_sdk_does_not_describe_is_found(event: dict[str, Any], words: str) -> None:
    watch = sdk_types.Watch()
    watch.see(CLEARED)
    watch.see(event)
    (problem,) = watch.take()
    assert words in problem
    assert f"in the event {event!r}" in problem
    assert watch.take() == []


def test_an_event_with_an_unknown_field_is_found_on_a_real_socket(
    event_watch: sdk_types.Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = Outbox.event

    def with_bogus(outbox: Outbox, type_: str, fields: dict[str, Any]) -> dict[str, Any]:
        return {**event(outbox, type_, fields), "bogus": True}

    async def scenario() -> None:
        monkeypatch.setattr(Outbox, "event", with_bogus)
        headers = {"Authorization": f"Bearer {KEY}"}
        async with (
            RealtimeServer() as server,
            connect(server.url + "?intent=transcription", additional_headers=headers) as client,
        ):
            await client.recv()

    assert event_watch.take() == []
    asyncio.run(asyncio.wait_for(scenario(), 100))
    (problem,) = event_watch.take()  # or it would fail this test
    assert problem.startswith("the openai SDK's types do not have ['session.created: bogus']")


def test_every_event_of_a_session_is_checked(event_watch: sdk_types.Watch) -> None:
    before = event_watch.checked
    talk = Talk()
    events = [*talk.opening, *talk.send(update()), *talk.speak(silence(300) + tone(600) + silence(400))]
    assert events[-1]["type"] == COMPLETED
    assert event_watch.checked - before == len(events) == len([e for e in talk.record.events if e.sender == "server"])


def test_no_known_difference_is_out_of_date() -> None:
    """A difference that a newer SDK no longer has must be removed from the list."""
    talk = Talk()
    events = [*talk.opening, *talk.send(update()), *talk.speak(silence(300) + tone(600) + silence(400))]
    assert set().union(*map(sdk_types.differences, events)) == set(sdk_types.KNOWN_DIFFERENCES)
