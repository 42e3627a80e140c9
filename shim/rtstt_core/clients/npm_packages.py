"""Find the npm packages that a Node project has installed, wherever its package manager keeps them.

``rtstt-shim doctor`` and ``rtstt-shim patch-npm`` share this module. It knows ``node_modules`` of every manager
(nested, hoisted above a workspace's member, in stores, linked) and the archives of Yarn's Plug'n'Play.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile, ZipFile

from rtstt_core.clients.tree import Unread, is_file, is_folder, is_skipped, read_json, read_text, walk

__all__ = ["STORES", "NpmPackage", "find_packages", "folders_below", "leads_to_packages", "packages_in"]

STORES = {
    ".bun": "bun's isolated installs",
    ".deno": "Deno",
    ".pnpm": "pnpm",
    ".store": "npm's and Yarn's linked installs",
}
"""Folders of ``node_modules`` in which an installer keeps a ``node_modules`` for each package, with the installer."""

_PNP = (".pnp.cjs", ".pnp.data.json")
_LARGEST = 20 * 1024 * 1024  # bytes, unpacked


class NpmPackage(NamedTuple):
    """One installed copy of a package.

    Attributes:
        name: The name under which programs import it.
        path: Its folder; the archive that holds it with Yarn's Plug'n'Play.
        inside: Its folder in the archive, with a slash at its end; empty if it is not in an archive.
    """

    name: str
    path: Path
    inside: str = ""

    def read(self, file: str, unread: Unread) -> str | None:
        """Return the text of one of its files; None where there is none, or where it cannot be read, which is noted.

        Args:
            file: The path below the package's folder, with slashes.
            unread: Gets the path where it cannot be read.
        """
        if not self.inside:
            return read_text(self.path / file, unread)
        try:
            with ZipFile(self.path) as archive:
                if archive.getinfo(self.inside + file).file_size > _LARGEST:
                    raise ValueError(f"{file} is larger than {_LARGEST // 1024 // 1024} MiB")
                return archive.read(self.inside + file).decode("utf-8", "replace")
        except KeyError:
            return None
        except (OSError, BadZipFile, ValueError, RuntimeError, NotImplementedError) as error:
            unread.add(self.path, error)
            return None

    def files(self, unread: Unread) -> list[str]:
        """Return the paths of its files, below its folder and with slashes; those of nested packages are left out."""
        if not self.inside:
            found = walk(self.path.resolve(), unread, lambda here, name: name != "node_modules")
            root = self.path.resolve()
            return [(here / name).relative_to(root).as_posix() for here, _, names in found for name in names]
        try:
            with ZipFile(self.path) as archive:
                names = archive.namelist()
        except (OSError, BadZipFile) as error:
            unread.add(self.path, error)
            return []
        return sorted(name[len(self.inside) :] for name in names if name.startswith(self.inside) and name[-1] != "/")

    def version(self, unread: Unread) -> str:
        """Return its version; empty where its package.json does not hold one."""
        manifest = read_json(self.read("package.json", unread))
        version = manifest.get("version") if isinstance(manifest, dict) else None
        return version if isinstance(version, str) else ""


def find_packages(folder: Path, unread: Unread, wanted: Callable[[str], bool] = lambda name: True) -> list[NpmPackage]:
    """Find the packages that are installed below a folder, and above it for a member of a workspace.

    Args:
        folder: A project, a workspace or a member of one, or any folder above them. Caches below it are left out, but
            it may be in one.
        unread: Gets what cannot be read.
        wanted: Whether a package is of interest, by its name.

    Returns:
        Every copy once, in the order of their paths.
    """
    modules, archives = folders_below(folder, unread)
    for parent in _projects_above(folder):
        if is_folder(parent / "node_modules"):
            modules += folders_below(parent / "node_modules", unread)[0]
        archives += [parent / name for name in _PNP if is_file(parent / name)]
    found = packages_in(modules, archives, unread, wanted)
    # Yarn leaves out the archives of packages for another platform.
    return [package for package in found if not package.inside or is_file(package.path)]


def folders_below(folder: Path, unread: Unread) -> tuple[list[Path], list[Path]]:
    """Return the ``node_modules`` and the Plug'n'Play files below a folder, for `packages_in`.

    Args:
        folder: The folder. Caches below it are left out, but it may be in one.
        unread: Gets what cannot be read.
    """
    modules, archives = [], []
    for here, folders, files in walk(folder, unread, leads_to_packages):
        if here.name == "node_modules":
            modules.append(here)
        elif "node_modules" in folders and (here / "node_modules").is_symlink():
            # Its packages may be out of the tree.
            modules.append(here / "node_modules")
        archives += [here / name for name in _PNP if name in files]
    return modules, archives


def _projects_above(folder: Path) -> Iterator[Path]:
    """Yield the projects above a folder, up to the repository: a workspace's packages are at its root."""
    here = folder.resolve()
    while not (here / ".git").exists() and "node_modules" not in here.parts and here != here.parent:
        here = here.parent
        if is_file(here / "package.json"):
            yield here


