"""Package managers: the form of their patches, and how each is declared, applied and undone."""

from __future__ import annotations

import glob
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from rtstt_testkit.upstream.errors import BadInput
from rtstt_testkit.upstream.files import like, plain
from rtstt_testkit.upstream.installed import Installed
from rtstt_testkit.upstream.packages import Package
from rtstt_testkit.upstream.project import LOCKFILES, Project, is_berry
from rtstt_testkit.upstream.scratch import execute

__all__ = ["MANAGERS", "Manager", "choose"]

PATCH_PACKAGE = "^8.0.1"


@dataclass(frozen=True)
class Manager:
    """How one package manager patches a package.

    Attributes:
        path: The path of the patch below the project, with ``{name}`` and ``{version}``.
        slash: What replaces the slash of a scoped name in ``path``.
        folder: The prefix of the paths inside the patch, with ``{name}``.
        declare: Returns the changed files, other than the patch, that make the manager apply it.
        undeclare: Returns the changed files, other than the patch, that take the declaration of a version back.
        declaration: The place of the declaration, for the undo instructions.
    """

    name: str
    path: str
    slash: str
    folder: str
    declare: Callable[[Project, Installed, str], dict[str, str | None]]
    undeclare: Callable[[Project, str, str, str], dict[str, str | None]]
    declaration: str

    def apply(self, project: Project) -> str:
        """Return the command that applies a declared patch and records it in the lockfile."""
        tool = LOCKFILES.get(project.lockfile or "", "npm") if self.name == "patch-package" else self.name
        return f"{tool} install"

    def patch_path(self, name: str, version: str) -> str:
        """Return the path of the patch of a package's version, below the project."""
        return self.path.format(name=name.replace("/", self.slash), version=version)

    def files(self, project: Project, copy: Installed) -> dict[str, str | None]:
        """Return the changed files that patch one installed version."""
        path = self.patch_path(copy.package.name, copy.version)
        files = {path: copy.patch(self.folder.format(name=copy.package.name)), **self.declare(project, copy, path)}
        return {name: text for name, text in files.items() if project.read(name) != text}

    def patched_versions(self, project: Project, package: Package) -> list[str]:
        """Return the versions of a package for which the project contains a patch of this kit."""
        before, after = self.patch_path(package.name, "\n").split("\n")
        folder = project.folder / before.rpartition("/")[0]
        start = before.rpartition("/")[2]
        found = []
        for file in sorted(folder.glob(f"{glob.escape(start)}*{after}")):
            path = file.relative_to(project.folder).as_posix()
            if package.mark in (project.read(path) or ""):
                found.append(path[len(before) : -len(after)])
        return found

    def removal(self, project: Project, name: str, version: str) -> dict[str, str | None]:
        """Return the changed files that take the patch of a version back."""
        path = self.patch_path(name, version)
        return {path: None, **self.undeclare(project, name, version, path)}

    def is_declared(self, project: Project, copy: Installed) -> bool:
        """Return whether the project contains the patch of a version and its declaration."""
        path = self.patch_path(copy.package.name, copy.version)
        return (project.folder / path).is_file() and not self.declare(project, copy, path)


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
    if name == "yarn" and not is_berry(project):
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


def _in_manifest(project: Project, keys: tuple[str, ...], name: str, value: str) -> dict[str, str | None]:
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


def _patched_dependencies(project: Project, copy: Installed, path: str) -> dict[str, str | None]:
    return _in_manifest(project, ("patchedDependencies",), f"{copy.package.name}@{copy.version}", path)


def _pnpm(project: Project, copy: Installed, path: str) -> dict[str, str | None]:
    name = f"{copy.package.name}@{copy.version}"
    if "patchedDependencies" in (project.manifest.get("pnpm") or {}):
        return _in_manifest(project, ("pnpm", "patchedDependencies"), name, path)
    file = "pnpm-workspace.yaml"
    original = project.read(file) or ""
    text = plain(original)
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
            raise BadInput(f"patchedDependencies in {project.folder / file} is not a block: write one entry per line")
        return {file: like(original, text)}
    text = re.sub(r"(?m)^patchedDependencies:.*\n?", "", text)
    if text and not text.endswith("\n"):
        text += "\n"
    return {file: like(original, f"{text}patchedDependencies:\n{line}")}


def _not_in_manifest(project: Project, keys: tuple[str, ...], name: str) -> dict[str, str | None]:
    """Remove an entry of a table in ``package.json``, and the tables that become empty."""
    manifest = json.loads(json.dumps(project.manifest))
    tables = [manifest]
    for key in keys:
        table = tables[-1].get(key)
        if not isinstance(table, dict):
            return {}
        tables.append(table)
    tables[-1].pop(name, None)
    for key, parent, table in zip(reversed(keys), tables[-2::-1], tables[:0:-1], strict=True):
        if not table:
            del parent[key]
    return project.with_manifest(manifest)


def _no_patched_dependencies(project: Project, name: str, version: str, path: str) -> dict[str, str | None]:
    return _not_in_manifest(project, ("patchedDependencies",), f"{name}@{version}")


