"""``rtstt-shim mock`` as a person runs it."""

import atexit
import gc
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
import weakref
from pathlib import Path

import pytest
from talk import KEY, append, silence
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from rtstt_testkit.commands.mock import collecting_rarely


def start(*arguments):
    code = "import sys; from rtstt_core.cli import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", code, "mock", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_address_serves_and_ends_cleanly(number) -> None:
    process = start()
    try:
        line = process.stdout.readline()
        found = re.fullmatch(r"listening on (ws://127\.0\.0\.1:\d+/v1/realtime)\n", line)
        assert found, (line, process.stderr.read() if process.poll() is not None else "")
        url = found[1] + "?intent=transcription"
        with connect(url, additional_headers={"Authorization": f"Bearer {KEY}"}) as client:
            assert json.loads(client.recv())["type"] == "session.created"
            process.send_signal(number)
            with pytest.raises(Exception, match="1001"):
                client.recv()
        assert process.wait(60) == 0
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.communicate()


def test_it_ends_with_its_standard_input_where_it_is_asked_to() -> None:
    code = "import sys; from rtstt_core.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "mock", "--exit-on-eof"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline().startswith("listening on ws://127.0.0.1:")
        process.stdin.write("anything\n")
        process.stdin.close()
        assert process.wait(60) == 0


def test_garbage_is_looked_for_rarely_while_it_serves_and_as_before_afterwards(monkeypatch) -> None:
    at_exit = []

    class Cycle:
        pass

    before = gc.get_threshold()
    monkeypatch.setattr(atexit, "register", at_exit.append)
    with collecting_rarely():
        assert gc.get_threshold()[:2] == before[:2]
        assert gc.get_threshold()[2] > before[2]
        garbage = Cycle()
        garbage.itself = garbage
        gone = weakref.ref(garbage)
        del garbage
        gc.collect()
        assert gone() is None
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)
    assert at_exit == [gc.freeze]  # what is left then goes with the process


def test_its_options_choose_the_profile_and_the_moment() -> None:
    process = start("--refuse", "on-update", "--profile", "openai", "--host", "127.0.0.1")
    try:
        url = process.stdout.readline().split()[-1]
        target = f"{url}?intent=transcription&model=whisper-1"
        with connect(target, additional_headers={"Authorization": f"Bearer {KEY}"}) as client:
            assert json.loads(client.recv())["type"] == "session.created"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()


def test_its_account_is_refused_and_still_makes_client_secrets() -> None:
    process = start("--account", "spend-limit")
    try:
        url = process.stdout.readline().split()[-1]
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        body = json.dumps({"session": {"type": "transcription"}}).encode()
        request = urllib.request.Request(f"{url.replace('ws://', 'http://')}/client_secrets", body, headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            key = json.load(response)["value"]
        for query, credentials in (("?intent=transcription", KEY), ("", key)):
            with connect(url + query, additional_headers={"Authorization": f"Bearer {credentials}"}) as client:
                assert json.loads(client.recv())["error"]["code"] == "organization_spend_limit_exceeded"
                with pytest.raises(ConnectionClosed) as caught:
                    client.recv()
                assert caught.value.rcvd.code == 1013
    finally:
        process.kill()
        process.communicate()


def test_a_commit_without_speech_is_accepted_if_asked_for() -> None:
    process = start("--lenient-commit")
    try:
        url = process.stdout.readline().split()[-1]
        with connect(f"{url}?intent=transcription", additional_headers={"Authorization": f"Bearer {KEY}"}) as client:
            for event in (append(silence(400)), {"type": "input_audio_buffer.commit"}):
                client.send(json.dumps(event))
            assert [json.loads(client.recv())["type"] for _ in range(2)] == [
                "session.created",
                "input_audio_buffer.committed",
            ]
    finally:
        process.kill()
        process.communicate()


def test_events_can_be_logged_and_the_control_api_asked() -> None:
    process = start("--json-log", "--seed", "7", "--latency", "instant")
    try:
        url = process.stdout.readline().split()[-1]
        with connect(f"{url}?intent=transcription", additional_headers={"Authorization": f"Bearer {KEY}"}) as client:
            created = json.loads(client.recv())
        base = url.replace("ws://", "http://").removesuffix("/v1/realtime")
        with urllib.request.urlopen(f"{base}/_mock/sessions", timeout=60) as response:
            assert json.load(response)["sessions"][0]["kind"] == "transcription"
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=60)
        line = json.loads(log.splitlines()[0])
        assert (line["session"], line["sender"], line["event"]) == (1, "server", created)
        last = json.loads(log.splitlines()[-1])
        assert (last["session"], last["sender"]) == (1, "client")
        assert last["event"] == {"type": "(closed)", "code": 1000, "reason": ""}
    finally:
        process.kill()
        process.communicate()


def refused(*arguments) -> str:
    """The one sentence that the command ends with; in a process of its own, since importing the shim activates it."""
    process = start(*arguments)
    output, error = process.communicate(timeout=60)
    assert (process.returncode, output, error.count("\n")) == (2, "", 1), error
    return error


