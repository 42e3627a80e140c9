"""The work of ``rtstt-shim patch-npm``."""

from __future__ import annotations

import argparse

from rtstt_core.errors import CommandError, UsageError
from rtstt_testkit.upstream.errors import BadInput, UpstreamError
from rtstt_testkit.upstream.files import write_all
from rtstt_testkit.upstream.installed import PACKAGE, Installed, find_installed, need
from rtstt_testkit.upstream.managers import MANAGERS, Manager, choose
from rtstt_testkit.upstream.project import Project, open_project

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Patch or check a project."""
    try:
        project = open_project(args.project)
        if args.undo:
            return _undo(project)
        copies = find_installed(project.folder)
        stale = _stale(project, copies)
        if not copies and not stale:
            print(f"{PACKAGE} is not installed in {project.folder}: nothing to patch")
            return 0
        manager, why = choose(project) if args.manager == "auto" else (MANAGERS[args.manager], "from --manager")
        if args.check:
            return max(_check(project, manager, copies), _check_stale(stale))
        project = _remove(project, stale)
        return _patch(project, manager, why, copies)
    except BadInput as error:
        raise UsageError(str(error)) from error
    except UpstreamError as error:
        raise CommandError(str(error)) from error


def _undo(project: Project) -> int:
    """Take every patch of this kit and its declaration back."""
    patched = [(manager, version) for manager in MANAGERS.values() for version in manager.patched_versions(project)]
    if not patched:
        print(f"{project.folder} has no patch of {PACKAGE}: nothing to undo")
        return 0
    _remove(project, patched)
    for command in dict.fromkeys(manager.apply(project) for manager, _ in patched):
        print(f"apply it with `{command}`, and commit the lockfile")
    return 0


def _stale(project: Project, copies: list[Installed]) -> list[tuple[Manager, str]]:
    """Return the patches of versions that are no longer installed."""
    installed = {copy.version for copy in copies}
    return [
        (manager, version)
        for manager in MANAGERS.values()
        for version in manager.patched_versions(project)
        if version not in installed
    ]


def _check_stale(stale: list[tuple[Manager, str]]) -> int:
    for manager, version in stale:
        path = manager.path.format(version=version)
        print(f"{path} is not needed any more: {PACKAGE} {version} is not installed: run `rtstt-shim patch-npm`")
    return int(bool(stale))


def _remove(project: Project, patched: list[tuple[Manager, str]]) -> Project:
    for manager, version in patched:
        write_all(project.folder, manager.removal(project, version))
        print(f"removed {manager.path.format(version=version)} and {manager.declaration}")
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


def _patch(project: Project, manager: Manager, why: str, copies: list[Installed]) -> int:
    affected = {}
    for copy in copies:
        reason = need(copy)
        if reason is None:
            affected[copy.version] = copy
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
    for version in affected:
        path = manager.path.format(version=version)
        print(f"{PACKAGE} {version} is patched by {path} ({manager.name}: {why})")
        print(f"apply it with `{manager.apply(project)}`, and commit the patch, its declaration and the lockfile")
        print("undo: `rtstt-shim patch-npm --undo`")
    return 0
