"""The work of ``rtstt-shim patch-npm``."""

from __future__ import annotations

import argparse

from rtstt_core.errors import CommandError, UsageError
from rtstt_testkit.upstream.errors import BadInput, UpstreamError
from rtstt_testkit.upstream.files import write_all
from rtstt_testkit.upstream.installed import PACKAGE, Installed, find_installed, need
from rtstt_testkit.upstream.managers import MANAGERS, Manager, Project, choose, open_project

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Patch or check a project."""
    try:
        project = open_project(args.project)
        copies = find_installed(project.folder)
        if not copies:
            print(f"{PACKAGE} is not installed in {project.folder}: nothing to patch")
            return 0
        manager, why = choose(project) if args.manager == "auto" else (MANAGERS[args.manager], "from --manager")
        return _check(project, manager, copies) if args.check else _patch(project, manager, why, copies)
    except BadInput as error:
        raise UsageError(str(error)) from error
    except UpstreamError as error:
        raise CommandError(str(error)) from error


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
        print(f"undo: remove {path} and {manager.declaration}, then run `{manager.apply(project)}`")
    return 0
