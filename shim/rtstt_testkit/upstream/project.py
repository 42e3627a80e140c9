"""The root of a Node project: its manifest and lockfile."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rtstt_testkit.upstream.errors import BadInput
from rtstt_testkit.upstream.files import like, plain

__all__ = ["LOCKFILES", "Project", "is_berry", "open_project"]

LOCKFILES = {
    "package-lock.json": "npm",
    "npm-shrinkwrap.json": "npm",
    "pnpm-lock.yaml": "pnpm",
    "yarn.lock": "yarn",
    "bun.lock": "bun",
    "bun.lockb": "bun",
}


@dataclass(frozen=True)
class Project:
    """The root of a Node project, with its lockfile, patches and their declarations."""

    folder: Path
    manifest: dict[str, Any]
    manifest_text: str
    lockfile: str | None

    def read(self, name: str) -> str | None:
        """Return the text of a file of the project, with its line ends, or None if it does not exist."""
        try:
            return (self.folder / name).read_bytes().decode("utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"cannot read {self.folder / name}: {error}") from error

    def with_manifest(self, manifest: Mapping[str, Any]) -> dict[str, str | None]:
        """Return ``package.json`` with new content, in its present indentation, line ends and encoding."""
        if manifest == self.manifest:
            return {}
        indent = re.search(r"^[\t ]+", self.manifest_text, re.MULTILINE)
        text = json.dumps(manifest, indent=indent.group() if indent else 2, ensure_ascii=False)
        if self.manifest_text.endswith("\n"):
            text += "\n"
        return {"package.json": like(self.manifest_text, text)}

    def dependencies(self) -> set[str]:
        """Return the names of the project's direct dependencies."""
        groups = (self.manifest.get(name) for name in ("dependencies", "devDependencies", "optionalDependencies"))
        return {name for group in groups if isinstance(group, dict) for name in group}


def open_project(folder: Path) -> Project:
    """Open a project, or the workspace root above it that has the lockfile.

    Raises:
        BadInput: It is not a Node project, or a file of it is broken.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder} is not a folder: give the folder of a Node project")
    if not (folder / "package.json").is_file():
        raise BadInput(f"{folder} has no package.json: give the folder of a Node project")
    root, lockfile = folder, _lockfile(folder)
    for parent in folder.resolve().parents:
        if lockfile is not None or (root / ".git").exists():
            break
        if (parent / "package.json").is_file() and _lockfile(parent) is not None:
            root, lockfile = parent, _lockfile(parent)
    text = (root / "package.json").read_bytes().decode("utf-8", "replace")
    try:
        manifest = json.loads(plain(text))
    except ValueError as error:
        raise BadInput(f"{root / 'package.json'} is not valid JSON ({error}): repair it first") from error
    if not isinstance(manifest, dict):
        raise BadInput(f"{root / 'package.json'} holds no JSON object: repair it first")
    project = Project(root, manifest, text, lockfile)
    _check_lockfile(project)
    return project


def _lockfile(folder: Path) -> str | None:
    return next((name for name in LOCKFILES if (folder / name).is_file()), None)


def is_berry(project: Project) -> bool:
    """Return whether a project uses yarn 2 or newer, or has no yarn lockfile."""
    return "__metadata:" in (project.read("yarn.lock") or "__metadata:")


def _check_lockfile(project: Project) -> None:
    name = project.lockfile
    if name is None or name == "bun.lockb":
        return
    text = plain(project.read(name) or "")
    try:
        if name.endswith(".json"):
            json.loads(text)
        elif name == "bun.lock":
            json.loads(re.sub(r",(\s*[}\]])", r"\1", text))
        elif (name == "pnpm-lock.yaml" or is_berry(project)) and not isinstance(yaml.safe_load(text), dict):
            raise ValueError("it holds no mapping")
    except (ValueError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise BadInput(f"{project.folder / name} is broken ({reason}): generate it again before patching") from error
