"""The parts of scripts/bench.py that can make a figure wrong."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
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
shim: Any = importlib.import_module("_bench.shim")
report: Any = importlib.import_module("_bench.report")
processes: Any = importlib.import_module("_bench.processes")
bench: Any = importlib.import_module("bench")
BENCH = Path(__file__).parents[2] / "scripts" / "bench.py"


def test_what_is_compared_is_measured_in_turn_in_the_opposite_order_every_other_round() -> None:
    order = []

    def measure(name: str, value: float) -> float:
        order.append(name)
        return value

    samples = figure.in_turn(3, lambda: measure("ours", 3.0), lambda: measure("peer", 2.0))
    assert order == ["ours", "peer", "peer", "ours", "ours", "peer"]
    assert samples.ratios == [1.5, 1.5, 1.5]


def test_the_ratio_is_the_median_of_the_rounds_and_not_that_of_the_medians() -> None:
    samples = figure.Samples([1.0, 20.0, 3.0], [1.0, 10.0, 3.0])
    found = figure.beside("name", "ms", samples, "peer", most=1.15)
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
def test_a_target_is_reached_or_missed(options: dict[str, float], ratio: float, met: bool) -> None:
    samples = figure.Samples([ratio], [1.0])
    assert figure.beside("name", "ms", samples, "peer", **options).met is met


def added(ours: list[float], peer: list[float], **options: float) -> Any:
    return figure.added("name", "µs", figure.Samples(ours, peer), "peer", **options)


def test_what_may_be_added_is_the_larger_of_a_number_and_a_share() -> None:
    assert added([1008.0], [1000.0], most=2, share=0.01).met is True
    assert added([1008.0], [1000.0], most=2, share=0.005).met is False
    assert (added([9.0], [6.0], most=3).met, added([9.1], [6.0], most=3).met) == (True, False)


def test_nothing_may_be_added_beyond_the_noise() -> None:
    """The median difference is 0.2: within half the interquartile range of the first, beyond that of the second."""
    assert added([10.2, 11.2, 9.2], [10.0] * 3, most=0).met is True
    assert added([10.2, 10.3, 10.1], [10.0] * 3, most=0).met is False


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.01234, "0.0123"), (1.5, "1.5"), (64, "64"), (1000, "1,000"), (71234.5, "71,200")]
)
def test_numbers_have_three_significant_digits(value: float, text: str) -> None:
    assert figure.shown(value) == text


@pytest.mark.parametrize(
    ("found", "ours"),
    [
        (figure.single("name", "µs", [10.9, 11.0, 11.4]), "11 µs ± 0.1"),
        (figure.single("name", "µs", [11.0, 11.0 + 4e-15, 11.0]), "11 µs"),
        (added([6.43, 6.45, 6.51], [6.3] * 3, most=3), "+0.15 µs ± 0.02"),
        (added([6.1], [6.3], most=3), "-0.2 µs"),
    ],
)
def test_a_spread_is_shown_where_it_matters(found: Any, ours: str) -> None:
    assert figure.cells(found)[1] == ours


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
    lateness._parse(socket, stream[:100], 1.0)
    lateness._parse(socket, socket.unread + stream[100:], 1.0)
    assert lateness.stopped == pytest.approx([0.04])
    assert lateness.completed == pytest.approx([0.04])


class FakeProgram:
    """A client with a constant cost of a message, 100 µs without the shim and 102 with it; or its server."""

    def __init__(self, words: Any, **options: Any) -> None:
        self.words = [str(word) for word in words]
        self.cost = 100e-6 if "without" in self.words else 102e-6
        self.asked: list[str] = []

    def port(self) -> int:
        return 1234

    def ask(self, words: str) -> dict[str, float]:
        self.asked.append(words)
        return {"cpu": int(words.split()[1]) * self.cost}

    def __enter__(self) -> FakeProgram:
        return self

    def __exit__(self, *_: object) -> None: ...


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> list[FakeProgram]:
    """The programs that the measurement of sockets starts; none of them runs."""
    started: list[FakeProgram] = []

    def start(words: Any, **options: Any) -> FakeProgram:
        started.append(FakeProgram(words, **options))
        return started[-1]

    monkeypatch.setattr(sockets, "Program", start)
    monkeypatch.setattr(sockets, "python_program", lambda python, *words, **options: start([python, *words]))
    return started


def test_a_client_with_the_shim_is_measured_beside_the_same_without_it_at_one_server(
    programs: list[FakeProgram],
) -> None:
    client = sockets.Client("lib", ("run", "with"), ("run", "without"), "nothing", warm_up=16)
    found = sockets.measure("python", client, "stream", True)
    url = "ws://127.0.0.1:1234/v1/realtime?intent=transcription"
    rounds = [["python", "frames.py"], ["run", "with", url], ["run", "without", url]]
    assert [program.words for program in programs] == rounds * 2
    _, ours, peer = programs[:3]
    # Warm, then as many as the peer takes in 0.03 s of CPU, in whole batches of 64: three rounds of nine pairs.
    assert ours.asked == ["stream 1024"] * 2 + ["stream 320"] * 27
    assert peer.asked == ["stream 1024"] * 2 + ["stream 320"] * 27
    assert (found.ours, found.peer, found.unit) == (pytest.approx(2), pytest.approx(100), "µs")
    assert (found.target, found.met) == ("≤ 3 µs more", True)
    assert sockets.measure("python", client, "echo", True)[-3:-1] == ("0 µs more, within the noise", False)
    assert programs[-1].words[-1] == "ws://127.0.0.1:1234/echo"


def test_each_client_is_measured_with_the_traffic_that_is_for_it(programs: list[FakeProgram]) -> None:
    both = [
        sockets.Client(name, ("run", name, "with"), ("run", name, "without"), "nothing", warm_up=16, kinds=kinds)
        for name, kinds in (("one", sockets.PLAIN), ("two", ("stream", "packed")))
    ]
    names = [figure.name for figure in sockets.figures("python", both, True)]
    assert [name.rpartition(": ")[2] for name in names] == ["one", "one", "two", "one", "one", "two"]
    assert names[-1] == "CPU of a compressed delta on a watched socket: two"


def test_each_package_has_the_version_of_the_environment_that_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clients' environment has no pybase64, the test kit's has no client."""
    installed = {
        "clients": {"wrapt": "2.5.2", "websockets": "17.4", "aiohttp": "3.14.5", "websocket-client": "1.9.2"},
        "kit": {"wrapt": "2.5.2", "websockets": "16.0", "pybase64": "1.4.2"},
    }

    def environment(requirements: Any = (), *, wheel: Any, extras: Any = ()) -> str:
        assert (list(requirements), extras) in ((list(shim.CLIENTS), ()), ([], ["testkit"]))
        return "kit" if extras else "clients"

    monkeypatch.setattr(report._env, "wheel", lambda: None)
    monkeypatch.setattr(report._env, "node", lambda: None)
    monkeypatch.setattr(report._env, "environment", environment)
    monkeypatch.setattr(report, "answer", lambda words: {name: installed[words[0]].get(name) for name in words[3:]})
    assert report.heading(report.conditions(False)).endswith(
        ", wrapt 2.5.2, websockets 17.4, aiohttp 3.14.5, websocket-client 1.9.2, pybase64 1.4.2"
    )


