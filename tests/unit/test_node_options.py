"""NODE_OPTIONS with the shim in it: one `--require`, which takes the others along."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rtstt_core.commands import activation, node_options

VECTORS = Path(__file__).parents[1] / "vectors" / "node_options.json"
CASES = json.loads(VECTORS.read_text(encoding="utf-8"))["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["options"] or "empty")
def test_one_require_is_left(case: dict[str, Any]) -> None:
    environ = {"NODE_OPTIONS": case["options"]}
    if "before" in case:
        environ["RTSTT_SHIM_REQUIRE"] = case["before"]
    node_options.add_preload(environ, case.get("preload", "/shim/register.cjs"), case.get("others", []))
    assert environ["NODE_OPTIONS"] == case["result"]
    assert json.loads(environ.get("RTSTT_SHIM_REQUIRE", "[]")) == case.get("require", [])


def test_a_second_time_nothing_changes() -> None:
    environ = {"NODE_OPTIONS": "-r ./a.cjs --no-warnings"}
    node_options.add_preload(environ, "/shim/register.cjs", ["/kit/route.cjs"])
    before = dict(environ)
    node_options.add_preload(environ, "/shim/register.cjs", ["/kit/route.cjs"])
    assert environ == before


def node(environ: dict[str, str], folder: Path, code: str) -> tuple[int, str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RTSTT_")}
    done = subprocess.run(
        ["node", "-e", code], cwd=folder, env={**inherited, **environ}, capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.node
@pytest.mark.parametrize("disable", ["", "1"])
def test_the_other_modules_are_required_as_node_requires_them(disable: str, tmp_path: Path) -> None:
    """Relative to the working directory, in their order and before the shim; in worker threads too."""
    package = tmp_path / "node_modules" / "early"
    package.mkdir(parents=True)
    (package / "index.js").write_text("(globalThis.seen ??= []).push('early')")
    (tmp_path / "a b.cjs").write_text("(globalThis.seen ??= []).push(Symbol.for('rtstt_shim.installed') in globalThis)")
    environ = {"NODE_OPTIONS": '-r early --require "./a b.cjs"', "RTSTT_SHIM_DISABLE": disable}
    node_options.add_preload(environ, str(activation.NODE_SHIM), [])
    code = """
    const { Worker, isMainThread, parentPort } = require('node:worker_threads');
    new Worker("require('node:worker_threads').parentPort.postMessage(globalThis.seen)", { eval: true })
      .on('message', (seen) => console.log(JSON.stringify([globalThis.seen, seen])));
    """
    assert node(environ, tmp_path, code) == (0, '[["early",false],["early",false]]\n', "")


@pytest.mark.node
def test_a_module_that_is_missing_fails_as_it_does_in_node(tmp_path: Path) -> None:
    environ = {"NODE_OPTIONS": "-r ./missing.cjs"}
    node_options.add_preload(environ, str(activation.NODE_SHIM), [])
    code, out, err = node(environ, tmp_path, "console.log('not reached')")
    assert (code, out) == (1, "")
    assert "Cannot find module './missing.cjs'" in err


@pytest.mark.node
@pytest.mark.parametrize("text", ["./a.cjs", "{}"])
def test_a_value_that_is_no_list_is_one_line(text: str, tmp_path: Path) -> None:
    environ = {"NODE_OPTIONS": f"--require {activation.NODE_SHIM}", "RTSTT_SHIM_REQUIRE": text}
    line = "rtstt_shim: RTSTT_SHIM_REQUIRE is not a JSON list of modules; none is required\n"
    assert node(environ, tmp_path, "console.log('runs')") == (0, "runs\n", line)
