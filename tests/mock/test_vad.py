"""Where speech begins and ends never depends on how the audio was cut into appends."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from talk import cut, g711, silence, tone, turns

from rtstt_testkit.mock.audio.detector import level_of
from rtstt_testkit.mock.audio.formats import FORMATS, decode_g711, to_pcm16

PCM = FORMATS["audio/pcm"]
PIECES = st.lists(
    st.tuples(st.booleans(), st.integers(1, 400), st.sampled_from([0.01, 0.02, 0.3])), min_size=1, max_size=12
)


@settings(max_examples=150)
@given(PIECES, st.lists(st.integers(1, 9000), min_size=1, max_size=20))
def test_turns_are_the_same_for_every_chunking(pieces, sizes) -> None:
    audio = b"".join(tone(ms, loudness=loud) if on else silence(ms) for on, ms, loud in pieces)
    assert turns(cut(audio, sizes)) == turns([audio])


@pytest.mark.parametrize(("threshold", "level"), [(0, 256), (0.25, 256), (0.5, 512), (0.75, 1024), (1, 2048)])
def test_a_threshold_is_a_loudness(threshold, level) -> None:
    assert level_of(threshold) == level
    for name in FORMATS:
        # One sample just below the level, one at it; G.711 steps are coarser than that.
        quiet = FORMATS[name].quiet_keys(level)
        for sample in (0, level - 64, level + 64, -level - 64, 32767, -32768):
            pcm = sample.to_bytes(2, "little", signed=True)
            keys = FORMATS[name].keys(pcm if name == "audio/pcm" else g711(pcm, name))
            assert (keys[0] in quiet) is (abs(sample) < level), (name, sample)


@pytest.mark.parametrize("name", ["audio/pcmu", "audio/pcma"])
def test_g711_decodes_to_what_was_encoded(name) -> None:
    for sample in range(-32000, 32000, 517):
        pcm = sample.to_bytes(2, "little", signed=True)
        back = int.from_bytes(decode_g711(g711(pcm, name), name), "little", signed=True)
        assert abs(back - sample) <= max(abs(sample) * 0.05, 16)
    assert to_pcm16(b"\x00", name) == decode_g711(b"\x00", name)
    assert to_pcm16(b"\x00\x01", "audio/pcm") == b"\x00\x01"


def test_g711_reference_values() -> None:
    """Values of ITU-T G.711: the codes of silence and of the loudest samples."""

    def value(code: int, name: str) -> int:
        return int.from_bytes(decode_g711(bytes([code]), name), "little", signed=True)

    assert [value(code, "audio/pcmu") for code in (0xFF, 0x7F, 0x80, 0x00)] == [0, 0, 32124, -32124]
    assert [value(code, "audio/pcma") for code in (0xD5, 0x55, 0xAA, 0x2A)] == [8, -8, 32256, -32256]
