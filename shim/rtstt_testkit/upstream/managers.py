"""Package managers: the form of their patches, and how each is declared, applied and undone."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rtstt_testkit.upstream.errors import BadInput
from rtstt_testkit.upstream.installed import PACKAGE, Installed
from rtstt_testkit.upstream.scratch import execute

__all__ = ["MANAGERS", "Manager", "Project", "open_project"]

LOCKFILES = {
    "package-lock.json": "npm",
    "npm-shrinkwrap.json": "npm",
    "pnpm-lock.yaml": "pnpm",
    "yarn.lock": "yarn",
    "bun.lock": "bun",
    "bun.lockb": "bun",
}
PATCH_PACKAGE = "^8.0.1"


@dataclass(frozen=True)
class Project:
    """The root of a Node project, with its lockfile, patches and their declarations."""

    folder: Path
    manifest: dict[str, Any]
    manifest_text: str
    lockfile: str | None

    def read(self, name: str) -> str | None:
        """Return the text of a file of the project, or None if it does not exist."""
        try:
            return (self.folder / name).read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"cannot read {self.folder / name}: {error}") from error

    def with_manifest(self, manifest: Mapping[str, Any]) -> dict[str, str]:
        """Return ``package.json`` with new content, in its present indentation."""
        indent = re.search(r"^[\t ]+", self.manifest_text, re.MULTILINE)
        text = json.dumps(manifest, indent=indent.group() if indent else 2, ensure_ascii=False)
        return {"package.json": text + ("\n" if self.manifest_text.endswith("\n") else "")}

    def dependencies(self) -> set[str]:
        """Return the names of the project's direct dependencies."""
        groups = (self.manifest.get(name) for name in ("dependencies", "devDependencies", "optionalDependencies"))
        return {name for group in groups if isinstance(group, dict) for name in group}


@dataclass(frozen=True)
class Manager:
    """How one package manager patches a package.

    Attributes:
        path: The path of the patch below the project, with ``{version}``.
        folder: The prefix of the paths inside the patch.
        declare: Returns the changed files, other than the patch, that make the manager apply it.
        declaration: The place of the declaration, for the undo instructions.
    """

    name: str
    path: str
    folder: str
    declare: Callable[[Project, Installed, str], dict[str, str]]
    declaration: str

    def apply(self, project: Project) -> str:
        """Return the command that applies a declared patch and records it in the lockfile."""
        tool = LOCKFILES.get(project.lockfile or "", "npm") if self.name == "patch-package" else self.name
        return f"{tool} install"

    def files(self, project: Project, copy: Installed) -> dict[str, str]:
        """Return the changed files that patch one installed version."""
        path = self.path.format(version=copy.version)
        files = {path: copy.patch(self.folder), **self.declare(project, copy, path)}
        return {name: text for name, text in files.items() if project.read(name) != text}

    def is_declared(self, project: Project, copy: Installed) -> bool:
        """Return whether the project contains the patch of a version and its declaration."""
        path = self.path.format(version=copy.version)
        return (project.folder / path).is_file() and not self.declare(project, copy, path)


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
    text = (root / "package.json").read_bytes().decode("utf-8-sig", "replace")
    try:
        manifest = json.loads(text)
    except ValueError as error:
        raise BadInput(f"{root / 'package.json'} is not valid JSON ({error}): repair it first") from error
    if not isinstance(manifest, dict):
        raise BadInput(f"{root / 'package.json'} holds no JSON object: repair it first")
    project = Project(root, manifest, text, lockfile)
    _check_lockfile(project)
    return project


def choose(project: Project) -> tuple[Manager, str]:
    """Return the package manager of a project, and the evidence for it."""
    if "patch-package" in project.dependencies():
        return MANAGERS["patch-package"], "package.json lists it"
    name, _, version = str(project.manifest.get("packageManager", "")).partition("@")
    why = "package.json names it"
    if name not in LOCKFILES.values():
        name, version, why = "npm", "", "there is no lockfile"
        if project.lockfile is not None:
            name, why = LOCKFILES[project.lockfile], f"there is a {project.lockfile}"
    if name == "yarn" and not _is_berry(project):
        return MANAGERS["patch-package"], "yarn 1 applies no patches itself"
    if name == "npm":
        version = version or _npm_version(project)
        if int(version.partition(".")[0]) < 12:
            return MANAGERS["patch-package"], f"npm {version} applies no patches itself, npm 12 does"
    return MANAGERS[name], why


def _npm_version(project: Project) -> str:
    if shutil.which("npm") is None:
        raise BadInput(
            "npm is not installed, so its version is unknown: give --manager npm (12 or newer) or patch-package"
        )
    words = execute(["npm", "--version"], project.folder).stdout.split()
    return next((word for word in words if re.fullmatch(r"\d+\.\d+\.\d+\S*", word)), "0.0.0")


def _lockfile(folder: Path) -> str | None:
    return next((name for name in LOCKFILES if (folder / name).is_file()), None)


def _is_berry(project: Project) -> bool:
    return "__metadata:" in (project.read("yarn.lock") or "__metadata:")


