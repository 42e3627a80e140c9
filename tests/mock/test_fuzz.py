"""Whatever clients send, the core answers with events the SDK knows, and never with an exception."""

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from talk import Talk, append, silence, tone

from rtstt_testkit.mock.errors import CLIENT_EVENTS
from rtstt_testkit.mock.models import TRANSCRIPTION_MODELS

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
AUDIO = st.builds(lambda ms, on: append((tone if on else silence)(ms)), st.integers(1, 900), st.booleans())
EVENTS = st.one_of(
    UPDATES,
    AUDIO,
    AUDIO,
    st.just({"type": "input_audio_buffer.commit"}),
    st.just({"type": "input_audio_buffer.clear"}),
    st.builds(
        lambda type_, rest: {**rest, "type": type_},
        st.sampled_from(CLIENT_EVENTS),
        st.dictionaries(st.text(max_size=8), JSON, max_size=2),
    ),
    JSON,
)
FRAMES = st.one_of(EVENTS.map(json.dumps), st.text(max_size=50), st.binary(max_size=50))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["?intent=transcription", "?model=gpt-realtime"]),
    st.lists(st.tuples(FRAMES, st.sampled_from([0, 0, 0.1, 2])), max_size=25),
)
def test_no_input_is_too_strange(query, frames) -> None:
    talk = Talk(f"/v1/realtime{query}", latency="capture")
    for frame, seconds in frames:
        talk.send(frame)
        talk.wait(seconds)
    talk.wait(10)
    assert talk.close is None or talk.session.next_due is None
    talk.wait(3600)
    assert talk.session.next_due is None
    starts = [event for event in talk.record.types if event == "input_audio_buffer.speech_started"]
    stops = [event for event in talk.record.types if event == "input_audio_buffer.speech_stopped"]
    assert len(stops) <= len(starts)
