"""`rtstt-shim/testing`: how the mock is found, what it offers, and that it never outlives the test process."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from . import npm
from .npm_package import project, unpacked

pytestmark = [pytest.mark.node, pytest.mark.skipif(os.name == "nt", reason="the programs are shell scripts")]

# A client on the WebSocket of undici would need Node.js 22; a request for a secret shows that the mock is there.
REPORT = """
import { startRealtimeMock } from 'rtstt-shim/testing';
const options = JSON.parse(process.env.APP_OPTIONS ?? '{}');
try {
  const mock = await startRealtimeMock(options);
  const addresses = [`${mock.baseUrl}/../_mock/health`, mock.inspector];
  const [health, page] = await Promise.all(addresses.map((address) => fetch(address)));
  const found = { url: mock.url, health: health.status, page: page.status, sessions: await mock.sessions() };
  found.verify = await mock.verify().then(() => 'followed', (error) => error.message);
  found.explain = await mock.explain();
  await mock.stop();
  console.log(JSON.stringify(found));
} catch (error) {
  console.log(JSON.stringify({ error: error.message }));
}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package and a program that starts a mock."""
    folder = tmp_path_factory.mktemp("testing")
    unpacked(folder / "node_modules")
    (folder / "report.mjs").write_text(REPORT, encoding="utf-8")
    return folder


@pytest.fixture
def bin(tmp_path: Path) -> Path:
    """A folder for programs, with Node.js."""
    bin = tmp_path / "bin"
    bin.mkdir()
    (bin / "node").symlink_to(npm.node("system"))
    return bin


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def python_command(path: Path) -> Path:
    """The Python package's command, as pip installs it."""
    return script(path, f'exec {sys.executable} -m rtstt_core "$@"')