def _check_lockfile(project: Project) -> None:
    name = project.lockfile
    if name is None or name == "bun.lockb":
        return
    text = project.read(name) or ""
    try:
        if name.endswith(".json"):
            json.loads(text)
        elif name == "bun.lock":
            json.loads(re.sub(r",(\s*[}\]])", r"\1", text))
        elif (name == "pnpm-lock.yaml" or _is_berry(project)) and not isinstance(yaml.safe_load(text), dict):
            raise ValueError("it holds no mapping")
    except (ValueError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise BadInput(f"{project.folder / name} is broken ({reason}): generate it again before patching") from error


def _in_manifest(project: Project, keys: tuple[str, ...], name: str, value: str) -> dict[str, str]:
    manifest = json.loads(json.dumps(project.manifest))
    table = manifest
    for key in keys:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise BadInput(f"{'.'.join(keys)} in {project.folder / 'package.json'} is not an object: repair it first")
    if table.get(name) == value:
        return {}
    if name in table:
        raise BadInput(_other_patch(project.folder / "package.json", name, table[name]))
    table[name] = value
    return project.with_manifest(manifest)


def _other_patch(file: Path, name: str, path: object) -> str:
    return f"{file} already patches {name} with {path}: add to that patch, or remove it first"


def _patched_dependencies(project: Project, copy: Installed, path: str) -> dict[str, str]:
    return _in_manifest(project, ("patchedDependencies",), f"{PACKAGE}@{copy.version}", path)


def _pnpm(project: Project, copy: Installed, path: str) -> dict[str, str]:
    name = f"{PACKAGE}@{copy.version}"
    if "patchedDependencies" in (project.manifest.get("pnpm") or {}):
        return _in_manifest(project, ("pnpm", "patchedDependencies"), name, path)
    file = "pnpm-workspace.yaml"
    text = project.read(file) or ""
    try:
        settings = yaml.safe_load(text) or {}
        declared = settings.get("patchedDependencies") or {}
        if declared.get(name) == path:
            return {}
    except (AttributeError, yaml.YAMLError) as error:
        raise BadInput(f"{project.folder / file} is broken: repair it first") from error
    line = f"  '{name}': {path}\n"
    if name in declared:
        raise BadInput(_other_patch(project.folder / file, name, declared[name]))
    if declared:
        text, count = re.subn(r"(?m)^patchedDependencies:[ \t]*(#.*)?\n", r"\g<0>" + line, text)
        if count != 1:
            raise BadInput(f"patchedDependencies in {project.folder / file} is not a block: write one entry a line")
        return {file: text}
    text = re.sub(r"(?m)^patchedDependencies:.*\n?", "", text)
    if text and not text.endswith("\n"):
        text += "\n"
    return {file: f"{text}patchedDependencies:\n{line}"}


def _yarn(project: Project, copy: Installed, path: str) -> dict[str, str]:
    """Add a resolution for each range that resolves to the version, as ``yarn patch-commit`` does."""
    entries = yaml.safe_load(project.read("yarn.lock") or "") or {}
    ranges = sorted(
        wanted.rpartition("@")[2]
        for names, entry in entries.items()
        if isinstance(entry, dict) and str(entry.get("version")) == copy.version
        for wanted in names.split(", ")
        if wanted.startswith(f"{PACKAGE}@npm:")
    )
    if not ranges:
        lock = project.folder / "yarn.lock"
        raise BadInput(f"{lock} does not list {PACKAGE} {copy.version}: run `yarn install` first")
    value = f"patch:{PACKAGE}@npm%3A{copy.version}#~/{path}"
    manifest = json.loads(json.dumps(project.manifest))
    resolutions = manifest.setdefault("resolutions", {})
    if value in resolutions.values():
        return {}
    resolutions.update({f"{PACKAGE}@{wanted}": value for wanted in ranges})
    return project.with_manifest(manifest)


def _patch_package(project: Project, copy: Installed, path: str) -> dict[str, str]:
    manifest = json.loads(json.dumps(project.manifest))
    if "patch-package" not in project.dependencies():
        # Not a development dependency, so that a production install applies the patch too.
        manifest.setdefault("dependencies", {})["patch-package"] = PATCH_PACKAGE
    script = manifest.setdefault("scripts", {}).get("postinstall", "")
    if "patch-package" not in script:
        manifest["scripts"]["postinstall"] = f"{script} && patch-package" if script else "patch-package"
    return {} if manifest == project.manifest else project.with_manifest(manifest)


MANAGERS = {
    manager.name: manager
    for manager in (
        Manager(
            name="npm",
            path=f"patches/{PACKAGE}@{{version}}.patch",
            folder="",
            declare=_patched_dependencies,
            declaration="its entry in patchedDependencies of package.json",
        ),
        Manager(
            name="pnpm",
            path=f"patches/{PACKAGE.replace('/', '__')}@{{version}}.patch",
            folder="",
            declare=_pnpm,
            declaration="its entry in patchedDependencies of pnpm-workspace.yaml",
        ),
        Manager(
            name="yarn",
            path=f".yarn/patches/{PACKAGE.replace('/', '-')}-npm-{{version}}.patch",
            folder="",
            declare=_yarn,
            declaration="its entry in resolutions of package.json",
        ),
        Manager(
            name="bun",
            path=f"patches/{PACKAGE.replace('/', '%2F')}@{{version}}.patch",
            folder="",
            declare=_patched_dependencies,
            declaration="its entry in patchedDependencies of package.json",
        ),
        Manager(
            name="patch-package",
            path=f"patches/{PACKAGE.replace('/', '+')}+{{version}}.patch",
            folder=f"node_modules/{PACKAGE}/",
            declare=_patch_package,
            declaration="patch-package in scripts and dependencies of package.json",
        ),
    )
}
