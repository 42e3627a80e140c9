"""List the clients that OpenAI's realtime endpoint refuses, and what the shim does about each.

  rtstt-shim doctor                    examine this folder, and the Python environment of this command
  rtstt-shim doctor path/to/app        examine another folder
  rtstt-shim doctor --python .venv     examine that Python environment in place of the ones that are found
  rtstt-shim doctor --fix              rewrite the source code where the fix is certain

The symptom is a transcription session without transcripts: the endpoint refused it, and the client hid the error. The
doctor examines

- the Python packages of this command's own interpreter, of the activated environment ($VIRTUAL_ENV), of the virtual
  environments below the folder, and of its lock files (uv.lock, poetry.lock, pdm.lock, requirements*.txt with `==`);
- the npm packages below the folder (node_modules, workspaces, stores, Yarn's Plug'n'Play), and above it for a member
  of a workspace;
- the source code below the folder: Python, JavaScript, TypeScript, Swift, Go, C#, Kotlin, C++. Hidden folders and
  folders of built files (build, dist, out, target) are left out. Installed packages that contain the endpoint's address
  and are not in the doctor's tables are examined in the same way. This needs the extra `upstream`.

The doctor executes nothing that it examines. Copies in caches (.cache, Yarn's, npm's _npx) are left out, unless PATH is
in one.

A client is affected if OpenAI's endpoint refuses its transcription sessions, whatever the application does. It is
covered if the shim corrects that here: for Python, rtstt-shim is installed beside it, with wrapt and a tested version
of the transport, and is not disabled; for npm, NODE_OPTIONS names the preload. `rtstt-shim run -- COMMAND` sets it;
`rtstt-shim patch-npm` patches the LiveKit plugin in place.

--fix shows the changes as a diff and asks before it writes; --yes writes without asking. Files that git does not track,
or that have uncommitted changes, are changed only with --force.

--format json prints a list of objects, empty if nothing is found. They have these fields, none of which will be
removed or change its type:

  registry         "PyPI", "npm", or "source" for a place in source code
  name             the package; the rule of a place in source code
  version          the one installed; empty for source code
  environment      PyPI: the interpreter or the lock file; else null
  path             npm: the folder of this copy; source: the file; PyPI: null
  line             source: the line; else null
  verdict          "affected", "not affected" or "unknown"
  affected         true if the verdict is "affected"
  why              what it does, as a clause of text
  shim             what the shim does about it, as a clause of text
  covered          true if the shim does that here
  fix              what makes the shim unnecessary, as text; null if nothing is known
  not_needed_from  from which version the shim is not needed, words that begin with the version; null if there is none

Exit codes: 0 nothing is affected and uncovered, 1 something is (with --fail-unneeded also: the shim or a patch can be
removed, because what is installed is fixed), 2 usage error, or something could not be read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from rtstt_core.clients.npm_installed import find_npm_clients, preload_is_set
from rtstt_core.clients.npm_patches import unneeded_patches
from rtstt_core.clients.python_environments import PythonEnvironment, active, environments_below, named, own
from rtstt_core.clients.python_installed import find_python_clients, shim_is_active
from rtstt_core.clients.results import Client, Finding, Report, Verdict
from rtstt_core.clients.tree import Unread, printable
from rtstt_core.clients.unknown_packages import UnknownPackage, unknown_npm_packages, unknown_python_packages
from rtstt_core.commands.doctor_formats import FORMATS
from rtstt_core.errors import UsageError
from rtstt_core.extras import load

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``rtstt-shim doctor``."""
    parser.add_argument("path", nargs="?", type=Path, default=Path(), metavar="PATH", help="a folder (default: here)")
    parser.add_argument("--python", type=Path, metavar="PYTHON", help="an interpreter or a virtual environment")
    parser.add_argument("--format", choices=FORMATS, default="text", help="the output (default: text)")
    parser.add_argument("--json", action="store_const", dest="format", const="json", help="the same as --format json")
    parser.add_argument(
        "--fail-unneeded", action="store_true", help="exit 1 if the shim or a patch is no longer needed"
    )
    parser.add_argument("--fix", action="store_true", help="rewrite the source code where the fix is certain")
    parser.add_argument("--yes", action="store_true", help="with --fix: write without asking")
    parser.add_argument("--force", action="store_true", help="with --fix: also files that are untracked or changed")