def environ(bin: Path, **env: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RTSTT_MOCK")}
    return {**kept, "PATH": f"{bin}:/usr/bin:/bin", "NODE_OPTIONS": "", **env}


def report(folder: Path, bin: Path, options: Any = None, **env: str) -> Any:
    done = subprocess.run(
        [bin / "node", folder / "report.mjs"],
        env=environ(bin, APP_OPTIONS=json.dumps(options or {}), **env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    return json.loads(done.stdout)


def test_it_starts_the_mock_of_the_python_package_and_knows_its_control_api(folder: Path, bin: Path) -> None:
    python_command(bin / "rtstt-shim")
    found = report(folder, bin, {"transcripts": ["Hello."], "profile": "gateway", "seed": 7, "virtualTime": True})
    assert found.pop("url").startswith("ws://127.0.0.1:")
    verify, explain = found.pop("verify"), found.pop("explain")
    assert verify.startswith("1 of 1 transcripts were not used: 'Hello.'.")
    assert explain.startswith("No client has connected to ws://127.0.0.1:")
    assert found == {"health": 200, "page": 200, "sessions": []}


def test_a_script_with_a_mistake_and_an_unknown_option_are_one_sentence(folder: Path, bin: Path) -> None:
    python_command(bin / "rtstt-shim")
    assert report(folder, bin, {"faults": [{"action": "fall", "on": "delta"}]})["error"].startswith(
        "script, line 1: `fault[1]` does not fit: unknown action 'fall'"
    )
    assert report(folder, bin, {"profile": "opnai"}) == {
        "error": f"the mock was not started by {bin / 'rtstt-shim'}: unknown profile 'opnai'; the mock knows openai, "
        "gateway, azure"
    }
    assert report(folder, bin, {"transcript": []})["error"].startswith(
        "there is no option 'transcript'; the options are"
    )


def test_without_python_it_is_one_sentence(folder: Path, bin: Path, tmp_path: Path) -> None:
    path = str(bin)
    done = subprocess.run(
        [bin / "node", folder / "report.mjs"],
        env={"PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert json.loads(done.stdout) == {
        "error": "the mock is a Python program, and neither rtstt-shim, uvx, pipx nor a container image "
        "rtstt-shim-mock is installed; run `pip install 'rtstt-shim[testkit]'` (Python 3.10 or newer) or install uv, "
        "or name a command in RTSTT_MOCK"
    }


@pytest.mark.heavy
def test_the_first_way_that_there_is_starts_it(folder: Path, bin: Path, tmp_path: Path) -> None:
    """RTSTT_MOCK, rtstt-shim on PATH, uvx, pipx, a container: each is tried before the next."""
    command = python_command(tmp_path / "the mock")
    version = json.loads((folder / "node_modules" / "rtstt-shim" / "package.json").read_text(encoding="utf-8"))[
        "version"
    ]
    log = tmp_path / "log"

    def started(**env: str) -> str:
        log.unlink(missing_ok=True)
        assert report(folder, bin, **env)["health"] == 200
        return log.read_text(encoding="utf-8").strip()

    # docker run … --publish 127.0.0.1:PORT:8080 IMAGE ARGUMENTS: what the image's ENTRYPOINT runs, outside a container.
    runs = (
        'while [ "$1" != the-image ]; do [ "$1" = --publish ] && port=$2; shift; done; shift; port=${port#127.0.0.1:}; '
        f'exec "{command}" mock --port "${{port%:8080}}" "$@"'
    )
    script(bin / "docker", f'echo "docker $*" >> {log}\ncase "$1" in image) [ "$3" = the-image ];; *) {runs};; esac')
    image = {"RTSTT_MOCK_IMAGE": "the-image"}
    inspected, run = started(**image).splitlines()
    assert inspected == "docker image inspect the-image"
    assert run.startswith("docker run --rm --interactive --publish 127.0.0.1:")

    script(bin / "pipx", f'echo "pipx $*" >> {log}; shift 4; exec "{command}" "$@"')
    assert started(**image) == f"pipx run --spec rtstt-shim[testkit]=={version} rtstt-shim mock --exit-on-eof"
    script(bin / "uvx", f'echo "uvx $*" >> {log}; shift 3; exec "{command}" "$@"')
    assert started(**image) == f"uvx --from rtstt-shim[testkit]=={version} rtstt-shim mock --exit-on-eof"
    script(bin / "rtstt-shim", f'echo "path $*" >> {log}; exec "{command}" "$@"')
    assert started() == "path mock --exit-on-eof"
    script(bin / "named", f'echo "named $*" >> {log}; exec "{command}" "$@"')
    assert started(RTSTT_MOCK=f'"{bin / "named"}"') == "named mock --exit-on-eof"


def test_a_mock_that_runs_already_is_used_and_left_running(folder: Path, bin: Path) -> None:
    from rtstt_testkit import ThreadedRealtimeServer

    with ThreadedRealtimeServer(control=True, strict=False, token="a-token") as server:
        env = {"RTSTT_MOCK": server.url, "RTSTT_MOCK_TOKEN": "a-token"}
        found = report(folder, bin, {"transcripts": ["One.", "Two."]}, **env)
        assert found["verify"].startswith("2 of 2 transcripts were not used")
        assert report(folder, bin, {"seed": 1}, **env) == {
            "error": "RTSTT_MOCK names a running mock, which does not take --seed; start the mock with that option"
        }


OUTLIVED = """
import { startRealtimeMock } from 'rtstt-shim/testing';
const mock = await startRealtimeMock();
console.log(mock.url);
if (process.argv[2] === 'forget') process.exitCode = 3;
else if (process.argv[2] === 'throw') throw new Error('a test');
else setInterval(() => {}, 1000);
"""


@pytest.fixture
def mock_pids(bin: Path, tmp_path: Path) -> Path:
    """Make the mock note its process id."""
    pids = tmp_path / "pids"
    script(bin / "rtstt-shim", f'echo $$ >> {pids}; exec {sys.executable} -m rtstt_core "$@"')
    return pids


def wait_for_end(pid: int) -> None:
    """Wait until a process that is not our child has ended."""
    descriptor = os.pidfd_open(pid)
    try:
        import select

        assert select.select([descriptor], [], [], 60)[0], f"process {pid} still runs"
    finally:
        os.close(descriptor)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for a process that is no child")
@pytest.mark.parametrize("end", ["forget", pytest.param("throw", marks=pytest.mark.heavy), "kill"])
def test_the_mock_ends_with_the_process_that_started_it(end: str, folder: Path, bin: Path, mock_pids: Path) -> None:
    (folder / "outlived.mjs").write_text(OUTLIVED, encoding="utf-8")
    with subprocess.Popen(
        [bin / "node", folder / "outlived.mjs", end],
        env=environ(bin),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ws://127.0.0.1:")
        pid = int(mock_pids.read_text(encoding="utf-8"))
        if end == "kill":
            process.send_signal(signal.SIGKILL)
        expected = {"forget": 3, "throw": 1, "kill": -signal.SIGKILL}[end]
        assert process.wait(60) == expected
    with contextlib.suppress(ProcessLookupError):  # it has ended already
        wait_for_end(pid)


NODE_TEST = """
const { test, before, after } = require('node:test');
const assert = require('node:assert');
const { startRealtimeMock } = require('rtstt-shim/testing');
let mock;
before(async () => { mock = await startRealtimeMock({ transcripts: ['Hello.'] }); });
after(() => mock.stop());
test('a script that was not followed fails', async () => {
  await assert.rejects(mock.verify(), /transcripts were not used/);
  await mock.load({});
  await mock.verify();
});
"""


def test_it_works_in_node_test(folder: Path, bin: Path) -> None:
    python_command(bin / "rtstt-shim")
    (folder / "a.test.cjs").write_text(NODE_TEST, encoding="utf-8")
    done = subprocess.run(
        [bin / "node", "--test", "--test-reporter=spec", folder / "a.test.cjs"],
        env=environ(bin),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout


RUNNERS: dict[str, tuple[dict[str, str], list[str], str]] = {
    "jest": ({"jest": "30.2.0"}, ["jest/bin/jest.js"], NODE_TEST),
    "vitest, threads": (
        {"vitest": "4.1.12", "ws": "8.18.3"},
        ["vitest/vitest.mjs", "run", "--pool=threads"],
        NODE_TEST,
    ),
}


@pytest.mark.client
@pytest.mark.heavy
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", RUNNERS)
@pytest.mark.parametrize("forgets", [False, True], ids=["", "without stop"])
@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for a process that is no child")
def test_it_works_in_other_test_runners(name: str, forgets: bool, bin: Path, mock_pids: Path, tmp_path: Path) -> None:
    packages, words, text = RUNNERS[name]
    modules = project(**packages) / "node_modules"
    (tmp_path / "node_modules").symlink_to(modules)
    text = text.replace("const { test, before, after } = require('node:test');\n", "")
    text = text.replace("before(", "beforeAll(").replace("after(", "afterAll(")
    if forgets:
        text = re.sub(r"afterAll.*\n", "", text)
    if name.startswith("vitest"):
        text = re.sub(r"const (.*) = require\((.*)\);", r"import \1 from \2;", text)
        text = "import { test, beforeAll, afterAll } from 'vitest';\n" + text
    file = tmp_path / ("a.test.mjs" if name.startswith("vitest") else "a.test.cjs")
    file.write_text(text, encoding="utf-8")
    config = {"name": "app", "private": True, "jest": {"testMatch": ["**/*.test.cjs"]}}
    (tmp_path / "package.json").write_text(json.dumps(config), encoding="utf-8")
    done = subprocess.run(
        [bin / "node", modules / words[0], *words[1:]],
        cwd=tmp_path,
        env=environ(bin, CI="1"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with contextlib.suppress(ProcessLookupError):
        wait_for_end(int(mock_pids.read_text(encoding="utf-8")))
