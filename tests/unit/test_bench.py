"""The parts of scripts/bench.py that a wrong figure could come from."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
import types
import zlib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from rtstt_testkit import ThreadedRealtimeServer

pytest.importorskip("_env", reason="needs the project's scripts")

figure: Any = importlib.import_module("_bench.figure")
websocket: Any = importlib.import_module("_bench.websocket")
sessions: Any = importlib.import_module("_bench.sessions")
sockets: Any = importlib.import_module("_bench.sockets")
node: Any = importlib.import_module("_bench.node")
shim: Any = importlib.import_module("_bench.shim")
report: Any = importlib.import_module("_bench.report")
processes: Any = importlib.import_module("_bench.processes")
why: Any = importlib.import_module("_bench.why")
bench: Any = importlib.import_module("bench")
BENCH = Path(__file__).parents[2] / "scripts" / "bench.py"


def test_two_things_are_measured_in_turn_each_first_in_every_other_round() -> None:
    order = []

    def measure(name: str, value: float) -> float:
        order.append(name)
        return value

    samples = figure.in_turn(3, lambda: measure("ours", 3.0), lambda: measure("peer", 2.0))
    assert order == ["ours", "peer", "peer", "ours", "ours", "peer"]
    assert samples.ratios == [1.5, 1.5, 1.5]


def test_the_ratio_is_the_median_of_the_rounds_and_not_that_of_the_medians() -> None:
    samples = figure.Samples([1.0, 20.0, 3.0], [1.0, 10.0, 3.0])
    found = figure.beside("part", "name", "ms", samples, "peer", most=1.15)
    assert (found.ours, found.peer, found.ratio, found.met) == (3.0, 3.0, 1.0, True)


@pytest.mark.parametrize(
    ("options", "ratio", "met"),
    [
        ({"most": 1.15}, 1.15, True),
        ({"most": 1.15}, 1.16, False),
        ({"least": 0.97}, 0.97, True),
        ({"least": 0.97}, 0.96, False),
    ],
)
def test_a_target_is_met_or_missed(options: dict[str, float], ratio: float, met: bool) -> None:
    samples = figure.Samples([ratio], [1.0])
    assert figure.beside("part", "name", "ms", samples, "peer", **options).met is met


def test_what_may_be_added_is_the_larger_of_a_number_and_a_share() -> None:
    longer = figure.Samples([1008.0], [1000.0])
    assert figure.added("part", "name", "ms", longer, "peer", most=2, share=0.01).met is True
    assert figure.added("part", "name", "ms", longer, "peer", most=2, share=0.005).met is False


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.01234, "0.0123"), (1.5, "1.5"), (64, "64"), (1000, "1,000"), (71234.5, "71,234")]
)
def test_numbers_show_three_digits_that_count(value: float, text: str) -> None:
    assert figure.shown(value) == text


def unmasked(frame: bytes, size: int) -> tuple[int, bytes]:
    head = 2 if size < 126 else 4
    mask, payload = frame[head : head + 4], frame[head + 4 :]
    assert len(payload) == size
    return frame[0], bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


@pytest.mark.parametrize("payload", [b"hello", bytes(range(256)) * 8], ids=["short", "long"])
def test_frames_made_in_advance_are_masked_frames(payload: bytes) -> None:
    frame = websocket.frame(payload)
    assert unmasked(frame, len(payload)) == (0x81, payload)


def test_a_compressed_frame_inflates_to_the_message() -> None:
    frame = websocket.frame(b"x" * 1000, deflated=True)
    first, packed = unmasked(frame, frame[1] & 0x7F)
    assert first == 0xC1
    assert zlib.decompressobj(wbits=-15).decompress(packed + b"\x00\x00\xff\xff") == b"x" * 1000


def test_the_appends_are_50_ms_each_of_speech_and_pauses() -> None:
    events = [json.loads(event) for event in websocket.append_events()]
    assert {event["type"] for event in events} == {"input_audio_buffer.append"}
    assert {len(event["audio"]) for event in events} == {3200}
    silent = [set(event["audio"]) == {"A"} for event in events]
    assert any(silent)
    assert not all(silent)


def test_each_round_has_connections_of_its_own() -> None:
    """None is left open meanwhile: a server drops a client that answers no PING, and another's turn may be long."""
    frames = [websocket.frame(event) for event in websocket.append_events()]
    with ThreadedRealtimeServer() as server:
        blaster = websocket.Blaster(server.port, frames, sockets=2)
        for _ in range(2):
            assert blaster.round(4 * len(frames)) > 0
        assert [session.audio_received for session in server.sessions] == [2 * len(frames) * websocket.FRAME_BYTES] * 4


