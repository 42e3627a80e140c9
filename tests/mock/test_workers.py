"""``rtstt-shim mock --workers N`` as a person runs it."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from talk import KEY
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

pytestmark = pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="this system has no SO_REUSEPORT")

COMMAND = "import sys; from rtstt_core.cli import main; sys.exit(main())"
NO_SHARING = "import socket; vars(socket).pop('SO_REUSEPORT', None); "


@contextlib.contextmanager
def running(*arguments, code=COMMAND):
    process = subprocess.Popen(
        [sys.executable, "-c", code, "mock", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def url_of(process) -> str:
    line = process.stdout.readline()
    found = re.fullmatch(r"listening on (ws://127\.0\.0\.1:\d+/v1/realtime)\n", line)
    assert found, (line, process.stderr.read() if process.poll() is not None else "")
    return found[1]


def open_session(url):
    return connect(f"{url}?intent=transcription", additional_headers={"Authorization": f"Bearer {KEY}"})


def workers_of(process) -> list[int]:
    """The processes that listen: those that multiprocessing began, its resource tracker left out."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            pid = int(folder.name)
            if os.getpgid(pid) == process.pid and b"spawn_main" in (folder / "cmdline").read_bytes():
                found.append(pid)
    return found


def is_gone(pid) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_every_worker_serves_the_port_that_the_one_first_line_names() -> None:
    with running("--workers", "2", "--seed", "7", "--json-log") as process, contextlib.ExitStack() as clients:
        url = url_of(process)
        ids = set()
        for _ in range(100):  # the system spreads them by chance; that one worker gets all is one in 2 ** 99
            client = clients.enter_context(open_session(url))
            ids.add(json.loads(client.recv())["session"]["id"])
        assert len(ids) == 100  # no worker has the identifiers of another, even with a seed
        process.send_signal(signal.SIGTERM)
        output, log = process.communicate(timeout=60)
    numbers = [json.loads(line)["session"] for line in log.splitlines()]
    assert output == ""
    assert max(numbers) < 100  # each worker counts its own sessions
    assert min(numbers) == 1


@pytest.mark.parametrize(
    ("whole_group", "number"),
    [
        pytest.param(False, signal.SIGTERM, id="the command alone, terminated"),
        pytest.param(False, signal.SIGINT, id="the command alone, interrupted", marks=pytest.mark.heavy),
        pytest.param(True, signal.SIGINT, id="the whole group, as Ctrl-C does"),
        pytest.param(True, signal.SIGTERM, id="the whole group, terminated", marks=pytest.mark.heavy),
    ],
)
def test_a_signal_ends_them_all_cleanly(number, whole_group) -> None:
    with running("--workers", "2") as process:
        with open_session(url_of(process)) as client:
            assert json.loads(client.recv())["type"] == "session.created"
            (os.killpg if whole_group else os.kill)(process.pid, number)
            with pytest.raises(ConnectionClosed, match="1001"):
                client.recv()
        assert process.wait(60) == 0
        assert process.stderr.read() == ""


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="this system has no /proc")
def test_no_worker_outlives_a_command_that_was_killed() -> None:
    with running("--workers", "2") as process:
        url = url_of(process)
        workers = workers_of(process)
        assert len(workers) == 2
        with open_session(url) as client:
            assert json.loads(client.recv())["type"] == "session.created"
            process.kill()
            with pytest.raises(ConnectionClosed, match="1001"):
                client.recv()
        deadline = time.monotonic() + 60
        while not all(map(is_gone, workers)):
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="this system has no /proc")
def test_a_worker_that_is_killed_ends_the_mock_with_one_sentence() -> None:
    with running("--workers", "2") as process:
        url_of(process)
        os.kill(workers_of(process)[0], signal.SIGKILL)
        _, error = process.communicate(timeout=60)
        assert process.returncode == 1
    assert re.fullmatch(r"rtstt-shim: worker [12] of 2 was killed by signal 9, so the mock has ended\n", error)


def test_the_control_api_is_off_since_it_would_reach_one_worker_only() -> None:
    with running("--workers", "2") as process:
        address = re.search(r"127\.0\.0\.1:(\d+)", url_of(process))
        with socket.create_connection(("127.0.0.1", int(address[1]))) as client:
            client.sendall(b"GET /_mock/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--workers", "0"], COMMAND, "--workers 0 is not a number of processes; choose 1 or more"),
        (
            ["--workers", "2", "--virtual-time"],
            COMMAND,
            "--virtual-time needs one clock, and each worker has its own; leave out --workers",
        ),
        (
            ["--workers", "2", "--profile", "opnai"],
            COMMAND,
            "unknown profile 'opnai'; the mock knows openai, gateway, azure",
        ),
        (["--workers", "2", "--port", "70000"], COMMAND, "--port 70000 is not a port; choose 0 to 65535"),
        (
            ["--workers", "2"],
            NO_SHARING + COMMAND,
            "this system cannot share a port between processes (SO_REUSEPORT); leave out --workers",
        ),
    ],
)
def test_wrong_use_is_one_sentence(arguments, code, message) -> None:
    with running(*arguments, code=code) as process:
        output, error = process.communicate(timeout=60)
        assert (process.returncode, output, error) == (2, "", f"rtstt-shim: {message}\n")


def test_a_port_that_other_workers_serve_is_in_use() -> None:
    with running("--workers", "2") as first:
        port = url_of(first).partition(":")[2].rpartition(":")[2].partition("/")[0]
        with running("--workers", "2", "--port", port) as second:
            _, error = second.communicate(timeout=60)
            assert second.returncode == 2
    assert error.startswith(f"rtstt-shim: cannot listen on 127.0.0.1 port {port}: ")
    assert error.count("\n") == 1


@pytest.mark.heavy
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="this system has no /proc")
def test_a_worker_that_hangs_does_not_hold_the_command() -> None:
    with running("--workers", "2") as process:
        url_of(process)
        hung = workers_of(process)[0]
        os.kill(hung, signal.SIGSTOP)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert is_gone(hung)