def test_a_port_in_use_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        error = refused("--port", str(port))
    assert error.startswith(f"rtstt-shim: cannot listen on 127.0.0.1 port {port}: ")
    assert error.endswith("; choose another --port or --host\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--profile", "opnai"],
            "rtstt-shim: unknown profile 'opnai'; the mock knows openai, gateway, azure\n",
        ),
        pytest.param(
            ["--refuse", "never"],
            "rtstt-shim: unknown refuse 'never'; the mock knows at-connect, on-update\n",
            marks=pytest.mark.heavy,
        ),
        pytest.param(
            ["--max-sessions", "0"],
            "rtstt-shim: max_sessions is 0; it must be 1 or more, or None for any number\n",
            marks=pytest.mark.heavy,
        ),
        pytest.param(
            ["--port", "70000"],
            "rtstt-shim: --port 70000 is not a port; choose 0 to 65535\n",
            marks=pytest.mark.heavy,
        ),
        pytest.param(
            ["--account", "x"],
            "rtstt-shim: unknown account 'x'; the mock knows no-credit, quota, spend-limit, no-model\n",
            marks=pytest.mark.heavy,
        ),
        (
            ["--host", "0.0.0.0"],
            "rtstt-shim: --host 0.0.0.0 opens the control API to other machines; protect it with --token SECRET, or "
            "choose --no-token or --no-control\n",
        ),
        (
            ["--port", "http"],
            "rtstt-shim: argument --port: invalid int value: 'http'; see `rtstt-shim mock --help`\n",
        ),
    ],
)
def test_wrong_use_is_one_sentence(arguments, message) -> None:
    assert refused(*arguments) == message


@pytest.mark.parametrize(
    ("arguments", "caution"),
    [
        ([], ""),
        pytest.param(["--host", "localhost"], "", marks=pytest.mark.heavy),
        (
            ["--host", "0.0.0.0", "--no-token"],
            "rtstt-shim: --host 0.0.0.0 lets every machine that can connect to this one read and control its sessions "
            "under /_mock/; leave --host out to serve this machine only.\n",
        ),
        (
            ["--host", "0.0.0.0", "--no-control"],
            "rtstt-shim: --host 0.0.0.0 lets every machine that can connect to this one open sessions; leave --host "
            "out to serve this machine only.\n",
        ),
    ],
)
def test_it_serves_this_machine_alone_and_warns_about_any_other_host(arguments, caution) -> None:
    process = start(*arguments)
    try:
        line = process.stdout.readline()
        host = arguments[1] if arguments else "127.0.0.1"
        assert line.startswith(f"listening on ws://{host}:")
        if "--no-control" not in arguments:
            assert process.stdout.readline().startswith(f"inspector at http://{host}:")
        process.send_signal(signal.SIGTERM)
        output, error = process.communicate(timeout=60)
        assert (process.returncode, output, error) == (0, "", caution)
    finally:
        process.kill()
        process.communicate()


def test_a_host_that_is_not_ours_is_one_sentence() -> None:
    assert "cannot listen on 192.0.2.1 port 0: " in refused("--host", "192.0.2.1", "--no-control")


def asked(url, headers=(), method="GET"):
    """The status of a request to the control API."""
    base = url.replace("ws://0.0.0.0", "http://127.0.0.1").replace("ws://", "http://").removesuffix("/v1/realtime")
    request = urllib.request.Request(f"{base}/_mock/sessions", headers=dict(headers), method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_a_token_protects_the_control_api_beyond_loopback() -> None:
    process = start("--host", "0.0.0.0", "--token", "of-the-test")
    try:
        url = process.stdout.readline().split()[-1]
        assert asked(url) == 401
        assert asked(url, {"Authorization": "Bearer wrong"}) == 401
        assert asked(url, {"Authorization": "Bearer of-the-test"}) == 200
        process.send_signal(signal.SIGTERM)
        _, error = process.communicate(timeout=60)
        assert "of-the-test" not in error
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_an_address_that_cannot_be_written_is_one_sentence() -> None:
    code = "import sys; from rtstt_core.cli import main; sys.exit(main())"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code, "mock"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert (done.returncode, done.stderr) == (
        1,
        "rtstt-shim: cannot write the address to stdout: No space left on device\n",
    )


def talk(url, times: int) -> None:
    for _ in range(times):
        with connect(f"{url}?intent=transcription", additional_headers={"Authorization": f"Bearer {KEY}"}) as client:
            assert json.loads(client.recv())["type"] == "session.created"
            client.send(json.dumps({"type": "x", "padding": "y" * 4000}))
            assert json.loads(client.recv())["type"] == "error"


@pytest.mark.parametrize("gone", [True, False], ids=["the reader is gone", "nobody reads"])
def test_a_log_that_is_not_read_delays_no_session(gone) -> None:
    code = "import sys; from rtstt_core.cli import main; sys.exit(main())"
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", code, "mock", "--json-log"], stdout=subprocess.PIPE, stderr=writing, text=True
    )
    try:
        os.close(writing)
        if gone:
            os.close(reading)
        talk(process.stdout.readline().split()[-1], 40)  # more than a pipe holds
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()
        if not gone:
            os.close(reading)
