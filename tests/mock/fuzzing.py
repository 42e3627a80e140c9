"""Fuzzers: one speaks to the core in client events, one to a live server in bytes. Each counts its inputs."""

from __future__ import annotations

import asyncio
import base64
import functools
import json
import random
from contextlib import suppress
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from talk import COMPLETED, FAILED, Talk, append, silence, tone
from test_server import upgrade

from rtstt_testkit import Fault, Script
from rtstt_testkit.mock.protocol.errors import CLIENT_EVENTS
from rtstt_testkit.mock.protocol.models import TRANSCRIPTION_MODELS

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
TURNS = st.none() | st.fixed_dictionaries(
    {"type": st.sampled_from(["server_vad", "semantic_vad", "none"])},
    optional={
        "threshold": st.floats(-1, 2),
        "silence_duration_ms": st.integers(-10, 12_000),
        "prefix_padding_ms": st.integers(-10, 6000),
        "idle_timeout_ms": st.none() | st.integers(4000, 31_000),
        "eagerness": st.sampled_from(["low", "high", "auto", "never"]),
    },
)
INPUT = st.fixed_dictionaries(
    {},
    optional={
        "format": st.fixed_dictionaries({"type": st.sampled_from(["audio/pcm", "audio/pcmu", "audio/pcma"])}),
        "transcription": st.none()
        | st.fixed_dictionaries(
            {"model": st.sampled_from([*TRANSCRIPTION_MODELS, "gpt-nope"])},
            optional={"language": st.none() | st.text(max_size=3), "delay": st.sampled_from(["low", "xhigh", None])},
        ),
        "turn_detection": TURNS,
        "noise_reduction": JSON,
        "bogus": JSON,
    },
)
UPDATES = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["transcription", "realtime", "x"]),
        "audio": st.fixed_dictionaries({"input": INPUT}) | JSON,
        "include": st.none() | st.just(["item.input_audio_transcription.logprobs"]) | JSON,
    },
).map(lambda session: {"type": "session.update", "session": session})
ODD_EVENTS = st.builds(
    lambda type_, rest: {**rest, "type": type_},
    st.sampled_from(CLIENT_EVENTS),
    st.dictionaries(st.sampled_from(["item", "item_id", "audio", "session", "event_id", "x"]), JSON, max_size=2),
)
FAULTS = st.lists(
    st.builds(
        lambda action, chance: Fault(action, on="*", probability=chance),
        st.sampled_from(["drop", "duplicate", "reorder", "trickle"]),
        st.sampled_from([0.05, 0.5]),
    ),
    max_size=2,
)
COMMITTED = "input_audio_buffer.committed"
COMMIT = {"type": "input_audio_buffer.commit"}


@functools.cache
def sound(ms: int, loud: bool) -> dict[str, Any]:
    return append((tone if loud else silence)(ms))


class Client(RuleBasedStateMachine):
    """A client that does whatever comes to its mind, in any order."""

    inputs = 0

    def __init__(self) -> None:
        super().__init__()
        self.talk: Talk
        self.faulty = False

    @initialize(query=st.sampled_from(["?intent=transcription"] * 3 + ["?model=gpt-realtime"]), faults=FAULTS)
    def connect(self, query: str, faults: list[Fault]) -> None:
        self.faulty = bool(faults)
        script = Script((), "One two three.", faults)
        self.talk = Talk(f"/v1/realtime{query}", latency="capture", script=script)

    def send(self, frame: Any) -> None:
        Client.inputs += 1
        self.talk.send(frame)

    @rule(update=UPDATES)
    def update(self, update: Any) -> None:
        self.send(update)

    @rule(
        model=st.sampled_from(list(TRANSCRIPTION_MODELS)),
        turns=st.sampled_from([None, {"type": "server_vad"}, {"type": "semantic_vad"}]),
    )
    def update_well(self, model: str, turns: Any) -> None:
        transcription = {"transcription": {"model": model}, "turn_detection": turns}
        self.send({"type": "session.update", "session": {"type": "transcription", "audio": {"input": transcription}}})

    @rule(ms=st.sampled_from([1, 20, 100, 600, 900]), loud=st.booleans(), times=st.sampled_from([1, 1, 5]))
    def speak(self, ms: int, loud: bool, times: int) -> None:
        for _ in range(times):
            self.send(sound(ms, loud))

    @rule()
    def commit(self) -> None:
        self.send(COMMIT)

    @rule()
    def clear(self) -> None:
        self.send({"type": "input_audio_buffer.clear"})

    @rule(verb=st.sampled_from(["retrieve", "delete"]), which=st.integers(0, 30))
    def ask_for_an_item(self, verb: str, which: int) -> None:
        items = self.committed() or ["item_none"]
        self.send({"type": f"conversation.item.{verb}", "item_id": items[which % len(items)]})

    @rule(event=ODD_EVENTS | JSON)
    def send_an_odd_event(self, event: Any) -> None:
        self.send(json.dumps(event))

    @rule(frame=st.text(max_size=50) | st.binary(max_size=50))
    def send_an_odd_frame(self, frame: str | bytes) -> None:
        self.send(frame)

    @rule(seconds=st.sampled_from([0.01, 0.3, 2, 40]))
    def wait(self, seconds: float) -> None:
        self.talk.wait(seconds)

    def planned(self) -> list[dict[str, Any]]:
        """What the server sent, and what faults kept from being sent."""
        return [event.data for event in self.talk.record.events if event.sender == "server"]

    def committed(self) -> list[str]:
        return [event["item_id"] for event in self.planned() if event["type"] == COMMITTED]

    @invariant()
    def what_is_planned_is_still_to_come(self) -> None:
        due = self.talk.session.next_due
        assert due is None or due > self.talk.now
        assert self.talk.close is None or due is None

    @invariant()
    def speech_ends_after_it_began(self) -> None:
        types = [event["type"] for event in self.planned()]
        assert types.count("input_audio_buffer.speech_stopped") <= types.count("input_audio_buffer.speech_started")

    def teardown(self) -> None:
        """Nothing hangs: every item has its one answer, and the session its end."""
        if not hasattr(self, "talk"):
            return
        talk = self.talk
        talk.wait(30)
        answers = [event["item_id"] for event in self.planned() if event["type"] in (COMPLETED, FAILED)]
        committed = self.committed()
        assert len(answers) == len(set(answers))
        assert set(answers) <= set(committed)
        chain = [event["previous_item_id"] for event in self.planned() if event["type"] == COMMITTED]
        assert not committed or chain[0] not in committed
        talk.wait(3600)
        assert talk.session.next_due is None
        assert talk.close is not None


