"""The npm package: its content, every way to load it, and what must not disturb it."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import _env
import build_npm

from . import npm, npm_package
from .conftest import APPS, DRIVER, ROUTE, Cell, Endpoint
from .npm_package import project, routed, start, unpacked
from .test_real_clients import RTC_NODE, assert_got_transcripts, assert_refused, assert_silence, assert_transcribed

pytestmark = pytest.mark.node


# -- what is in it


def test_the_same_sources_give_the_same_tarball(tmp_path: Path) -> None:
    first, second = (build_npm.build(tmp_path / name) for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as archive:
        members = archive.getmembers()
    assert [member.name for member in members] == [f"package/{name}" for name in build_npm.files()]
    assert {member.name for member in members if member.mode & 0o100} == {"package/cli/main.cjs"}
    assert {member.mtime for member in members} == {build_npm._MTIME}


def test_it_holds_what_the_python_package_holds_and_needs_no_other_package() -> None:
    files = build_npm.files()
    for path in build_npm.CORE.joinpath("node").iterdir():
        assert files[f"node/{path.name}"] == path.read_text(encoding="utf-8")
    tree = {path.name for path in build_npm.NPM.rglob("*") if path.is_file()}
    assert not tree & {path.name for path in build_npm.CORE.joinpath("node").iterdir()} - {
        "register.cjs",
        "register.mjs",
    }
    manifest = json.loads(files["package.json"])
    assert not {name for name in manifest if name.endswith(("ependencies", "scripts"))}
    assert manifest["version"] == re.search(r'\nversion = "(.*)"', (npm.ROOT / "pyproject.toml").read_text())[1]  # type: ignore[index]
    named = re.findall(r'"\./([^"*]+)"', json.dumps(manifest["exports"]))
    assert {name for name in named if "." in name} <= set(files)
    assert (manifest["bin"]["rtstt-shim"], "LICENSE" in files, "README.md" in files) == ("cli/main.cjs", True, True)


def test_the_repository_is_named_only_where_it_is_given() -> None:
    plain = json.loads(build_npm.files()["package.json"])
    assert "repository" not in plain
    assert "provenance" not in plain["publishConfig"]
    named = json.loads(build_npm.files("git+https://git.example/owner/name.git")["package.json"])
    assert named["repository"]["url"] == "git+https://git.example/owner/name.git"
    assert named["publishConfig"] == {"access": "public", "provenance": True}


TYPED = """
import { fixUrl, type Decision } from 'rtstt-shim';
import 'rtstt-shim/register';
import 'rtstt-shim/browser';
import { startRealtimeMock, type Session } from 'rtstt-shim/testing';

const decision: Decision = fixUrl('wss://api.openai.com/v1/realtime');
const rule: 'drop-model' | 'set-intent' | 'keep' = decision.rule;

