"""Installation of the preload: once, lazily, and without an effect on the application."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from . import npm
from .conftest import KEY, REGISTER, Endpoint, run

pytestmark = pytest.mark.node

NODES = [
    "system",
    pytest.param("26", marks=[pytest.mark.heavy, pytest.mark.client]),
    *(pytest.param(version, marks=[pytest.mark.release, pytest.mark.client]) for version in ("20", "22", "24")),
]


def node(
    code: str, *options: str, version: str = "system", register: Path = REGISTER, **env: str
) -> tuple[int, str, str]:
    preload = ["--require", str(register)] if register.suffix == ".cjs" else ["--import", register.as_uri()]
    done = subprocess.run(
        [str(npm.node(version)), *preload, *options, "--input-type=module", "-e", code],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


LOADED = """
import { createRequire } from 'node:module';
const require = createRequire(import.meta.url);
const loaded = () => Object.keys(require.cache).filter((file) => file.includes('rtstt_core')).length;
"""


@pytest.mark.parametrize("version", NODES)
def test_only_the_preload_is_loaded_before_a_websocket_is_opened(version: str) -> None:
    code = (
        LOADED
        + """
    import http from 'node:http';
    const server = http.createServer((_, response) => response.end('ok')).listen(0, '127.0.0.1', async () => {
      const url = `http://127.0.0.1:${server.address().port}/v1/realtime?intent=transcription&model=a`;
      const text = await (await fetch(url)).text();
      http.get(url, (response) => {
        response.resume().on('end', () => {
          console.log(JSON.stringify([text, loaded(), process.listenerCount('exit')]));
          process.exit();
        });
      });
    });
    """
    )
    code, out, err = node(code, version=version)  # type: ignore[assignment]
    assert (code, json.loads(out), err) == (0, ["ok", 1, 0], "")


def test_the_module_for_import_is_the_same_preload() -> None:
    code = "console.log(Symbol.for('rtstt_shim.installed') in globalThis)"
    assert node(code, register=REGISTER.with_name("register.mjs")) == (0, "true\n", "")


def test_an_idle_process_ends_by_itself() -> None:
    assert node("") == (0, "", "")


def test_a_module_that_cannot_be_loaded_is_reported_once_and_the_application_runs(tmp_path: Path) -> None:
    shutil.copy(REGISTER, tmp_path / "register.cjs")
    code = """
    import http from 'node:http';
    for (let i = 0; i < 2; i++) {
      const request = http.request({ port: 9, headers: { Connection: 'Upgrade', Upgrade: 'websocket' } });
      request.on('error', ({ code }) => console.log(code)).end();
    }
    """
    exit, out, err = node(code, register=tmp_path / "register.cjs")
    assert (exit, out.split()) == (0, ["ECONNREFUSED", "ECONNREFUSED"])
    line = "rtstt_shim: cannot be loaded and does nothing; the application is unaffected: Error: Cannot find module"
    assert err.count(line) == 1
    assert err.count("rtstt_shim: ") == 1


def test_a_mock_of_http_requests_is_left_alone(tmp_path: Path) -> None:
    preload = tmp_path / "preload.mjs"
    stub = "import http from 'node:http'; http.request = () => ({ end() {} });"
    preload.write_text(f"{stub} await import({json.dumps(REGISTER.as_uri())});", encoding="utf-8")
    code = "import http from 'node:http'; http.request('http://127.0.0.1:9');"
    assert node(code, register=preload) == (0, "", "")


@pytest.mark.client
@pytest.mark.release
def test_in_a_node_that_is_too_old_it_prints_one_sentence() -> None:
    exit, out, err = node("console.log('the application runs')", version="18.20.8")
    assert (exit, out) == (0, "the application runs\n")
    assert err == "rtstt_shim: needs Node.js 20 or newer and does nothing in v18.20.8\n"


@pytest.mark.client
@pytest.mark.release
@pytest.mark.parametrize("version", ["22.11.0", "22.12.0"])
def test_both_ways_of_seeing_requests_see_them(version: str) -> None:
    code = """
    import http from 'node:http';
    import * as named from 'node:http';
    const asked = [];
    const server = http.createServer().on('upgrade', (request, socket) => {
      asked.push(request.url);
      socket.end('HTTP/1.1 101 X\\r\\n\\r\\n');
      if (asked.length === 3) { console.log(JSON.stringify(asked)); process.exit(); }
    });
    server.listen(0, '127.0.0.1', () => {
      const headers = { Connection: 'Upgrade', Upgrade: 'WebSocket' };
      const options = { port: server.address().port, host: '127.0.0.1', headers };
      const path = '/v1/realtime?model=whisper-1&x=1';
      http.request({ ...options, path }).on('error', () => {}).on('upgrade', () => {}).end();
      http.get(`http://127.0.0.1:${options.port}${path}`, options).on('error', () => {}).on('upgrade', () => {});
      named.get({ ...options, path }).on('error', () => {}).on('upgrade', () => {});
    });
    """
    exit, out, _ = node(code, version=version, RTSTT_SHIM_HOSTS="127.0.0.1")
    assert (exit, json.loads(out)) == (0, ["/v1/realtime?intent=transcription&x=1"] * 3)


LISTEN_NOWHERE = """
const WebSocket = require('ws');
const socket = new WebSocket(`ws://127.0.0.1:${process.env.APP_PORT}/v1/realtime?intent=transcription`);
socket.on('error', ({ code }) => console.log(code));
"""


@pytest.fixture
def program(cell: Callable[..., Path], tmp_path: Path) -> Path:
    """A program that opens a connection with ws, which is refused."""
    (tmp_path / "node_modules").symlink_to(cell(ws="8.18.3") / "node_modules")
    path = tmp_path / "app.cjs"
    path.write_text(LISTEN_NOWHERE, encoding="utf-8")
    return path


def started(port: int, *command: str | Path, **env: str) -> tuple[str, list[str]]:
    """Run a program; return its output, and the lines of the shim."""
    environ = {**os.environ, "APP_PORT": str(port), **env}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout, [line for line in done.stderr.splitlines() if line.startswith("rtstt_shim: ")]


@pytest.mark.client
def test_with_frozen_intrinsics_it_works(program: Path, refusing_port: int) -> None:
    out, [line] = started(refusing_port, npm.node("system"), "--frozen-intrinsics", "--require", REGISTER, program)
    assert out == "ECONNREFUSED\n"
    assert "nothing accepts connections at this address" in line


@pytest.mark.client
@pytest.mark.parametrize(
    ("version", "flag"),
    [("20", "--experimental-permission"), pytest.param("24", "--permission", marks=pytest.mark.release)],
)
def test_under_permission_it_works_or_names_the_folder_that_it_must_read(
    version: str, flag: str, program: Path, refusing_port: int
) -> None:
    allowed = [f"--allow-fs-read={path}" for path in (program.parent, program.parent.resolve() / "node_modules")]
    allowed.append(f"--allow-fs-read={(program.parent / 'node_modules').resolve()}")
    folder = REGISTER.parent
    command = [npm.node(version), flag, *allowed, "--require", REGISTER, program]
    out, [line] = started(refusing_port, *command[:-3], f"--allow-fs-read={folder}/*", *command[-3:])
    assert "nothing accepts connections at this address" in line
    out, [line] = started(refusing_port, *command[:-3], f"--allow-fs-read={REGISTER}", *command[-3:])
    assert out == "ECONNREFUSED\n"
    assert line == (
        f"rtstt_shim: does nothing, because it may not read its files; start Node with --allow-fs-read={folder}/*"
    )


@pytest.mark.client
@pytest.mark.release
@pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="the packages are for Linux x86-64"
)
@pytest.mark.parametrize(
    ("name", "package", "binary", "words"),
    [
        ("Bun", "@oven/bun-linux-x64", "bin/bun", []),
        ("Deno", "@deno/linux-x64-glibc", "deno", ["run", "-A"]),
    ],
)
def test_in_another_runtime_it_prints_one_line(
    name: str, package: str, binary: str, words: list[str], program: Path, refusing_port: int, cell: Callable[..., Path]
) -> None:
    versions = {"Bun": "1.4.5", "Deno": "2.9.6"}
    runtime = cell(**{package: versions[name]}) / "node_modules" / package / binary
    for command, env in (
        ([runtime, *words, "--preload", REGISTER, program], {}),
        # Deno reads the one variable, Bun the other.
        ([runtime, *words, program], {"NODE_OPTIONS": f"--require {REGISTER}", "BUN_OPTIONS": f"--preload {REGISTER}"}),
    ):
        out, lines = started(refusing_port, *command, **env)
        assert out == "ECONNREFUSED\n"
        assert lines == [f"rtstt_shim: does nothing in {name} {versions[name]}, whose WebSocket it cannot reach"]


@pytest.mark.client
def test_the_first_corrected_url_is_printed_with_info(cell: Callable[..., Path], endpoint: Endpoint) -> None:
    script = cell(ws="8.18.3") / "ws_cjs.cjs"
    env = {**endpoint.env, "OPENAI_API_KEY": KEY}
    assert run(script, shim=True, env=env).stderr == ""
    assert run(script, shim=True, env={**env, "RTSTT_SHIM_LOG": "info"}).stderr == (
        "rtstt_shim: corrected the URL of a ws connection from "
        "wss://api.openai.com/v1/realtime?intent=transcription&model=gpt-4o-mini-transcribe to "
        "wss://api.openai.com/v1/realtime?intent=transcription: OpenAI refuses `model` beside intent=transcription\n"
    )


@pytest.mark.client
def test_a_setting_that_names_no_host_is_printed_once(program: Path, refusing_port: int) -> None:
    out, lines = started(
        refusing_port, npm.node("system"), "--require", REGISTER, program, RTSTT_SHIM_HOSTS="a.example,https://b:1/"
    )
    assert out == "ECONNREFUSED\n"
    assert lines[0] == (
        "rtstt_shim: RTSTT_SHIM_HOSTS names 'https://b:1/', which no host can match; list host names separated by "
        "commas, without a scheme, a port or a path"
    )
    assert len(lines) == 2
