"""The npm package rtstt-shim, installed from its tarball, and programs that load it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import _env
import build_npm

from . import npm
from .conftest import APPS, KEY, ROUTE, Outcome

TIMEOUT = 120


def tarball() -> Path:
    """The package of this tree."""
    return build_npm.cached()


def unpacked(modules: Path) -> Path:
    """Put the package into a ``node_modules`` without an installer."""
    folder = modules / "rtstt-shim"
    for name, text in build_npm.files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def project(**packages: str) -> Path:
    """An npm project with the package and others, installed by npm; `__` in a name is a slash, `_` a hyphen."""
    named = {name.replace("__", "/").replace("_", "-"): version for name, version in packages.items()}
    folder = _env.npm_project({**named, "rtstt-shim": f"file:{tarball()}"})
    for app in APPS.iterdir():
        npm.put(app, folder / app.name)
    return folder


def start(
    folder: Path, *words: str | Path, node: str | Path = "system", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Node.js in a folder to its end."""
    executable = node if isinstance(node, Path) else npm.node(node)
    done = subprocess.run(
        [executable, *words],
        cwd=folder,
        env={**os.environ, "NODE_OPTIONS": "", "OPENAI_API_KEY": KEY, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=TIMEOUT,
        check=False,
    )
    assert KEY not in done.stderr
    return done


def routed(folder: Path, *words: str | Path, **options: Any) -> Outcome:
    """Run a program of `apps/`, routed to the mock that `env` names."""
    done = start(folder, "--import", ROUTE.as_uri(), *words, **options)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return Outcome(lines, done.stderr, done.returncode)
