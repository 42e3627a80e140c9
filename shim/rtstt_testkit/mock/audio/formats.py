"""The three audio formats of the protocol, and loudness computed from their bytes without decoding samples.

The high byte of a 16-bit PCM sample holds its magnitude, and a G.711 sample is one byte: in each format one *key byte*
a sample is enough for its loudness. Counting loud samples is then ``bytes.translate`` and ``len``, which run in C, so
that speech detection costs a few microseconds an append with the standard library alone.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from functools import lru_cache
from typing import NamedTuple

__all__ = ["FORMATS", "LOUDNESS_STEP", "AudioFormat", "decode_g711", "encode_g711", "to_pcm16"]


#: The unit of loudness, as a sample value (the loudest sample is 32768).
LOUDNESS_STEP = 128


class AudioFormat(NamedTuple):
    """A format of ``audio.input.format``.

    Attributes:
        name: Its ``type``, such as ``audio/pcm``.
        rate: Samples per second.
        width: Bytes per sample.
    """

    name: str
    rate: int
    width: int

    def keys(self, audio: bytes) -> bytes:
        """Return one byte per sample, from which its loudness follows."""
        return audio[1::2] if self.width == 2 else audio

    @property
    def stride(self) -> int:
        """The distance between the samples whose loudness is measured; a quarter of them is enough."""
        return 4 if self.width == 2 else 1

    def loudness(self, audio: bytes) -> bytes:
        """Return the magnitude of each measured sample, in units of `LOUDNESS_STEP`."""
        return (audio[1::8] if self.width == 2 else audio).translate(_loudness(self.name))

    def loudness_of(self, keys: bytes) -> bytes:
        """Return the magnitude of samples from their key bytes, in units of `LOUDNESS_STEP`."""
        return keys.translate(_loudness(self.name))

    def quiet_keys(self, level: int) -> bytes:
        """Return the key bytes of samples below ``level`` (of 32768)."""
        return _quiet_keys(self.name, level)


FORMATS = {
    "audio/pcm": AudioFormat("audio/pcm", 24000, 2),
    "audio/pcmu": AudioFormat("audio/pcmu", 8000, 1),
    "audio/pcma": AudioFormat("audio/pcma", 8000, 1),
}


def _mu_law(code: int) -> int:
    """Decode one byte of G.711 mu-law to a 16-bit sample (ITU-T G.711, table 2a)."""
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84) << ((code >> 4) & 0x07)
    return 0x84 - magnitude if code & 0x80 else magnitude - 0x84


def _a_law(code: int) -> int:
    """Decode one byte of G.711 A-law to a 16-bit sample (ITU-T G.711, table 1a)."""
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
    """Decode G.711 to 16-bit little-endian PCM of the same rate.

    Args:
        audio: G.711 bytes.
        name: ``audio/pcmu`` or ``audio/pcma``.
    """
    table = _decoded(name)
    return b"".join([table[code] for code in audio])


@lru_cache(maxsize=2)
def _codes(name: str) -> list[tuple[int, int]]:
    return sorted((_DECODERS[name](code), code) for code in range(256))


def encode_g711(pcm: bytes, name: str) -> bytes:
    """Encode 16-bit little-endian PCM as G.711 of the same rate, each sample by the nearest code.

    Args:
        pcm: 16-bit samples.
        name: ``audio/pcmu`` or ``audio/pcma``.
    """
    codes = _codes(name)
    values = [value for value, _ in codes]
    out = bytearray()
    for (sample,) in struct.iter_unpack("<h", pcm):
        at = bisect_left(values, sample)
        near = codes[max(at - 1, 0) : at + 1]
        out.append(min(near, key=lambda pair: abs(pair[0] - sample))[1])
    return bytes(out)


def to_pcm16(audio: bytes, name: str) -> bytes:
    """Convert audio of any format to 16-bit little-endian PCM of the same rate.

    Args:
        audio: The audio.
        name: The name of its format.
    """
    return audio if name == "audio/pcm" else decode_g711(audio, name)
