"""Make the recordings bundled with the test kit, with espeak-ng: `python3 scripts/make_speech.py`.

The recordings are in the repository; run this only to change them. espeak-ng is GPL-3.0; its licence does not extend to
its output, and the recordings are under the project's own licence.
"""

from __future__ import annotations

import array
import io
import subprocess
import wave
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "shim" / "rtstt_testkit" / "speech"
RATE = 24000
EDGE = 600  # of 32768: the amplitude at which the speech begins and ends
VOICES = {
    "hello": ("en-us", 165),
    "coffee": ("en-gb", 150),
    "weather": ("en-us+f3", 160),
    "train": ("de+m3", 165),
    "bread": ("fr-fr+f2", 160),
    "meeting": ("es+f4", 165),
    "order": ("en-gb-scotland+m7", 170),
    "hold": ("en-us+f1", 165),
    "shortly": ("en-us+f1", 165),
}
"""By recording: the voice of espeak-ng 1.51, and its words a minute."""


def synthesize(text: str, voice: str, speed: int) -> array.array[int]:
    spoken = subprocess.run(
        ["espeak-ng", "-v", voice, "-s", str(speed), "-a", "90", "--stdout", text], capture_output=True, check=True
    ).stdout
    with wave.open(io.BytesIO(spoken)) as file:
        rate = file.getframerate()
        # espeak-ng writes to a pipe, so the length in the header is not set.
        samples = array.array("h", file.readframes(10**9))
    return trimmed(resampled(samples, rate))


def resampled(samples: array.array[int], rate: int) -> array.array[int]:
    out = array.array("h")
    for index in range(len(samples) * RATE // rate - 1):
        at, part = divmod(index * rate, RATE)
        out.append(samples[at] + (samples[min(at + 1, len(samples) - 1)] - samples[at]) * part // RATE)
    return out


def trimmed(samples: array.array[int]) -> array.array[int]:
    loud = [index for index, sample in enumerate(samples) if abs(sample) >= EDGE]
    return samples[loud[0] : loud[-1] + 1]


def main() -> None:
    texts = dict(line.split("\t") for line in (FOLDER / "texts.tsv").read_text("utf-8").splitlines())
    for name, text in texts.items():
        speech = synthesize(text, *VOICES[name])  # before its file is emptied
        with wave.open(str(FOLDER / f"{name}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(speech.tobytes())
        print(name, text)


if __name__ == "__main__":
    main()
