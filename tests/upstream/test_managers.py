"""Every package manager: install the affected plugin, patch it, and run a frozen install from scratch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from upstream_sources import PACKAGE

import rtstt_testkit
from rtstt_core.cli import main
from rtstt_testkit.upstream.data import patches
from rtstt_testkit.upstream.endtoend import GATEWAY, ClientRun, drive
from rtstt_testkit.upstream.scratch import npm_project

pytestmark = [pytest.mark.client, pytest.mark.node, pytest.mark.heavy, pytest.mark.timeout(1500)]

TOOLS = {"npm": "12.2.0", "pnpm": "12.21.0", "@yarnpkg/cli-dist": "4.18.1", "bun": "1.4.5", "node": "24.21.0"}
MANIFEST = {
    "name": "app",
    "private": True,
    "type": "module",
    "dependencies": {
        "@livekit/agents": "1.4.4",
        PACKAGE: ">=1.4.4 <1.4.5",
        "@livekit/rtc-node": "0.13.27",
        "zod": "^3.25.76",
    },
}


@dataclass(frozen=True)
class Case:
    install: str
    frozen: str
    patch: str
    chosen: str
    settings: str = ""


CASES = {
    "npm": Case(
        "npm install --no-audit --no-fund",
        "npm ci --no-audit --no-fund",
        f"patches/{PACKAGE}@1.4.4.patch",
        "npm: there is a package-lock.json",
    ),
    "pnpm": Case(
        # pnpm 12 ends with 1 over install scripts that nobody approved; what it installed is complete.
        "pnpm install --config.strict-dep-builds=false",
        "pnpm install --frozen-lockfile --config.strict-dep-builds=false",
        "patches/@livekit__agents-plugin-openai@1.4.4.patch",
        "pnpm: there is a pnpm-lock.yaml",
    ),
    "yarn": Case(
        "yarn install",
        "yarn install --immutable",
        ".yarn/patches/@livekit-agents-plugin-openai-npm-1.4.4.patch",
        "yarn: there is a yarn.lock",
        settings="nodeLinker: node-modules\nenableScripts: false\n",
    ),
    "bun": Case(
        "bun install",
        "bun install --frozen-lockfile",
        "patches/@livekit%2Fagents-plugin-openai@1.4.4.patch",
        "bun: there is a bun.lock",
    ),
    "patch-package": Case(
        "npm install --no-audit --no-fund",
        "npm ci --no-audit --no-fund",
        "patches/@livekit+agents-plugin-openai+1.4.4.patch",
        "patch-package: from --manager",
    ),
}


@pytest.mark.parametrize(
    "name",
    # patch-package runs after npm's own install, which another case covers, and bun keeps its patches as pnpm does.
    [pytest.param(name, marks=[pytest.mark.release] if name in ("patch-package", "bun") else []) for name in CASES],
)
def test_a_frozen_install_after_the_patch_gives_transcripts(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case = CASES[name]
    tools = npm_project(TOOLS, print)
    monkeypatch.setenv("PATH", f"{tools / 'node_modules/.bin'}{os.pathsep}{os.environ['PATH']}")
    # npm's own Node knows the CAs it was built with; behind a proxy that intercepts TLS it needs the system's.
    monkeypatch.setenv("NODE_USE_SYSTEM_CA", "1")
    project = tmp_path / "Größe und Platz"
    project.mkdir()
    (project / "package.json").write_text(json.dumps(MANIFEST, indent=2))
    if case.settings:
        (project / ".yarnrc.yml").write_text(case.settings)
    shutil.copy(patches() / "agents-js" / "drive.mjs", project)
    manager = ["--manager", name] if name == "patch-package" else []

    run(case.install, project)
    assert session(project, "api.openai.com").transcript is None
    assert main(["patch-npm", str(project), "--check", *manager]) == 1
    assert "is affected and not patched: run `rtstt-shim patch-npm`" in capsys.readouterr().out

    assert main(["patch-npm", str(project), *manager]) == 0
    output = capsys.readouterr().out
    assert f"{PACKAGE} 1.4.4 is patched by {case.patch} ({case.chosen})" in output
    before = snapshot(project)
    assert main(["patch-npm", str(project), *manager]) == 0
    assert snapshot(project) == before
    tool = case.install.split()[0]
    capsys.readouterr()
    assert main(["patch-npm", str(project), "--check", *manager]) == 1
    assert f"is affected and not patched: run `{tool} install`" in capsys.readouterr().out

    run(case.install, project)
    shutil.rmtree(project / "node_modules")
    run(case.frozen, project, CI="true")
    assert main(["patch-npm", str(project), "--check", *manager]) == 0
    for host in ("api.openai.com", "eu.api.openai.com"):
        seen = session(project, host)
        assert seen.transcript == "Hello from the mock."
        assert seen.query == {"intent": ["transcription"]}
        assert seen.warnings == []
    assert session(project, GATEWAY).query["model"] == ["gpt-4o-mini-transcribe"]

    upgrade(project)
    assert main(["patch-npm", str(project), "--check", *manager]) == 1
    assert main(["patch-npm", str(project), *manager]) == 0
    assert "then `rtstt-shim patch-npm` again" in capsys.readouterr().out
    run(case.install, project)
    assert main(["patch-npm", str(project), *manager]) == 0
    assert f"{PACKAGE} 1.9.0 is patched by {case.patch.replace('1.4.4', '1.9.0')} (" in capsys.readouterr().out
    run(case.install, project)
    assert main(["patch-npm", str(project), "--check", *manager]) == 0
    assert session(project, "eu.api.openai.com").query == {"intent": ["transcription"]}
    assert main(["patch-npm", str(project), "--undo", *manager]) == 0
    run(case.install, project)
    assert not list(project.rglob("*1.?.?.patch"))


def upgrade(project: Path) -> None:
    """Ask for version 1.9.0 of the plugin; npm and pnpm refuse to install it with the patch of another version."""
    manifest = json.loads((project / "package.json").read_text())
    manifest["dependencies"] |= {"@livekit/agents": "1.9.0", PACKAGE: "1.9.0", "@livekit/rtc-node": "0.13.34"}
    (project / "package.json").write_text(json.dumps(manifest, indent=2))


def run(command: str, project: Path, **ci: str) -> None:
    # As in a terminal: with `CI` set, pnpm and yarn refuse an install that would change the lockfile.
    env = {name: value for name, value in os.environ.items() if name not in ("CI", "CONTINUOUS_INTEGRATION")} | ci
    options: dict[str, Any] = {"cwd": project, "env": env, "stdin": subprocess.DEVNULL, "timeout": 240}
    try:
        done = subprocess.run(command.split(), capture_output=True, text=True, **options)
    except subprocess.TimeoutExpired:  # npm can hang after a lost connection
        done = subprocess.run(command.split(), capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr


def session(project: Path, host: str) -> ClientRun:
    preload = (Path(rtstt_testkit.__file__).parent / "node" / "route.mjs").as_uri()
    return drive(["node", "--import", preload, "drive.mjs"], project, host, {})


def snapshot(project: Path) -> dict[str, bytes]:
    files = (path for path in project.rglob("*") if "node_modules" not in path.parts and path.is_file())
    return {str(path.relative_to(project)): path.read_bytes() for path in files}
