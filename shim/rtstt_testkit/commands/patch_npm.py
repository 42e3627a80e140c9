"""The work of ``rtstt-shim patch-npm``."""

from __future__ import annotations

import argparse
import sys

from rtstt_core.clients.tree import Unread, printable
from rtstt_core.errors import CommandError, UsageError
from rtstt_testkit.upstream.errors import BadInput, UpstreamError
from rtstt_testkit.upstream.files import write_all
from rtstt_testkit.upstream.installed import Installed, find_installed, need
from rtstt_testkit.upstream.managers import MANAGERS, Manager, choose
from rtstt_testkit.upstream.packages import Package, load_packages
from rtstt_testkit.upstream.project import Project, open_project
from rtstt_testkit.upstream.ranges import excludes, range_beside

__all__ = ["run"]


_Patched = list[tuple[Manager, Package, str]]


def run(args: argparse.Namespace) -> int:
    """Patch or check a project."""
    try:
        project = open_project(args.project)
        packages = load_packages()
        if args.undo:
            return _undo(project, packages)
        unread = Unread()
        found = [copy for package in packages for copy in find_installed(project.folder, package, unread)]
        for note in dict.fromkeys(unread.notes):
            print(f"rtstt-shim: cannot read {printable(note)}", file=sys.stderr)
        copies, outdated = _split(found)
        stale = _stale(project, packages, copies)
        if not found and not stale:
            names = " or ".join(package.name for package in packages)
            print(f"{project.folder} has no copy of {names}: nothing to patch")
            return 0
        manager, why = choose(project) if args.manager == "auto" else (MANAGERS[args.manager], "from --manager")
        if args.check:
            return max(
                _check(project, manager, copies), _check_stale(stale), _check_outdated(project, manager, outdated)
            )
        project = _remove(project, stale)
        _patch(project, manager, why, copies)
        _check_outdated(project, manager, outdated)
        return 0
    except BadInput as error:
        raise UsageError(str(error)) from error
    except UpstreamError as error:
        raise CommandError(str(error)) from error


def _patched(project: Project, packages: list[Package]) -> _Patched:
    """Return every patch of this kit that the project contains."""
    return [
        (manager, package, version)
        for package in packages
        for manager in MANAGERS.values()
        for version in manager.patched_versions(project, package)
    ]


def _undo(project: Project, packages: list[Package]) -> int:
    """Take every patch of this kit and its declaration back."""
    patched = _patched(project, packages)
    if not patched:
        print(f"{project.folder} has no patch of {' or '.join(package.name for package in packages)}: nothing to undo")
        return 0
    _remove(project, patched)
    for command in dict.fromkeys(manager.apply(project) for manager, _, _ in patched):
        print(f"apply it with `{command}`, and commit the lockfile")
    return 0


def _split(copies: list[Installed]) -> tuple[list[Installed], list[tuple[Installed, str]]]:
    """Return the copies that stay, and those that the next install replaces, with the range of ``package.json``."""
    stay: list[Installed] = []
    outdated: list[tuple[Installed, str]] = []
    for copy in copies:
        wanted = range_beside(copy.folder, copy.package.name)
        if wanted is not None and excludes(wanted, copy.version):
            outdated.append((copy, wanted))
        else:
            stay.append(copy)
    return stay, outdated


def _check_outdated(project: Project, manager: Manager, outdated: list[tuple[Installed, str]]) -> int:
    for copy, wanted in outdated:
        print(
            f"{copy.folder} ({copy.version}) is not what package.json asks for ({wanted}): "
            f"run `{manager.apply(project)}`, then `rtstt-shim patch-npm` again"
        )
    return int(bool(outdated))


def _stale(project: Project, packages: list[Package], copies: list[Installed]) -> _Patched:
    """Return the patches of versions that are no longer installed, or that the next install replaces."""
    installed = {(copy.package.name, copy.version) for copy in copies}
    return [entry for entry in _patched(project, packages) if (entry[1].name, entry[2]) not in installed]


def _check_stale(stale: _Patched) -> int:
    for manager, package, version in stale:
        path = manager.patch_path(package.name, version)
        what = f"the project does not use {package.name} {version}"
        print(f"{path} is no longer needed: {what}: run `rtstt-shim patch-npm`")
    return int(bool(stale))


def _remove(project: Project, patched: _Patched) -> Project:
    for manager, package, version in patched:
        write_all(project.folder, manager.removal(project, package.name, version))
        print(f"removed {manager.patch_path(package.name, version)} and {manager.declaration}")
        project = open_project(project.folder)
    return project


def _check(project: Project, manager: Manager, copies: list[Installed]) -> int:
    affected = 0
    for copy in copies:
        reason = need(copy)
        if reason is None:
            affected = 1
            command = manager.apply(project) if manager.is_declared(project, copy) else "rtstt-shim patch-npm"
            print(f"{copy.folder} ({copy.version}) is affected and not patched: run `{command}`")
        else:
            print(f"{copy.folder} ({copy.version}) is fine: {reason}")
    return affected


def _patch(project: Project, manager: Manager, why: str, copies: list[Installed]) -> None:
    affected = {}
    for copy in copies:
        reason = need(copy)
        if reason is None:
            affected[copy.package.name, copy.version] = copy
        else:
            print(f"{copy.folder} ({copy.version}) needs no patch: {reason}")
    written: list[str] = []
    for copy in affected.values():
        files = manager.files(project, copy)
        write_all(project.folder, files)
        written += files
        # The declaration of the next version is added to this one.
        project = open_project(project.folder)
    for name in dict.fromkeys(written):
        print(f"wrote {project.folder / name}")
    for name, version in affected:
        path = manager.patch_path(name, version)
        print(f"{name} {version} is patched by {path} ({manager.name}: {why})")
        print(f"apply it with `{manager.apply(project)}`, and commit the patch, its declaration and the lockfile")
        print("undo: `rtstt-shim patch-npm --undo`")