def test_a_turn_is_due_with_the_append_that_holds_its_last_sample() -> None:
    lateness = sessions.Lateness([], None, [])
    socket = sessions.Socket(None, 0, 0.01)
    stopped = b'{"type":"input_audio_buffer.speech_stopped","audio_end_ms":1000,"item_id":"item_1"}'
    completed = b'{"type":"conversation.item.input_audio_transcription.completed","item_id":"item_1","transcript":""}'
    stream = b"".join(bytes([0x81, 126]) + len(event).to_bytes(2, "big") + event for event in (stopped, completed))
    # The append from 950 to 1000 ms is the twentieth: it was due at 0.95 s, and 10 ms later on this socket.
    lateness._take(socket, stream[:100], 1.0)
    lateness._take(socket, socket.unread + stream[100:], 1.0)
    assert lateness.stopped == pytest.approx([0.04])
    assert lateness.completed == pytest.approx([0.04])


class Counted:
    """A program that takes messages at a rate of its own, or the server that it is given."""

    def __init__(self, words: Any, **options: Any) -> None:
        self.words = [str(word) for word in words]
        self.rate = 10_000 if "without" in self.words else 9_800
        self.asked: list[str] = []

    def port(self) -> int:
        return 1234

    def ask(self, words: str) -> dict[str, float]:
        self.asked.append(words)
        return {"cpu": int(words.split()[1]) / self.rate}

    def __enter__(self) -> Counted:
        return self

    def __exit__(self, *_: object) -> None: ...


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> list[Counted]:
    """What is started to measure sockets; none of it runs."""
    started: list[Counted] = []

    def start(words: Any, **options: Any) -> Counted:
        started.append(Counted(words, **options))
        return started[-1]

    monkeypatch.setattr(sockets, "Program", start)
    monkeypatch.setattr(sockets, "python_program", lambda python, *words, **options: start([python, *words]))
    return started


def test_a_client_with_the_shim_is_measured_beside_the_same_without_it_at_one_server(programs: list[Counted]) -> None:
    client = sockets.Client("part", "lib", ("run", "with"), ("run", "without"), "nothing", batches=16, warm_ups=2)
    found = sockets.measure("python", client, "stream", True)
    url = "ws://127.0.0.1:1234/v1/realtime?intent=transcription"
    rounds = [["python", "frames.py"], ["run", "with", url], ["run", "without", url]]
    assert [program.words for program in programs] == rounds * 2
    _, ours, peer = programs[:3]
    # Warm, then as many as the peer takes in 0.12 s of CPU, in whole batches of 64.
    assert ours.asked == ["stream 1024"] * 2 + ["stream 1216"] * 4
    assert peer.asked == ["stream 1024"] * 3 + ["stream 1216"] * 4
    assert (found.ours, found.peer, found.unit) == (pytest.approx(9_800), pytest.approx(10_000), "messages/CPU s")
    assert (found.ratio, found.target, found.met) == (pytest.approx(0.98), "≥ 0.97 ×", True)
    assert sockets.measure("python", client, "echo", True)[-2:] == ("≥ 0.99 ×", False)
    assert programs[-1].words[-1] == "ws://127.0.0.1:1234/echo"