# -- bytes


_UPDATE = json.dumps(
    {
        "type": "session.update",
        "session": {"type": "transcription", "audio": {"input": {"transcription": {"model": "whisper-1"}}}},
    }
).encode()
_SEEDS = [
    _UPDATE,
    _UPDATE.replace(b"whisper-1", b"gpt-4o-mini-transcribe"),
    b'{"type":"input_audio_buffer.append","audio":"' + base64.b64encode(tone(20)) + b'"}',
    b'{"type": "input_audio_buffer.append", "audio": "' + base64.b64encode(silence(20)) + b'"}',
    b'{"type":"input_audio_buffer.commit"}',
    b'{"type":"input_audio_buffer.clear"}',
    b'{"type":"conversation.item.retrieve","item_id":"item_x"}',
    b'{"type":"response.create"}',
]
_TEXT, _BINARY, _CONTINUATION, _CLOSE, _PING = 1, 2, 0, 8, 9


class Bytes:
    """Makes what a client sends after the upgrade: mostly frames with strange contents, now and then no frame at all.

    Args:
        seed: Makes it the same in every run.
    """

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)

    def mutated(self, payload: bytes) -> bytes:
        """A payload with a few of its bytes changed, cut out or put in."""
        dice, data = self._dice, bytearray(payload)
        for _ in range(dice.choice([0, 1, 1, 2, 8])):
            at = dice.randrange(len(data) + 1)
            kind = dice.randrange(4)
            if kind == 0:
                data[at : at + 1] = bytes([dice.choice(b'{}[]",:\\ux0e1-\n\x00az')])
            elif kind == 1:
                del data[at : at + dice.randrange(1, 20)]
            elif kind == 2:
                data[at:at] = dice.choice([b"null", b"1e999", b'"\\ud800"', b"[[[[", b"{}", b"-0", b"true"])
            else:
                data[at:at] = data[: dice.randrange(30)]
        return bytes(data)

    def frame(self, opcode: int, payload: bytes, fin: bool = True, head: int = 0) -> bytes:
        """A masked frame."""
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        mask = self._dice.randbytes(4)
        body = bytes(byte ^ mask[index & 3] for index, byte in enumerate(payload)) if size < 200 else payload
        return bytes([head | (0x80 if fin else 0) | opcode]) + length + (mask if size < 200 else bytes(4)) + body

    def next(self) -> bytes:
        """The next bytes."""
        dice = self._dice
        payload = self.mutated(dice.choice(_SEEDS))
        roll = dice.random()
        if roll < 0.9:
            # ASCII, so that it is read as text and the session goes on.
            return self.frame(_TEXT, bytes(byte & 0x7F for byte in payload))
        if roll < 0.94:
            return self.frame(dice.choice([_BINARY, _PING]), payload[:100])
        if roll < 0.98:
            cut = dice.randrange(len(payload) + 1)
            first = self.frame(_TEXT, payload[:cut], fin=False)
            return first + self.frame(_CONTINUATION, bytes(byte & 0x7F for byte in payload[cut:]))
        return dice.choice(
            [
                self.frame(_TEXT, b"\xff\xfe" + payload),
                self.frame(dice.randrange(16), payload),
                self.frame(_TEXT, payload, head=dice.choice([0x10, 0x40, 0x70])),
                self.frame(_CLOSE, dice.choice([b"", b"\x03", b"\x03\xe8", b"\x00\x00", b"\x0f\xa0bye\xff"])),
                self.frame(_CONTINUATION, payload),
                self.frame(_PING, bytes(126)),
                b"\x81\xff" + b"\xff" * 8,
                bytes([0x81, len(payload) & 0x7F]) + payload,
                dice.randbytes(dice.randrange(1, 60)),
            ]
        )

    async def talk(self, port: int, most: int = 400) -> None:
        """One connection, until the server ends it or there is nothing more to send."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        draining = asyncio.ensure_future(_drain(reader))
        try:
            writer.write(upgrade())
            for _ in range(most // 20):
                if draining.done():
                    break
                writer.write(b"".join(self.next() for _ in range(20)))
                await writer.drain()
            if self._dice.random() < 0.5:
                writer.transport.abort()
            elif not draining.done():
                writer.write_eof()
            await draining
        except OSError:
            draining.cancel()
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def _drain(reader: asyncio.StreamReader) -> None:
    with suppress(OSError):
        while await reader.read(65536):
            pass
