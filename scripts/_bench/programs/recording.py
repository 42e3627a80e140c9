"""Records an endpoint until it is stopped, or reads a recording: `recording.py record FILE URL`, `load FILE ROUNDS`."""

import json
import signal
import sys
import time

from rtstt_testkit.cassette.reader import load_cassette
from rtstt_testkit.recording.recorder import Recorder


def record(path, url):
    with Recorder(path, to=url) as recorder:
        print(f"listening on {recorder.url}", flush=True)
        signal.sigwait({signal.SIGTERM})


def load(path, rounds):
    took = []
    for _ in range(int(rounds)):
        begun = time.perf_counter()
        load_cassette(path)
        took.append(time.perf_counter() - begun)
    print(json.dumps(took))


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # before any thread starts
    {"record": record, "load": load}[sys.argv[1]](*sys.argv[2:])
