"""The commands of the npm package: the doctor agrees with Python's, `run` starts programs, others are handed on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rtstt_core.cli import COMMANDS, main
from rtstt_core.commands import doctor

from . import npm
from .npm_package import unpacked

pytestmark = pytest.mark.node

LIVEKIT = "@livekit/agents-plugin-openai"
INTENT = 'url.searchParams.set("intent", "transcription");\n'
MODEL = 'url.searchParams.set("model", model);\n'
SOURCES = {
    "1.4.2": INTENT,
    "1.4.4": INTENT + MODEL,
    "1.9.0": INTENT + 'if (url.hostname !== "api.openai.com") {\n  ' + MODEL + "}\n",
    "0.0.1": INTENT + 'headers: { "OpenAI-Beta": "realtime=v1" },\n',
    "1.9.1": INTENT + "if (!/(^|\\.)api\\.openai\\.com$/.test(url.hostname)) {\n  " + MODEL + "}\n",
    "2.0.0": "nothing of the kind",
}


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of the npm package."""
    return unpacked(tmp_path_factory.mktemp("npm") / "node_modules") / "cli" / "main.cjs"


def call(command: Path, *words: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [npm.node("system"), command, *words],
        cwd=folder,
        env={**os.environ, "NODE_OPTIONS": "", **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def install(folder: Path, name: str, version: str, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    manifest = {"name": name, "version": version, "description": "openai"}
    (folder / "package.json").write_text(json.dumps(manifest), encoding="utf-8")
    for path, text in files.items():
        file = folder / path.replace("__", "/").replace("_dot_", ".").replace("_h_", "-")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


def plugin(folder: Path, version: str, cjs: str | None = None) -> None:
    source = SOURCES[version]
    install(folder / LIVEKIT, LIVEKIT, version, dist__stt_dot_js=source, dist__stt_dot_cjs=cjs or source)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with copies of the clients in every place that the doctor knows."""
    root = tmp_path / "app"
    for number, version in enumerate(SOURCES):
        plugin(root / f"member{number}" / "node_modules", version)
    plugin(root / "mixed" / "node_modules", "1.4.2", cjs=SOURCES["1.4.4"])
    install(root / "unbuilt" / "node_modules" / LIVEKIT, LIVEKIT, "9.9.9")
    base = "realtime__internal_h_base_dot_js"
    install(root / "node_modules" / "openai", "openai", "4.0.0")
    install(root / "node_modules" / "a" / "node_modules" / "openai", "openai", "6.49.0", **{base: MODEL})
    install(root / "node_modules" / "@b" / "c" / "node_modules" / "openai", "openai", "7.6.0", **{base: INTENT})
    install(root / "node_modules" / "d" / "node_modules" / "openai", "openai", "8.0.0", **{base: "x"})
    store = root / "node_modules" / ".pnpm" / "plugin@1" / "node_modules"
    plugin(store, "1.4.4")
    (root / "linked" / "node_modules" / "@livekit").mkdir(parents=True)
    (root / "linked" / "node_modules" / LIVEKIT).symlink_to(store / LIVEKIT)
    plugin(root / ".cache" / "node_modules", "1.4.4")
    plugin(root / "site-packages" / "x" / "node_modules", "1.4.4")
    plugin(root / ".venv" / "lib" / "node_modules", "1.4.4")
    broken = root / "broken" / "node_modules"
    plugin(broken, "1.4.4")
    (broken / LIVEKIT / "package.json").write_text('{"version": ', encoding="utf-8")
    talks = "connect('wss://api.openai.com/v1/realtime')"
    install(root / "node_modules" / "talker", "talker", "1.0.0", index_dot_js=talks)
    install(root / "node_modules" / "silent", "silent", "1.0.0", index_dot_md=talks)
    install(root / "node_modules" / "esc\x1bape", "esc", "1.0.0\x1b[2J", index_dot_cjs=talks)
    return root


@pytest.mark.parametrize(
    "env",
    [{}, {"NODE_OPTIONS": "--require rtstt-shim/register"}, {"RTSTT_SHIM_DISABLE": "1"}, {"beside": "rtstt-shim"}],
)
def test_the_doctor_reports_of_npm_packages_what_pythons_reports(
    env: dict[str, str], tree: Path, command: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if env.pop("beside", None):
        unpacked(tree / "node_modules")
    # Without what only the Python package has: its environments and the source rules.
    monkeypatch.setattr(doctor, "_environments", lambda path, unread: [])
    monkeypatch.setattr(doctor, "_source_rules", lambda: (None, []))
    for name in ("NODE_OPTIONS", "RTSTT_SHIM_DISABLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tree)
    for path in (".", "member1", "linked", str(tree / "node_modules")):
        code = main(["doctor", path, "--json"])
        expected = json.loads(capsys.readouterr().out)
        # Node.js must find the module that NODE_OPTIONS names.
        options = {"NODE_OPTIONS": f"--require {command.parents[1]}/register.cjs"} if "NODE_OPTIONS" in env else {}
        done = call(command, "doctor", path, "--json", folder=tree, **{**env, **options})
        assert json.loads(done.stdout) == expected
        assert (done.returncode, done.stderr) == (code, "")
    assert len(expected) > 5


def test_the_doctors_text_names_cause_remedy_and_what_was_left_out(tmp_path: Path, command: Path) -> None:
    plugin(tmp_path / "node_modules", "1.4.4")
    done = call(command, "doctor", folder=tmp_path, COLUMNS="200")
    assert done.returncode == 1
    assert done.stdout == (
        f"npm packages of {tmp_path}\n"
        f"  ! {LIVEKIT} 1.4.4: AFFECTED: sends `model` beside intent=transcription to every host "
        "(livekit/agents-js#1756)\n"
        "      shim: nothing while the preload is not set: start the program with `rtstt-shim run -- COMMAND`\n"
        "      fix: upgrade to 1.4.7, unless a regional host is used; or patch it with `rtstt-shim patch-npm`\n"
        f"      node_modules/{LIVEKIT}\n"
        "Python packages and source code were not examined: the Python package does that (uvx --from "
        "'rtstt-shim[upstream]' rtstt-shim doctor)\n"
    )
    narrow = call(command, "doctor", folder=tmp_path, COLUMNS="40").stdout
    assert max(map(len, narrow.splitlines())) <= 40
    assert narrow.split() != []


def test_what_the_doctor_cannot_read_is_named(tmp_path: Path, command: Path) -> None:
    (tmp_path / "x.zip").write_text("no archive", encoding="utf-8")
    location = f'"packageLocation": "./x.zip/node_modules/{LIVEKIT}/",'
    (tmp_path / ".pnp.cjs").write_text(location, encoding="utf-8")
    done = call(command, "doctor", folder=tmp_path)
    assert done.returncode == 2
    archive = tmp_path / "x.zip"
    assert done.stderr == (
        f"rtstt-shim: cannot read {archive}: it is an archive of Yarn; run `yarn rtstt-shim doctor`\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["doctr"], "there is no command 'doctr'; see `rtstt-shim --help`"),
        (["doctor", "--jsn"], "unrecognized arguments: --jsn; see `rtstt-shim doctor --help`"),
        (["doctor", "a", "b"], "unrecognized arguments: b; see `rtstt-shim doctor --help`"),
        (["doctor", "nowhere"], "nowhere is not a folder; give the folder of a project"),
        (["doctor", "--format", "xml"], "there is no format 'xml'; choose text or json"),
        (
            ["doctor", "--fix"],
            "--fix needs the Python package: uvx --from 'rtstt-shim[upstream]' rtstt-shim doctor --fix",
        ),
        (["run"], "there is no COMMAND to run; for example: rtstt-shim run -- node app.js"),
        (
            ["run", "--", "no-such-program"],
            "cannot start no-such-program: ENOENT; for example: rtstt-shim run -- node app.js",
        ),
        (["run", "--rout", "--", "x"], "unrecognized arguments: --rout; see `rtstt-shim run --help`"),
        *(
            (
                words,
                f"`rtstt-shim {name}` needs Python 3.10 or newer with the package rtstt-shim; install uv, or run "
                f"`pip install 'rtstt-shim[{extra}]'`",
            )
            for words, name, extra in [
                (["patch"], "patch", "upstream"),
                (["pr", "--list"], "pr", "upstream"),
                (["mock"], "mock", "testkit"),
                (["exam", "--", "node", "app.js"], "exam", "exam"),
                (["inspect", "trace.jsonl"], "inspect", "testkit"),
                (["run", "--route", "a=b:1", "--", "x"], "run --route", "testkit"),
            ]
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_usage_error_is_one_sentence(words: list[str], message: str, tmp_path: Path, command: Path) -> None:
    done = call(command, *words, folder=tmp_path, PATH="/nowhere")
    assert (done.stdout, done.stderr, done.returncode) == ("", f"rtstt-shim: {message}\n", 2)


@pytest.mark.parametrize("words", [[], ["doctor"], ["run"]], ids=lambda words: " ".join(words) or "rtstt-shim")
def test_the_help_fits_80_columns(words: list[str], tmp_path: Path, command: Path) -> None:
    done = call(command, *words, "--help", folder=tmp_path)
    assert done.returncode == 0
    assert [line for line in done.stdout.splitlines() if len(line) > 80] == []


def test_every_command_of_the_python_package_is_known(tmp_path: Path, command: Path) -> None:
    """`doctor` and `run` are JavaScript here, and `node-path` is of no use to who has this package."""
    for name in set(COMMANDS) - {"doctor", "run", "node-path"}:
        done = call(command, name, folder=tmp_path, PATH="/nowhere")
        extra = COMMANDS[name].extra
        assert done.stderr.startswith(f"rtstt-shim: `rtstt-shim {name}` needs Python 3.10 or newer"), name
        assert done.stderr.endswith(f"run `pip install 'rtstt-shim[{extra}]'`\n"), name


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.mark.skipif(os.name == "nt", reason="the programs are shell scripts")
def test_a_command_of_the_python_package_is_handed_to_it_and_never_to_itself(tmp_path: Path, command: Path) -> None:
    bin = tmp_path / "node_modules" / ".bin"
    bin.mkdir(parents=True)
    (bin / "rtstt-shim").symlink_to(command)
    shim = executable(tmp_path / "pnpm" / "rtstt-shim", f'#!/bin/sh\nexec node "{command}" "$@"\n')
    python = executable(tmp_path / "bin" / "rtstt-shim", '#!/bin/sh\necho "python: $*"\nexit 7\n')
    uvx = executable(tmp_path / "uv" / "uvx", '#!/bin/sh\necho "uvx: $*"\n')
    pipx = executable(tmp_path / "px" / "pipx", '#!/bin/sh\necho "pipx: $*"\n')
    before = [str(bin), str(shim.parent)]

    def handed(*folders: Path) -> tuple[str, int]:
        done = call(command, "patch", "--undo", folder=tmp_path, PATH=os.pathsep.join([*before, *map(str, folders)]))
        assert done.stderr == ""
        return done.stdout, done.returncode

    requirement = f"rtstt-shim[upstream]=={json.loads((command.parents[1] / 'package.json').read_text())['version']}"
    assert handed(pipx.parent) == (f"pipx: run --spec {requirement} rtstt-shim patch-npm --undo\n", 0)
    assert handed(pipx.parent, uvx.parent) == (f"uvx: --from {requirement} rtstt-shim patch-npm --undo\n", 0)
    assert handed(uvx.parent, python.parent) == ("python: patch-npm --undo\n", 7)


PRINTS = "console.log(JSON.stringify([Symbol.for('rtstt_shim.installed') in globalThis, process.argv.slice(2)]))"


def test_run_activates_the_shim_in_a_program_and_its_children(tmp_path: Path, command: Path) -> None:
    (tmp_path / "app.cjs").write_text(PRINTS, encoding="utf-8")
    (tmp_path / "parent.cjs").write_text(
        "require('node:child_process').fork('./app.cjs', ['--', 'a b']);", encoding="utf-8"
    )
    done = call(command, "run", "--", "node", "parent.cjs", folder=tmp_path)
    assert json.loads(done.stdout) == [True, ["--", "a b"]]
    done = call(command, "run", "node", "app.cjs", folder=tmp_path, NODE_OPTIONS="--no-warnings")
    assert json.loads(done.stdout) == [True, []]
    # The command itself is started with it, too.
    early = "if (process.argv[1].endsWith('app.cjs')) process.argv.push('early');"
    (tmp_path / "early.cjs").write_text(early, encoding="utf-8")
    done = call(command, "run", "node", "app.cjs", folder=tmp_path, NODE_OPTIONS="--require ./early.cjs")
    assert json.loads(done.stdout) == [True, ["early"]]
    done = call(command, "run", "--no-shim", "--", "node", "app.cjs", folder=tmp_path)
    assert json.loads(done.stdout) == [False, []]


def test_run_works_from_a_folder_with_a_space(tmp_path: Path) -> None:
    spaced = unpacked(tmp_path / 'a "b' / "node_modules") / "cli" / "main.cjs"
    (tmp_path / "app.cjs").write_text(PRINTS, encoding="utf-8")
    assert json.loads(call(spaced, "run", "--", "node", "app.cjs", folder=tmp_path).stdout) == [True, []]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_run_passes_signals_on_and_returns_the_programs_exit_code(
    number: signal.Signals, tmp_path: Path, command: Path
) -> None:
    assert call(command, "run", "--", "node", "-e", "process.exit(9)", folder=tmp_path).returncode == 9
    code = "process.on(process.argv[1], () => process.exit(5)); setInterval(() => {}, 1000); console.log('ready');"
    words: list[Any] = [npm.node("system"), command, "run", "--", "node", "-e", code, number.name]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.wait(60) == 5
    killed = call(command, "run", "--", "node", "-e", "process.kill(process.pid, 'SIGTERM')", folder=tmp_path)
    assert killed.returncode == 128 + signal.SIGTERM
