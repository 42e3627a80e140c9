"""Installation of the preload: once, lazily, and without an effect on the application."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from . import npm
from .conftest import REGISTER

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