def _no_pnpm(project: Project, name: str, version: str, path: str) -> dict[str, str | None]:
    file = "pnpm-workspace.yaml"
    original = project.read(file) or ""
    text = plain(original)
    line = rf"  '{re.escape(name)}@{re.escape(version)}': {re.escape(path)}\n"
    changed = re.sub(rf"(?m)^{line}", "", text)
    if changed != text:
        changed = re.sub(r"(?m)^patchedDependencies:[ \t]*\n(?! )", "", changed)
        return {file: like(original, changed) if changed.strip() else None}
    return _not_in_manifest(project, ("pnpm", "patchedDependencies"), f"{name}@{version}")


def _no_yarn(project: Project, name: str, version: str, path: str) -> dict[str, str | None]:
    manifest = json.loads(json.dumps(project.manifest))
    resolutions = manifest.get("resolutions")
    if isinstance(resolutions, dict):
        value = _resolution(name, version, path)
        manifest["resolutions"] = {key: target for key, target in resolutions.items() if target != value}
        if not manifest["resolutions"]:
            del manifest["resolutions"]
    return project.with_manifest(manifest)


def _resolution(name: str, version: str, path: str) -> str:
    return f"patch:{name}@npm%3A{version}#~/{path}"


def _no_patch_package(project: Project, name: str, version: str, path: str) -> dict[str, str | None]:
    """Remove patch-package if no other patch needs it and it was added as this kit adds it."""
    others = [file for file in (project.folder / "patches").glob("*.patch") if file != project.folder / path]
    if others:
        return {}
    manifest = json.loads(json.dumps(project.manifest))
    scripts, dependencies = manifest.get("scripts", {}), manifest.get("dependencies", {})
    if dependencies.get("patch-package") != PATCH_PACKAGE:
        return {}
    before, _, command = scripts.get("postinstall", "").rpartition(" && ")
    if command == "patch-package":
        scripts["postinstall"] = before
    dependencies.pop("patch-package")
    for table, key in ((scripts, "postinstall"),):
        if not table.get(key):
            table.pop(key, None)
    for name in ("scripts", "dependencies"):
        if name in manifest and not manifest[name]:
            del manifest[name]
    return project.with_manifest(manifest)


def _yarn(project: Project, copy: Installed, path: str) -> dict[str, str | None]:
    """Add a resolution for each range that resolves to the version, as ``yarn patch-commit`` does."""
    entries = yaml.safe_load(plain(project.read("yarn.lock") or "")) or {}
    ranges = sorted(
        wanted.rpartition("@")[2]
        for names, entry in entries.items()
        if isinstance(entry, dict) and str(entry.get("version")) == copy.version
        for wanted in names.split(", ")
        if wanted.startswith(f"{copy.package.name}@npm:")
    )
    if not ranges:
        lock = project.folder / "yarn.lock"
        raise BadInput(f"{lock} does not list {copy.package.name} {copy.version}: run `yarn install` first")
    value = _resolution(copy.package.name, copy.version, path)
    manifest = json.loads(json.dumps(project.manifest))
    resolutions = manifest.setdefault("resolutions", {})
    if value in resolutions.values():
        return {}
    resolutions.update({f"{copy.package.name}@{wanted}": value for wanted in ranges})
    return project.with_manifest(manifest)


def _patch_package(project: Project, copy: Installed, path: str) -> dict[str, str | None]:
    manifest = json.loads(json.dumps(project.manifest))
    if "patch-package" not in project.dependencies():
        # Not a development dependency, so that a production install applies the patch too.
        manifest.setdefault("dependencies", {})["patch-package"] = PATCH_PACKAGE
    script = manifest.setdefault("scripts", {}).get("postinstall", "")
    if "patch-package" not in script:
        manifest["scripts"]["postinstall"] = f"{script} && patch-package" if script else "patch-package"
    return project.with_manifest(manifest)


MANAGERS = {
    manager.name: manager
    for manager in (
        Manager(
            name="npm",
            path="patches/{name}@{version}.patch",
            slash="/",
            folder="",
            declare=_patched_dependencies,
            undeclare=_no_patched_dependencies,
            declaration="its entry in patchedDependencies of package.json",
        ),
        Manager(
            name="pnpm",
            path="patches/{name}@{version}.patch",
            slash="__",
            folder="",
            declare=_pnpm,
            undeclare=_no_pnpm,
            declaration="its entry in patchedDependencies of pnpm-workspace.yaml",
        ),
        Manager(
            name="yarn",
            path=".yarn/patches/{name}-npm-{version}.patch",
            slash="-",
            folder="",
            declare=_yarn,
            undeclare=_no_yarn,
            declaration="its entry in resolutions of package.json",
        ),
        Manager(
            name="bun",
            path="patches/{name}@{version}.patch",
            slash="%2F",
            folder="",
            declare=_patched_dependencies,
            undeclare=_no_patched_dependencies,
            declaration="its entry in patchedDependencies of package.json",
        ),
        Manager(
            name="patch-package",
            path="patches/{name}+{version}.patch",
            slash="+",
            folder="node_modules/{name}/",
            declare=_patch_package,
            undeclare=_no_patch_package,
            declaration="patch-package in scripts and dependencies of package.json",
        ),
    )
}