def leads_to_packages(here: Path, name: str) -> bool:
    """Return whether there may be a ``node_modules`` below a folder: in a package, only directly in it.

    Args:
        here: The folder's parent.
        name: The folder's name.
    """
    if here.name == "node_modules":
        return name in STORES or not name.startswith(".")
    scope = here.parent if here.parent.name.startswith("@") else here
    if scope.parent.name == "node_modules" and not here.name.startswith(("@", ".")):
        return name == "node_modules"
    return not is_skipped(here, name)


def packages_in(
    modules: Iterable[Path], archives: Iterable[Path], unread: Unread, wanted: Callable[[str], bool]
) -> list[NpmPackage]:
    """Find the packages in some ``node_modules`` and in what some Plug'n'Play files name.

    Args:
        modules: The ``node_modules`` folders; a nested one of a package is searched only if it is in this list.
        archives: The ``.pnp.cjs`` or ``.pnp.data.json`` files.
        unread: Gets what cannot be read.
        wanted: Whether a package is of interest, by its name.

    Returns:
        Every copy once, in the order of their paths. An archive that a Plug'n'Play file names need not exist.
    """
    found: dict[tuple[Path, str], NpmPackage] = {}
    for folder in modules:
        for name in _names(folder, unread):
            path = folder / name
            if not wanted(name) or not is_file(path / "package.json"):
                continue
            known = found.get((path.resolve(), ""))
            # A link to a copy in a store shows that it is in use; one of an earlier install stays there unused.
            if known is None or (path.is_symlink() and not known.path.is_symlink()):
                found[path.resolve(), ""] = NpmPackage(name, path)
    for file in archives:
        for package in _archived(file, wanted, unread):
            found.setdefault((package.path, package.inside), package)
    return sorted(found.values(), key=lambda package: str(package.path))


def _names(modules: Path, unread: Unread) -> Iterator[str]:
    for name in _entries(modules, unread):
        if name.startswith("@"):
            yield from (f"{name}/{inner}" for inner in _entries(modules / name, unread))
        elif not name.startswith("."):
            yield name


def _entries(folder: Path, unread: Unread) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except NotADirectoryError:
        return []
    except OSError as error:
        unread.add(folder, error)
        return []


_LOCATION = re.compile(
    r'"packageLocation":\s*"(?P<archive>[^"]+\.zip)/(?P<inside>node_modules/(?P<name>(?:@[^/"]+/)?[^/"]+)/)"'
)
# `a/__virtual__/hash/2/b` is `a/../../b`.
_VIRTUAL = re.compile(r"__virtual__/[^/]+/(\d+)/")


def _archived(file: Path, wanted: Callable[[str], bool], unread: Unread) -> list[NpmPackage]:
    found = []
    for match in _LOCATION.finditer(read_text(file, unread) or ""):
        name = _VIRTUAL.sub(lambda virtual: "../" * min(int(virtual[1]), 64), match["archive"])
        package = NpmPackage(match["name"], (file.parent / name).resolve(), match["inside"])
        if wanted(package.name):
            found.append(package)
    # A package that the project patches is listed there twice, and programs load the patched one.
    patched = {package.name for package in found if "-patch-" in package.path.name}
    return [package for package in found if package.name not in patched or "-patch-" in package.path.name]
