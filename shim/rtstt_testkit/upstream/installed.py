"""The installed copies of a package in a Node project."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from rtstt_testkit.upstream import git
from rtstt_testkit.upstream.errors import BadInput, NotAffected, UnknownShape
from rtstt_testkit.upstream.files import like, plain
from rtstt_testkit.upstream.packages import Package
from rtstt_testkit.upstream.rules import apply_rules, load_rules

__all__ = ["Installed", "find_installed", "need"]

#: The folders of managers that store each package once and link to it: pnpm, bun, npm with install-strategy=linked.
STORES = (".pnpm", ".bun", ".store")
_DEPTH = 4


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


def find_installed(project: Path, package: Package) -> list[Installed]:
    """Return every copy of a package below a project, including its workspaces, nested copies and stores.

    Raises:
        BadInput: The project has no node_modules, or a copy cannot be read.
    """
    if (project / ".pnp.cjs").is_file():
        return [_read_archive(archive, package) for archive in _archives(project, package.name)]
    modules = [folder for folder in _folders(project, _DEPTH) if (folder / "node_modules").is_dir()]
    if not modules:
        raise BadInput(f"{project} has no node_modules: install its dependencies first")
    copies: dict[Path, Path] = {}
    for folder in modules:
        for copy in _copies(folder / "node_modules", package.name):
            copies.setdefault(copy.resolve(), copy)
    return sorted((_read(copy, package) for copy in copies.values()), key=lambda copy: (copy.version, str(copy.folder)))


def _folders(folder: Path, depth: int) -> Iterator[Path]:
    """Yield the folders that may be workspaces of a project."""
    yield folder
    if depth:
        for child in sorted(folder.iterdir()):
            if child.name != "node_modules" and not child.name.startswith(".") and _is_folder(child):
                yield from _folders(child, depth - 1)


def _copies(modules: Path, name: str) -> Iterator[Path]:
    """Yield the copies in a ``node_modules``, its nested ones and its stores."""
    if (modules / name / "package.json").is_file():
        yield modules / name
    for child in sorted(modules.iterdir()):
        if child.name in STORES:
            # Only copies that another package links to: those of earlier installs stay in a store unused.
            yield from (link for link in sorted(child.glob(f"*/node_modules/{name}")) if link.is_symlink())
        elif child.name.startswith("@") and _is_folder(child):
            nested = [package / "node_modules" for package in sorted(child.iterdir()) if _is_folder(package)]
            for inner in nested:
                if inner.is_dir():
                    yield from _copies(inner, name)
        elif _is_folder(child) and (child / "node_modules").is_dir():
            yield from _copies(child / "node_modules", name)


def _archives(project: Path, name: str) -> list[Path]:
    """Return the zip files of yarn's Plug'n'Play that contain a package."""
    text = (project / ".pnp.cjs").read_text(encoding="utf-8", errors="replace")
    found = re.findall(rf'"packageLocation": "([^"]+\.zip)/node_modules/{re.escape(name)}/"', text)
    virtual = re.compile(r"__virtual__/[^/]+/(\d+)/")
    # `a/__virtual__/hash/2/b` is `a/../../b`.
    plain = {virtual.sub(lambda match: "../" * int(match[1]), archive) for archive in found}
    archives = {(project / archive).resolve() for archive in plain}
    patched = {archive for archive in archives if "-patch-" in archive.name}
    return sorted(patched or archives)


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


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _read(folder: Path, package: Package) -> Installed:
    try:
        version = json.loads((folder / "package.json").read_bytes())["version"]
        files = {path: (folder / path).read_bytes().decode() for path in package.files if (folder / path).is_file()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{folder} is damaged ({error}): reinstall it") from error
    if not files:
        raise UnknownShape(f"{folder} has neither {' nor '.join(package.files)}, so this version is unknown")
    return Installed(package, folder, version, files)


def need(copy: Installed) -> str | None:
    """Return why a copy needs no patch, or None if it does."""
    try:
        copy.patched()
    except NotAffected as error:
        return str(error)
    return None
