"""Run the upstream's own commands (lint, types, tests) on a patched copy of a checkout."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rtstt_testkit.upstream.errors import VerificationFailed
from rtstt_testkit.upstream.scratch import Progress, execute
from rtstt_testkit.upstream.source import Source

__all__ = ["CommandOutcome", "UpstreamCommand", "run_commands"]

# pnpm 11 would reinstall the dependencies, which are those of the source itself.
_ENVIRONMENT = {"CI": "1", "pnpm_config_verify_deps_before_run": "false"}


@dataclass(frozen=True)
class UpstreamCommand:
    """One command of an upstream: a script of the ``package.json`` in a folder of its repository."""

    script: str
    folder: str


@dataclass(frozen=True)
class CommandOutcome:
    """The outcome of a command: it passed, or the reason why it was not run."""

    command: UpstreamCommand
    not_run: str | None = None

    def __str__(self) -> str:
        name = f"`{self.command.script}` of {self.command.folder or 'the repository'}"
        return f"- passed: {name}" if self.not_run is None else f"- not run: {name}: {self.not_run}"


def run_commands(
    commands: Sequence[UpstreamCommand], source: Source, files: Mapping[str, str], progress: Progress
) -> list[CommandOutcome]:
    """Run the commands that the source has.

    Args:
        commands: The commands.
        source: The source.
        files: The patched files, by their path in the repository.
        progress: Called with each line of progress.

    Raises:
        VerificationFailed: A command fails.
    """
    reasons = {command: _reason(command, source) for command in commands}
    outcomes = [CommandOutcome(command, reason) for command, reason in reasons.items()]
    if all(reasons.values()):
        return outcomes
    with TemporaryDirectory() as name:
        copy = Path(name) / "checkout"
        _copy(source.folder, copy)
        for path, text in files.items():
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            (copy / path).write_bytes(text.encode())
        manager = _manager(source.folder)
        for command, reason in reasons.items():
            if reason is None:
                progress(f"running {manager} run {command.script} in {command.folder}")
                done = execute([manager, "run", command.script], copy / command.folder, _ENVIRONMENT)
                if done.returncode:
                    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
                    raise VerificationFailed(f"not verified: {manager} run {command.script} fails: {lines[-1].strip()}")
    return outcomes


def _reason(command: UpstreamCommand, source: Source) -> str | None:
    """Return why a command cannot be run, or None if it can."""
    if not source.is_checkout:
        return "the source is a package, not a checkout"
    folder = source.folder / command.folder
    try:
        scripts = json.loads((folder / "package.json").read_bytes()).get("scripts", {})
    except (OSError, ValueError, AttributeError):
        scripts = {}
    if command.script not in scripts:
        return "there is no such script"
    if not (source.folder / "node_modules").is_dir():
        return "the dependencies of the source are not installed"
    manager = _manager(source.folder)
    return None if shutil.which(manager) else f"{manager} is not installed"


def _manager(folder: Path) -> str:
    locks = {"pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn", "bun.lock": "bun"}
    return next((manager for lock, manager in locks.items() if (folder / lock).exists()), "npm")


def _copy(folder: Path, copy: Path) -> None:
    """Copy a checkout; its installed dependencies are linked."""
    copy.mkdir()
    for child in folder.iterdir():
        if child.name == ".git":
            continue
        if child.name == "node_modules" or child.is_symlink():
            (copy / child.name).symlink_to(child.resolve())
        elif child.is_dir():
            _copy(child, copy / child.name)
        else:
            shutil.copy2(child, copy / child.name)