def run(args: argparse.Namespace) -> int:
    """Examine, print, and return the exit code."""
    if not args.path.is_dir():
        raise UsageError(f"{printable(str(args.path))} is not a folder; give the folder of a project")
    if args.fix:
        fix = load("rtstt_testkit.source.fix", "rtstt-shim doctor --fix", "upstream")
        return int(fix.fix(args.path, yes=args.yes, force=args.force))
    unread = Unread()
    report = _examine(args.path, args.python, unread)
    text = FORMATS[args.format](report)
    if text:
        print(text)
    for note in dict.fromkeys(unread.notes):
        print(f"rtstt-shim: cannot read {printable(note)}", file=sys.stderr)
    if unread.notes:
        return 2
    unneeded = _unneeded(report, args.path, unread) if args.fail_unneeded else []
    for sentence in unneeded:
        print(f"rtstt-shim: {printable(sentence)}", file=sys.stderr)
    return 1 if report.fails or unneeded else 0


def _unneeded(report: Report, path: Path, unread: Unread) -> list[str]:
    """Return what can go: the shim, and patches, one sentence each."""
    patches = unneeded_patches(path, report.clients, unread)
    sentences = [f"{patch} is for a version that is no longer installed" for patch in patches]
    fixed = ", ".join(f"{client.name} {client.version}" for client in report.fixed)
    return [*sentences, *([f"nothing here needs the shim any more: {fixed} is fixed"] if fixed else [])]


def _examine(path: Path, python: Path | None, unread: Unread) -> Report:
    environments = [named(python, unread)] if python else _environments(path, unread)
    scan, skipped = _source_rules()
    clients = [client for environment in environments for client in find_python_clients(environment)]
    clients += find_npm_clients(path, unread)
    clients += _examine_unknown(environments, path, scan, unread)
    findings: list[Finding] = []
    if scan:
        in_python = any(shim_is_active(environment) for environment in environments if environment.folders)
        findings = scan.scan_folder(path, unread, python_active=in_python, node_active=preload_is_set())
    names = [environment.name for environment in environments]
    return Report(names, str(path.resolve()), clients, findings, skipped)


def _environments(path: Path, unread: Unread) -> list[PythonEnvironment]:
    """Return the environments to examine; of a lock file, only the packages that no environment in its folder has."""
    found = [own(unread)]
    activated = active(unread)
    found += [activated] if activated else []
    names = {environment.name for environment in found}
    found += [environment for environment in environments_below(path, unread) if environment.name not in names]
    installed = {item for environment in found if environment.folders for item in environment.versions.items()}
    return [
        environment for environment in found if environment.folders or set(environment.versions.items()) - installed
    ]


def _source_rules() -> tuple[ModuleType | None, list[str]]:
    """Return the module that applies the source rules, or why there is none."""
    try:
        return load("rtstt_testkit.source.scan", "rtstt-shim doctor", "upstream"), []
    except UsageError as error:
        return None, [f"source code and packages without a row were not examined: {error}"]


def _examine_unknown(
    environments: Iterable[PythonEnvironment], path: Path, scan: ModuleType | None, unread: Unread
) -> Iterator[Client]:
    for environment in environments:
        for package in unknown_python_packages(environment, unread):
            yield _unknown(package, scan, shim_is_active(environment))
    for package in unknown_npm_packages(path, unread):
        yield _unknown(package, scan, preload_is_set())


def _unknown(package: UnknownPackage, scan: ModuleType | None, active: bool) -> Client:
    """Return what the source rules find in a package."""
    found: list[Finding] = scan.scan_sources(package.sources) if scan else []
    faults = [finding for finding in found if finding.verdict == "affected"]
    verdict: Verdict = "affected" if faults else "unknown"
    covered = active and bool(faults) and all(fault.corrected for fault in faults)
    if not scan:
        why = "it holds the address of OpenAI's realtime endpoint, and its code was not examined"
    elif not found:
        why = "it holds the address of OpenAI's realtime endpoint; the source rules find no fault in its code"
    else:
        first = [*faults, *found][0]
        why = f"{first.why.rstrip('.')} ({first.file}:{first.line})"
    if covered:
        shim = "corrects its URLs"
    elif faults and all(fault.corrected for fault in faults):
        shim = "nothing while it is not active: `import rtstt_shim`, or `rtstt-shim run -- COMMAND`"
    else:
        shim = "warns when a session is refused, while it is active"
    fix = "no release without this is known" if faults else None
    return Client(
        package.registry,
        package.name,
        package.version,
        package.environment,
        package.path,
        verdict,
        why,
        shim,
        covered,
        fix,
    )