def test_a_package_that_is_not_installed_has_no_version() -> None:
    assert report._versions(sys.executable, ["wrapt", "no-such-package-anywhere"]) == {
        "wrapt": metadata.version("wrapt"),
        "no-such-package-anywhere": None,
    }


def test_saved_parts_replace_the_same_parts_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(report._env, "ROOT", tmp_path)
    monkeypatch.setattr(report, "plot", lambda *_: pytest.fail("no sessions were measured"))

    def part(date: str, value: float) -> Any:
        where = {"date": date, "machine": "here", "versions": {"Python": "3.12.1"}}
        return report.part(where, [figure.single("name", "ms", [value])], [])

    report.RESULTS.write_text(report.to_json({"shim": part("Monday", 1.0), "node": part("Monday", 2.0)}))
    report.save({"shim": part("Tuesday", 3.123456)})
    saved = report.load()
    assert [(saved[name]["date"], saved[name]["figures"][0]["ours"]) for name in ("shim", "node")] == [
        ("Tuesday", 3.123),
        ("Monday", 2.0),
    ]
    text = report.markdown()
    assert "`python3 scripts/bench.py --only shim`\n\nMeasured Tuesday on here; Python 3.12.1.\n\n| figure |" in text
    assert "| name | 3.12 ms |" in text
    assert "`python3 scripts/bench.py --only workers`\n\nNot measured yet." in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--only", "mock,shim2"],
            "unknown part shim2; the parts are shim, node, mock, inspector, sessions, life, strain, recording, workers",
        ),
        (["--plot", "picture.gif"], "picture.gif is neither .png nor .svg"),
        (["--only", "shim", "--plot", "a.svg"], "--plot draws the part sessions: add it to --only"),
    ],
)
def test_a_usage_error_is_one_sentence_and_measures_nothing(words: list[str], message: str) -> None:
    done = subprocess.run([sys.executable, BENCH, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr.splitlines()[-1]


def test_output_that_is_not_json_is_one_sentence() -> None:
    with pytest.raises(processes._env.SetupError) as raised:
        processes.answer([sys.executable, "-c", "print('surprise')"])
    assert str(raised.value) == "a program printed no JSON: Expecting value: line 1 column 1 (char 0)"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (bench._env.SetupError("the server closed the connection"), "the server closed the connection"),
        (ConnectionResetError(104, "Connection reset by peer"), "[Errno 104] Connection reset by peer"),
        (subprocess.TimeoutExpired("python -c import x\nx.y()", 120), "Command 'python -c import x"),
    ],
)
def test_a_part_that_fails_is_named_and_the_others_are_measured(
    error: Exception, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def broken(quick: bool) -> Iterator[Any]:
        yield figure.single("before it broke", "ms", [1.0])
        raise error

    def whole(quick: bool) -> Iterator[Any]:
        yield figure.single("after it", "ms", [2.0])

    out = tmp_path / "figures.json"
    where = {"date": "today", "machine": "here", "versions": {}}
    monkeypatch.setattr(report, "PARTS", {"one": ("First", broken), "two": ("Second", whole)})
    monkeypatch.setattr(report, "conditions", lambda quick: where)
    monkeypatch.setattr(report, "save", lambda parts: pytest.fail("incomplete results were saved"))
    monkeypatch.setattr(sys, "argv", ["bench.py", "--save", "--json", str(out)])
    with pytest.raises(bench._env.SetupError) as ended:
        bench.main()
    assert str(ended.value) == (f"not everything was measured; nothing is saved: one: {message}")
    parts = json.loads(out.read_text(encoding="utf-8"))["parts"]
    assert [parts[name]["figures"][0]["name"] for name in ("one", "two")] == ["before it broke", "after it"]
    assert re.findall("before it broke|after it", capsys.readouterr().out) == ["before it broke", "after it"]


@pytest.mark.heavy
@pytest.mark.client
@pytest.mark.timeout(600)
def test_a_part_prints_and_writes_every_figure_beside_its_peer(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    words = ["--quick", "--only", "mock,workers", "--json", str(out)]
    done = subprocess.run([sys.executable, BENCH, *words], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    parts = json.loads(out.read_text(encoding="utf-8"))["parts"]
    figures = [found for part in parts.values() for found in part["figures"]]
    assert [found["peer_name"] for found in figures if found["target"]][:3] == [
        "aimock 1.43.0",
        "websockets, read and discard",
        "`json.loads` + `b64decode`",
    ]
    for found in figures:
        assert found["ours"] > 0
        assert found["name"].replace("`", "") in done.stdout
