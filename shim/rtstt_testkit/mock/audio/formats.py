"""The three wire formats, and loudness read off their bytes without decoding a sample.

A sample of 16-bit PCM has its size in its high byte, and a sample of G.711 is one byte: in each format one
*key byte* a sample says how loud it is. Counting the loud ones is then ``bytes.translate`` and ``len``, which
run in C: the endpoint's work of listening costs the mock a few microseconds an append, with the standard
library alone.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from functools import lru_cache
from typing import NamedTuple

__all__ = ["FORMATS", "LOUDNESS_STEP", "AudioFormat", "decode_g711", "encode_g711", "to_pcm16"]


#: What one of loudness stands for, of the 32768 of the loudest sample.
LOUDNESS_STEP = 128


class AudioFormat(NamedTuple):
    """A format of ``audio.input.format``.

    Attributes:
        name: Its ``type`` on the wire.
        rate: Samples a second.
        width: Bytes a sample.
    """

    name: str
    rate: int
    width: int

    def keys(self, audio: bytes) -> bytes:
        """One byte a sample, enough to tell how loud it is."""
        return audio[1::2] if self.width == 2 else audio

    @property
    def stride(self) -> int:
        """How many samples apart those are whose loudness is measured: few tell as much as all."""
        return 4 if self.width == 2 else 1

    def loudness(self, audio: bytes) -> bytes:
        """The size of each sample that is measured, in steps of `LOUDNESS_STEP`."""
        return (audio[1::8] if self.width == 2 else audio).translate(_loudness(self.name))

    def quiet_keys(self, level: int) -> bytes:
        """The key bytes of samples below ``level`` (of 32768)."""
        return _quiet_keys(self.name, level)


FORMATS = {
    "audio/pcm": AudioFormat("audio/pcm", 24000, 2),
    "audio/pcmu": AudioFormat("audio/pcmu", 8000, 1),
    "audio/pcma": AudioFormat("audio/pcma", 8000, 1),
}


def _mu_law(code: int) -> int:
    """One byte of G.711 mu-law as a 16-bit sample (ITU-T G.711, table 2a)."""
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84) << ((code >> 4) & 0x07)
    return 0x84 - magnitude if code & 0x80 else magnitude - 0x84


def _a_law(code: int) -> int:
    """One byte of G.711 A-law as a 16-bit sample (ITU-T G.711, table 1a)."""
    code ^= 0x55
    exponent, mantissa = (code >> 4) & 0x07, code & 0x0F
    magnitude = (mantissa << 4) + 8
    if exponent:
        magnitude = (magnitude + 0x100) << (exponent - 1)
    return magnitude if code & 0x80 else -magnitude


_DECODERS = {"audio/pcmu": _mu_law, "audio/pcma": _a_law}


@lru_cache(maxsize=3)
def _sizes(name: str) -> list[int]:
    if name == "audio/pcm":
        # The high byte, two's complement: 0 and 255 are samples within 256 of zero.
        return [min(key, 255 - key) * 256 for key in range(256)]
    return [abs(_DECODERS[name](key)) for key in range(256)]


@lru_cache(maxsize=3)
def _loudness(name: str) -> bytes:
    return bytes(min(size // LOUDNESS_STEP, 255) for size in _sizes(name))


@lru_cache(maxsize=64)
def _quiet_keys(name: str, level: int) -> bytes:
    return bytes(key for key, size in enumerate(_sizes(name)) if size < level)


@lru_cache(maxsize=2)
def _decoded(name: str) -> tuple[bytes, ...]:
    return tuple(_DECODERS[name](code).to_bytes(2, "little", signed=True) for code in range(256))


def decode_g711(audio: bytes, name: str) -> bytes:
    """G.711 bytes as 16-bit little-endian PCM of the same rate."""
    table = _decoded(name)
    return b"".join([table[code] for code in audio])


@lru_cache(maxsize=2)
def _codes(name: str) -> list[tuple[int, int]]:
    return sorted((_DECODERS[name](code), code) for code in range(256))


def encode_g711(pcm: bytes, name: str) -> bytes:
    """16-bit little-endian PCM as G.711 of the same rate, each sample by the nearest code."""
    codes = _codes(name)
    values = [value for value, _ in codes]
    out = bytearray()
    for (sample,) in struct.iter_unpack("<h", pcm):
        at = bisect_left(values, sample)
        near = codes[max(at - 1, 0) : at + 1]
        out.append(min(near, key=lambda pair: abs(pair[0] - sample))[1])
    return bytes(out)


def to_pcm16(audio: bytes, name: str) -> bytes:
    """Audio of any of the formats as 16-bit little-endian PCM of its own rate."""
    return audio if name == "audio/pcm" else decode_g711(audio, name)