export async function typed(): Promise<Session[]> {
  const mock = await startRealtimeMock({
    transcripts: ['Hello.', { text: 'Slow.', pace: 0.2 }, { text: '', failure: { code: 'rate_limit_exceeded' } }],
    faults: [{ action: 'drop', on: '*', probability: 0.01 }],
    profile: 'gateway',
  });
  const url: string = mock.url + rule;
  // @ts-expect-error: there is no such action
  await mock.load({ faults: [{ action: 'fall', on: url }] });
  // @ts-expect-error: there is no such profile
  await startRealtimeMock({ profile: 'other' });
  const [first] = await mock.sessions();
  const close: { code: number; reason: string; by: 'client' | 'server' } | null = first.close;
  const { events } = await mock.session(1);
  console.log(close, events.map(({ sender, event }) => [sender, event.type]));
  await mock.stop();
  return mock.sessions();
}
"""


@pytest.mark.client
@pytest.mark.heavy
@pytest.mark.timeout(300)
def test_typescript_finds_no_error_in_it_nor_in_a_program_that_uses_it(cell: Cell, tmp_path: Path) -> None:
    tools = cell(typescript="5.9.3", **{"@types__node": "24.10.1"}) / "node_modules"
    package = unpacked(tmp_path / "node_modules")
    for name in ("app.mts", "app.cts"):
        # `register` and `browser` export nothing that could be required.
        text = TYPED if name == "app.mts" else TYPED.replace("import 'rtstt-shim/browser';\n", "")
        (tmp_path / name).write_text(text, encoding="utf-8")
    shutil.copytree(package, tmp_path / "sources")
    shutil.copy(build_npm.NPM / "browser" / "socket.cjs", tmp_path / "sources" / "node")
    sources = sorted((tmp_path / "sources").rglob("*.cjs"))
    options = [
        "--noEmit",
        "--strict",
        "--noUnusedLocals",
        "--target",
        "es2022",
        "--lib",
        "es2023,esnext.disposable,dom",
    ]
    options += ["--module", "nodenext", "--resolveJsonModule", "--typeRoots", str(tools / "@types"), "--types", "node"]
    for more in ([tmp_path / "app.mts", tmp_path / "app.cts"], ["--allowJs", "--checkJs", *sources]):
        done = subprocess.run(
            [tools / ".bin" / "tsc", *options, *more],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.stdout == ""
        assert done.returncode == 0


# -- every way to load it

URL = "wss://api.openai.com/v1/realtime?intent=transcription&model=gpt-4o-mini-transcribe"
WAYS: dict[str, tuple[list[str], dict[str, str]]] = {
    "--require": (["--require", "rtstt-shim/register", "ws_esm.mjs"], {}),
    "--import": (["--import", "rtstt-shim/register", "ws_cjs.cjs"], {}),
    "import": (["imports.mjs"], {}),
    "require": (["requires.cjs"], {}),
    "NODE_OPTIONS": (["ws_cjs.cjs"], {"NODE_OPTIONS": "--require rtstt-shim/register"}),
    "run": (
        ["node_modules/rtstt-shim/cli/main.cjs", "run", "--", "node", "--import", ROUTE.as_uri(), "ws_esm.mjs"],
        {},
    ),
}


def with_programs(folder: Path) -> Path:
    (folder / "imports.mjs").write_text("import 'rtstt-shim';\nimport './ws_esm.mjs';\n", encoding="utf-8")
    (folder / "requires.cjs").write_text("require('rtstt-shim');\nrequire('./ws_cjs.cjs');\n", encoding="utf-8")
    return folder


@pytest.mark.client
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("way", "node"),
    [
        *(
            pytest.param(way, "system", marks=[] if way in ("--require", "import") else pytest.mark.heavy)
            for way in WAYS
        ),
        *(pytest.param(way, "26", marks=pytest.mark.heavy) for way in ("--require", "import")),
        *(pytest.param(way, node, marks=pytest.mark.release) for node in ("20", "22", "24", "26") for way in WAYS),
    ],
)
def test_every_way_to_load_it(way: str, node: str, endpoint: Endpoint) -> None:
    folder = with_programs(project(ws="8.18.3"))
    words, env = WAYS[way]
    path = {"PATH": f"{npm.node(node).parent}:{_path()}"}
    assert_got_transcripts(routed(folder, *words, node=node, env={**endpoint.env, **env, **path}))
    if way in ("--require", "NODE_OPTIONS"):
        assert_refused(routed(folder, words[-1], node=node, env=endpoint.env))


def _path() -> str:
    import os

    return os.environ["PATH"]


def livekit() -> Path:
    return project(
        **{
            "@livekit__agents": "1.4.4",
            "@livekit__agents_plugin_openai": "1.4.4",
            "@livekit__rtc_node": RTC_NODE["1.4.4"],
            "zod": "3",
            "ws": "8.18.3",
        }
    )


@pytest.mark.client
@pytest.mark.heavy
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "node", ["20", *(pytest.param(version, marks=pytest.mark.release) for version in ("22", "24", "26"))]
)
def test_the_livekit_plugin_of_1756_with_npm_alone(node: str, endpoint_with: Callable[..., Endpoint]) -> None:
    endpoint = endpoint_with(refuse="on-update")
    folder = livekit()
    args = [str(DRIVER), "--project", str(folder)]
    assert_silence(routed(folder, *args, node=node, env=endpoint.env).line)
    assert_transcribed(routed(folder, "--require", "rtstt-shim/register", *args, node=node, env=endpoint.env).line)


# -- what must not disturb it

REFUSED = """
const WebSocket = require('ws');
const socket = new WebSocket(`ws://127.0.0.1:${process.env.APP_PORT}/v1/realtime?intent=transcription`);
socket.on('error', ({ code }) => console.log(code));
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A folder with the package, `ws`, and a program whose connection is refused."""
    modules = tmp_path / "node_modules"
    shutil.copytree(_env.npm_project({"ws": "8.18.3"}) / "node_modules" / "ws", modules / "ws")
    unpacked(modules)
    (tmp_path / "app.cjs").write_text(REFUSED, encoding="utf-8")
    (tmp_path / "package.json").write_text('{"name": "app", "private": true}', encoding="utf-8")
    return tmp_path


def lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stderr.splitlines() if line.startswith("rtstt_shim: ")]


@pytest.mark.client
def test_two_copies_in_one_tree_are_active_once(program: Path, refusing_port: int) -> None:
    library = program / "node_modules" / "library"
    shutil.copytree(program / "node_modules" / "rtstt-shim", library / "node_modules" / "rtstt-shim")
    (library / "index.js").write_text("require('rtstt-shim');", encoding="utf-8")
    (program / "both.cjs").write_text("require('rtstt-shim'); require('library'); require('./app.cjs');")
    env = {
        "APP_PORT": str(refusing_port),
        "NODE_OPTIONS": f"--require {npm_package.unpacked(program / 'third')}/register.cjs",
    }
    done = start(program, "--import", "rtstt-shim/register", "both.cjs", env=env)
    assert done.stdout == "ECONNREFUSED\n"
    assert len(lines(done)) == 1


@pytest.mark.client
@pytest.mark.parametrize(
    ("broken", "runs"),
    [
        # Node.js reads it to resolve `ws`, and fails.
        ("package.json", False),
        ("node_modules/other/package.json", True),
        ("node_modules/.package-lock.json", True),
    ],
)
def test_a_broken_package_json_changes_nothing(broken: str, runs: bool, program: Path, refusing_port: int) -> None:
    (program / broken).parent.mkdir(exist_ok=True)
    (program / broken).write_text('{"name": ', encoding="utf-8")
    preload = program / "node_modules" / "rtstt-shim" / "register.cjs"
    env = {"APP_PORT": str(refusing_port)}
    without, having = (start(program, *words, "app.cjs", env=env) for words in ([], ["--require", preload]))
    assert (having.stdout, having.returncode) == (without.stdout, without.returncode)
    assert (having.returncode == 0, len(lines(having))) == (runs, int(runs))


@pytest.mark.client
def test_a_loader_that_throws_fails_the_program_as_without_and_not_the_preload(
    program: Path, refusing_port: int
) -> None:
    (program / "loader.mjs").write_text("export const resolve = () => { throw new Error('a loader'); };")
    (program / "app.mjs").write_text("import './app.cjs';")
    env = {"APP_PORT": str(refusing_port), "NODE_NO_WARNINGS": "1"}
    loader = ["--loader", "./loader.mjs"]
    without, having = (
        start(program, *words, *loader, "app.mjs", env=env) for words in ([], ["--require", "rtstt-shim/register"])
    )
    assert (having.stdout, having.stderr, having.returncode) == (without.stdout, without.stderr, without.returncode)
    assert "a loader" in without.stderr
    done = start(program, "--require", "rtstt-shim/register", "--import", "data:text/javascript,", "app.cjs", env=env)
    assert len(lines(done)) == 1


@pytest.mark.client
def test_nothing_is_written_to_node_modules(program: Path, refusing_port: int) -> None:
    def state() -> dict[str, tuple[int, str]]:
        found = [path for path in (program / "node_modules").rglob("*") if path.is_file()]
        return {str(path): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()) for path in found}

    before = state()
    for path in [*(program / "node_modules").rglob("*"), program / "node_modules"]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        env = {"APP_PORT": str(refusing_port)}
        assert len(lines(start(program, "--require", "rtstt-shim/register", "app.cjs", env=env))) == 1
        assert start(program, "node_modules/rtstt-shim/cli/main.cjs", "doctor").returncode == 0
    finally:
        for path in [program / "node_modules", *(program / "node_modules").rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert state() == before


@pytest.mark.client
@pytest.mark.parametrize(
    "version",
    [
        pytest.param("18.20.8", marks=pytest.mark.heavy),
        *(pytest.param(version, marks=pytest.mark.release) for version in ("16.20.2", "14.21.3", "12.22.12")),
    ],
)
def test_an_older_node_prints_one_sentence_and_runs_the_program_without_the_shim(
    version: str, program: Path, refusing_port: int
) -> None:
    (program / "exits.cjs").write_text("require('rtstt-shim'); console.log('it runs'); process.exit(3);")
    done = start(program, "--require", "rtstt-shim/register", "exits.cjs", node=version)
    sentence = f"rtstt_shim: needs Node.js 20 or newer and does nothing in v{version}\n"
    assert (done.stdout, done.returncode) == ("it runs\n", 3)
    assert done.stderr in (sentence, sentence * 2 if version < "16" else sentence)
    env = {"RTSTT_SHIM_DISABLE": "1"}
    assert start(program, "--require", "rtstt-shim/register", "exits.cjs", node=version, env=env).stderr == ""
    done = start(program, "node_modules/rtstt-shim/cli/main.cjs", "doctor", node=version)
    assert (done.stdout, done.returncode) == ("", 2)
    assert done.stderr == f"rtstt-shim: needs Node.js 20 or newer, and this is v{version}\n"


# -- installed by every package manager

MANAGERS: dict[str, tuple[dict[str, str], list[str], list[str]]] = {
    "npm": ({"npm": "12.2.0"}, ["npm", "install", "--no-audit", "--no-fund"], ["npm", "exec", "--"]),
    "pnpm": ({"pnpm": "12.21.0"}, ["pnpm", "install"], ["pnpm", "exec"]),
    "yarn 1": ({"yarn": "1.22.22"}, ["yarn", "install"], ["yarn", "exec", "--silent", "--"]),
    "yarn": ({"@yarnpkg/cli-dist": "4.18.1"}, ["yarn", "install"], ["yarn", "exec"]),
    "yarn PnP": ({"@yarnpkg/cli-dist": "4.18.1"}, ["yarn", "install"], ["yarn", "exec"]),
    "bun": ({"bun": "1.4.5"}, ["bun", "install"], ["bun", "run", "--silent"]),
}


@pytest.fixture
def manager(tmp_path: Path) -> Callable[..., Any]:
    """Make a project of a package manager, and run commands in it."""
    import os

    tools: dict[str, Path] = {}

    def use(name: str, *words: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        if name not in tools:
            packages = {"bun": {"@oven/bun-linux-x64": "1.4.5"}}.get(name, MANAGERS[name][0])
            tools[name] = _env.npm_project(packages) / "node_modules"
        folder = tools[name] / "@oven/bun-linux-x64/bin" if name == "bun" else tools[name] / ".bin"
        return subprocess.run(
            [folder / words[0], *words[1:]],
            cwd=tmp_path,
            env={
                **os.environ,
                "PATH": f"{folder}:{os.environ['PATH']}",
                "NODE_OPTIONS": "",
                "YARN_ENABLE_TELEMETRY": "0",
                "YARN_ENABLE_GLOBAL_CACHE": "false",
                "NODE_USE_SYSTEM_CA": "1",
                "CI": "",
                **env,
            },
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )

    return use


@pytest.mark.client
@pytest.mark.heavy
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", MANAGERS)
def test_installed_by_a_package_manager(
    name: str, manager: Callable[..., Any], endpoint: Endpoint, tmp_path: Path
) -> None:
    manifest: dict[str, Any] = {
        "name": "app",
        "private": True,
        "dependencies": {"ws": "8.18.3", "rtstt-shim": f"file:{npm_package.tarball()}"},
    }
    if name == "yarn PnP":  # whose archives the doctor reads
        manifest["dependencies"]["openai"] = "6.49.0"
    (tmp_path / "package.json").write_text(json.dumps(manifest), encoding="utf-8")
    linker = {"yarn": "node-modules", "yarn PnP": "pnp"}.get(name)
    if linker:
        (tmp_path / ".yarnrc.yml").write_text(f"nodeLinker: {linker}\npnpEnableEsmLoader: true\n", encoding="utf-8")
        (tmp_path / "yarn.lock").touch()
    for app in ("session.mjs", "ws_esm.mjs", "ws_cjs.cjs"):
        shutil.copy(APPS / app, tmp_path)
    with_programs(tmp_path)
    _, install, runs = MANAGERS[name]
    done = manager(name, *install, env={})
    assert done.returncode == 0, done.stdout + done.stderr
    env = {**endpoint.env, "OPENAI_API_KEY": "sk-test-key"}
    node = ["node", "--import", ROUTE.as_uri()]
    for words in (["--require", "rtstt-shim/register", "ws_esm.mjs"], ["imports.mjs"], ["requires.cjs"]):
        done = manager(name, *runs, *node, *words, env=env)
        assert '"transcript":"Hello from the mock."' in done.stdout, done.stdout + done.stderr
    done = manager(name, *runs, *node, "ws_cjs.cjs", env=env)
    assert '"code":"invalid_model"' in done.stdout, done.stdout + done.stderr
    done = manager(name, *runs, "rtstt-shim", "doctor", "--json", env={})
    assert done.returncode == 0, done.stderr
    found = [(client["name"], client["version"], client["verdict"]) for client in json.loads(done.stdout)]
    assert found == ([("openai", "6.49.0", "not affected")] if name == "yarn PnP" else [])
