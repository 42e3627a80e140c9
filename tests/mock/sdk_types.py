"""Strict parsing of server events with the openai SDK's types, and the known differences to them."""

import copy
import functools
from typing import Any

#: Fields that the endpoint sends and the SDK's types do not have, each with its evidence.
KNOWN_DIFFERENCES = {
    "conversation.item.input_audio_transcription.delta: obfuscation": "capture of 2026-09-18",
    "session.created: session.id": "capture of 2026-09-18",
    "session.created: session.object": "capture of 2026-09-18",
    "session.created: session.expires_at": "capture of 2026-09-18",
    "session.updated: session.id": "capture of 2026-09-18",
    "session.updated: session.object": "capture of 2026-09-18",
    "session.updated: session.expires_at": "capture of 2026-09-18",
}


@functools.cache
def _models() -> dict[str, Any]:
    """Return the SDK's model of each event type; imported late, since the SDK takes a second to import."""
    from typing import get_args

    from openai.types.realtime import RealtimeServerEvent

    events = get_args(get_args(RealtimeServerEvent)[0])
    return {get_args(model.model_fields["type"].annotation)[0]: model for model in events}


def event_types() -> set[str]:
    """Return every event type that the SDK has a model of."""
    return set(_models())


def differences(event: dict[str, Any]) -> set[str]:
    """Validate an event strictly; return the fields beyond the SDK's types, as in ``KNOWN_DIFFERENCES``."""
    model = _models().get(event["type"])
    assert model is not None, f"the openai SDK has no event type {event['type']!r}"
    parsed = model.model_validate(event, strict=True)
    return {f"{event['type']}: {path}" for path in _extras(parsed)}


def check(event: dict[str, Any]) -> None:
    """Fail for an event that the SDK's types do not describe."""
    unknown = differences(event) - set(KNOWN_DIFFERENCES)
    assert not unknown, f"the openai SDK's types do not have {sorted(unknown)}"


class Watch:
    """Checks every event that a mock of this process sends, and collects the problems.

    It wraps the one method through which every event goes, before faults change it. The first check imports the SDK,
    which takes many seconds on a busy machine: clients would wait for the mock meanwhile, so events wait instead.
    """

    def __init__(self) -> None:
        self.checked = 0
        self._waiting: list[dict[str, Any]] = []
        self._problems: list[str] = []

    def see(self, event: dict[str, Any]) -> None:
        self.checked += 1
        if _models.cache_info().currsize:
            self._check(event)
        else:
            self._waiting.append(copy.deepcopy(event))

    def _check(self, event: dict[str, Any]) -> None:
        try:
            check(event)
        except (AssertionError, ValueError) as problem:
            if len(self._problems) < 10:
                self._problems.append(f"{problem}\nin the event {event!r:.2000}")

    def take(self) -> list[str]:
        """Return the problems since the last call."""
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            self._check(event)
        problems, self._problems = self._problems, []
        return problems

    def install(self) -> None:
        """Check all events from now on."""
        from rtstt_testkit.mock.session.outbox import Outbox

        send = Outbox._send

        @functools.wraps(send)
        def watched(outbox: Outbox, event: dict[str, Any], now: float) -> Any:
            self.see(event)
            return send(outbox, event, now)

        Outbox._send = watched  # type: ignore[method-assign]


def _extras(value: Any, path: str = "") -> list[str]:
    from openai import BaseModel

    found = []
    if isinstance(value, BaseModel):
        found += [path + name for name in value.model_extra or {}]
        for name in type(value).model_fields:
            found += _extras(getattr(value, name), f"{path}{name}.")
    elif isinstance(value, list):
        for element in value:
            found += _extras(element, path)
    return found