def test_the_figures_of_sockets_are_called_what_those_that_were_kept_are_called(
    programs: list[Counted], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(node._env, "environment", lambda *_, **__: "python")
    monkeypatch.setattr(node._env, "wheel", lambda: None)
    monkeypatch.setattr(node._env, "node", lambda: node._env.Node("20.0.0", "node", "npm"))
    monkeypatch.setattr(node._env, "npm_project", lambda _: tmp_path)
    for part, other in ((node, "start"), (shim, "imports"), (shim, "rule")):
        monkeypatch.setattr(part, other, lambda *_: ())
    found = [*shim.measure(True), *node.measure(True)]
    kept = [figure for figure in report.Results.load().figures if figure.unit == "messages/CPU s"]
    assert len(kept) == 10
    told = ("section", "name", "unit", "peer_name", "target")
    assert [[getattr(figure, name) for name in told] for figure in found] == [
        [getattr(figure, name) for name in told] for figure in kept
    ]


def test_the_heading_names_each_package_in_the_version_that_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clients' environment has no pybase64, the test kit's has no client."""
    installed = {
        "clients": {"wrapt": "2.5.2", "websockets": "17.4", "aiohttp": "3.14.5", "websocket-client": "1.9.2"},
        "kit": {"wrapt": "2.5.2", "websockets": "16.0", "pybase64": "1.4.2"},
    }

    def environment(requirements: Any = (), *, wheel: Any, extras: Any = ()) -> str:
        assert (list(requirements), extras) in ((list(shim.CLIENTS), ()), ([], ["testkit"]))
        return "kit" if extras else "clients"

    def run(words: list[str], **options: Any) -> Any:
        python, _, _, *packages = words
        return types.SimpleNamespace(stdout=json.dumps({name: installed[python].get(name) for name in packages}))

    monkeypatch.setattr(report._env, "wheel", lambda: None)
    monkeypatch.setattr(report._env, "node", lambda: None)
    monkeypatch.setattr(report._env, "environment", environment)
    monkeypatch.setattr(report.subprocess, "run", run)
    assert (
        report.Results.begin(False)
        .heading()
        .endswith(", wrapt 2.5.2, websockets 17.4, aiohttp 3.14.5, websocket-client 1.9.2, pybase64 1.4.2")
    )


def test_a_package_that_is_not_installed_has_no_version() -> None:
    assert report._versions(sys.executable, ["wrapt", "no-such-package-anywhere"]) == {
        "wrapt": metadata.version("wrapt"),
        "no-such-package-anywhere": None,
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "mock,shim2"], "there is no part shim2; there are shim, node, mock, sessions, life, workers"),
        (["--plot", "picture.gif"], "picture.gif is neither .png nor .svg"),
        (["--save", "--only", "shim"], "--save needs every figure: leave out --only"),
        (["--only", "shim", "--plot", "a.svg"], "--plot draws what the part sessions measures: add it to --only"),
    ],
)
def test_wrong_use_is_one_sentence_and_measures_nothing(words: list[str], message: str) -> None:
    done = subprocess.run([sys.executable, BENCH, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr.splitlines()[-1]


def test_a_program_that_says_no_json_is_one_sentence() -> None:
    with pytest.raises(processes._env.Unavailable) as raised:
        processes.answer([sys.executable, "-c", "print('surprise')"])
    assert str(raised.value) == "a program said something unexpected: Expecting value: line 1 column 1 (char 0)"


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (bench._env.Unavailable("the server closed the connection"), "the server closed the connection"),
        (ConnectionResetError(104, "Connection reset by peer"), "[Errno 104] Connection reset by peer"),
        (subprocess.TimeoutExpired("python -c import x\nx.y()", 120), "Command 'python -c import x"),
    ],
)
def test_a_part_that_cannot_be_measured_is_named_and_loses_nothing_of_the_others(
    problem: Exception, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def broken(quick: bool) -> Iterator[Any]:
        yield figure.single("first", "before it broke", "ms", [1.0])
        raise problem

    def whole(quick: bool) -> Iterator[Any]:
        yield figure.single("second", "after it", "ms", [2.0])

    out = tmp_path / "figures.json"
    monkeypatch.setattr(bench, "SECTIONS", {"one": broken, "two": whole})
    monkeypatch.setattr(bench.report.Results, "begin", lambda quick: report.Results("today", "here", {}))
    monkeypatch.setattr(bench.report, "save", lambda results: pytest.fail("what is not whole was saved"))
    monkeypatch.setattr(sys, "argv", ["bench.py", "--save", "--json", str(out)])
    with pytest.raises(bench._env.Unavailable) as ended:
        bench.main()
    assert str(ended.value) == (f"not all was measured; nothing is saved: one: {said}")
    assert [found["name"] for found in json.loads(out.read_text(encoding="utf-8"))["figures"]] == [
        "before it broke",
        "after it",
    ]
    assert re.findall("before it broke|after it", capsys.readouterr().out) == ["before it broke", "after it"]


def test_whatever_target_is_missed_something_is_profiled_that_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(why, "_PROFILES", dict.fromkeys(why._PROFILES, lambda missed: f"why {missed.name}"))
    missed = [found._replace(met=False) for found in report.Results.load().figures if found.target]
    assert why.reasons(missed) == {found.name: f"why {found.name}" for found in missed}


@pytest.mark.heavy
@pytest.mark.client
@pytest.mark.timeout(600)
def test_a_part_of_it_prints_and_keeps_every_figure_beside_its_peer(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    words = ["--quick", "--only", "mock,workers", "--json", str(out)]
    done = subprocess.run([sys.executable, BENCH, *words], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    figures = json.loads(out.read_text(encoding="utf-8"))["figures"]
    assert [found["peer_name"] for found in figures if found["target"]][:3] == [
        "aimock 1.43.0",
        "websockets, read and discard",
        "`json.loads` + `b64decode`",
    ]
    for found in figures:
        assert found["ours"] > 0
        assert found["name"].replace("`", "") in done.stdout
