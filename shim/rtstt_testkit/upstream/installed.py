"""The installed copies of a package in a Node project."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from rtstt_core.clients.npm_packages import STORES, folders_below, packages_in
from rtstt_core.clients.tree import Unread
from rtstt_testkit.upstream import git
from rtstt_testkit.upstream.errors import BadInput, NotAffected, UnknownShape
from rtstt_testkit.upstream.files import like, plain
from rtstt_testkit.upstream.packages import Package
from rtstt_testkit.upstream.rules import apply_rules, load_rules

__all__ = ["Installed", "find_installed", "need"]


@dataclass(frozen=True)
class Installed:
    """One installed copy of a package."""

    package: Package
    folder: Path
    version: str
    files: Mapping[str, str]

    def patched(self) -> dict[str, str]:
        """Return the patched files.

        Raises:
            NotAffected: They do not need the patch.
            UnknownShape: They do not contain what the rules look for.
        """
        rules = load_rules(self.package.rules)
        after, reason = dict(self.files), ""
        for path, text in self.files.items():
            try:
                where = {"source": str(self.folder / path)}
                after[path] = like(text, apply_rules(rules, {"source": plain(text)}, where).texts["source"])
            except NotAffected as error:
                reason = str(error)
        if after == self.files:
            raise NotAffected(reason)
        return after

    def patch(self, folder: str) -> str:
        """Return the patch in git's format.

        Args:
            folder: A prefix of its paths: empty, or a folder that ends with ``/``.
        """
        after = self.patched()
        return git.diff(
            {f"{folder}{path}": text for path, text in self.files.items()},
            {f"{folder}{path}": text for path, text in after.items()},
        )[0]


def find_installed(project: Path, package: Package, unread: Unread) -> list[Installed]:
    """Return every copy of a package below a project, including its workspaces, nested copies and stores.

    Args:
        project: The root of the project.
        package: The package.
        unread: Gets the folders that cannot be read.

    Raises:
        BadInput: The project has no node_modules, or a copy cannot be read.
    """
    modules, archives = folders_below(project, unread)
    archives = [file for file in archives if file.parent == project]
    # With Plug'n'Play, programs load from the archives alone.
    modules = [] if archives else [folder for folder in modules if _is_installed(folder.relative_to(project))]
    if not modules and not archives:
        raise BadInput(f"{project} has no node_modules: install its dependencies first")
    copies = []
    for found in packages_in(modules, archives, unread, package.name.__eq__):
        if found.inside:
            copies.append(_read_archive(found.path, package))
        elif found.path.is_symlink() or _is_installed(found.path.relative_to(project), stores=False):
            copies.append(_read(found.path, package))
    return sorted(copies, key=lambda copy: (copy.version, str(copy.folder)))


def _is_installed(path: Path, *, stores: bool = True) -> bool:
    """Return whether a path has no hidden folder, in which there is what was built or copied.

    Args:
        path: A path below a project.
        stores: Whether to accept a store. A copy in one is used only if something links to it: those of earlier
            installs stay there.
    """
    return not any(part.startswith(".") and not (stores and part in STORES) for part in path.parts)


def _read_archive(archive: Path, package: Package) -> Installed:
    try:
        with ZipFile(archive) as content:
            read = {
                path: content.read(f"node_modules/{package.name}/{path}").decode()
                for path in ("package.json", *package.files)
                if f"node_modules/{package.name}/{path}" in content.namelist()
            }
        return Installed(package, archive, json.loads(read.pop("package.json"))["version"], read)
    except (OSError, BadZipFile, ValueError, KeyError) as error:
        raise BadInput(f"{archive} cannot be read ({error}): run `yarn install` first") from error


def _read(folder: Path, package: Package) -> Installed:
    try:
        version = json.loads((folder / "package.json").read_bytes())["version"]
        files = {path: (folder / path).read_bytes().decode() for path in package.files if (folder / path).is_file()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{folder} is damaged ({error}): reinstall it") from error
    if not files:
        raise UnknownShape(f"{folder} has no {' or '.join(package.files)}, so this version is unknown")
    return Installed(package, folder, version, files)


def need(copy: Installed) -> str | None:
    """Return why a copy needs no patch, or None if it does."""
    try:
        copy.patched()
    except NotAffected as error:
        return str(error)
    return None
