"""The work of ``rtstt-shim pr``."""

from __future__ import annotations

import argparse
import shlex
import sys
from email.utils import parseaddr
from functools import partial
from pathlib import Path
from typing import cast

from rtstt_core.errors import CommandError, UsageError
from rtstt_core.terminal import fit, row
from rtstt_testkit.upstream import git
from rtstt_testkit.upstream.checkout import find_checkout
from rtstt_testkit.upstream.errors import BadInput, NotAffected, UpstreamError
from rtstt_testkit.upstream.fixes import Fix, find_fix, load_fixes
from rtstt_testkit.upstream.pull_request import (
    PullRequest,
    VerificationReport,
    check_output,
    check_unused,
    make_pull_request,
    write_pull_request,
)
from rtstt_testkit.upstream.source import open_source

__all__ = ["run"]

UNNAMED = "Your Name <you@example.com>"
_COLUMN = 28  # the second one of --list
_NO_IDENTITY = f"git has no identity here, so the patch is signed by {UNNAMED!r}: use --author"


def run(args: argparse.Namespace) -> int:
    """Make, check or list pull requests."""
    try:
        if args.list:
            return _list([find_fix(args.fix)] if args.fix else load_fixes(), args)
        return _make(args)
    except BadInput as error:
        raise UsageError(str(error)) from error
    except NotAffected as error:
        print(f"{args.source} needs no pull request: {error}")
        return 0
    except UpstreamError as error:
        raise CommandError(str(error)) from error


def _make(args: argparse.Namespace) -> int:
    if args.fix == "source":
        return _make_for_source(args)
    if not args.fix:
        usage = "rtstt-shim pr FIX --source DIR --out DIR"
        raise UsageError(f"FIX is missing: {usage}; `rtstt-shim pr --list` shows the fixes")
    fix = find_fix(args.fix)
    missing = [name for name, value in (("--source", args.source), ("--out", args.out)) if value is None]
    if missing:
        are = "are" if len(missing) > 1 else "is"
        raise UsageError(f"{' and '.join(missing)} {are} missing: rtstt-shim pr {fix.name} --source DIR --out DIR")
    if args.branch is not None or args.no_branch:
        raise UsageError("--branch and --no-branch are for `rtstt-shim pr source`: leave them out")
    if args.online:
        _online(fix)
    source = open_source(fix, args.source)
    request = make_pull_request(fix, source)
    if args.check:
        check_output(request, args.out)
        print(f"the patch in {args.out} applies to {args.source} ({fix.package} {source.version})")
        return 0
    author = _author(args)
    write = partial(write_pull_request, request, args.out, author or UNNAMED, force=args.force)
    if args.verify:
        check_unused(args.out, force=args.force)
    for name in write(_verify(request) if args.verify else None):
        print(f"wrote {args.out / name}")
    if author is None:
        print(_NO_IDENTITY, file=sys.stderr)
    print(f"{request.variant.title}\nopen it with: {request.command(str((args.out / 'PR.md').resolve()))}")
    return 0


def _make_for_source(args: argparse.Namespace) -> int:
    """Make a pull request for an application, of what the source rules rewrite."""
    if args.source is None:
        raise UsageError("--source is missing: rtstt-shim pr source --source CHECKOUT")
    if args.verify or args.check or args.online:
        raise UsageError("`rtstt-shim pr source` only writes: leave out --verify, --check and --online")
    from rtstt_testkit.source.pull_request import SLUG, make_source_pull_request

    request = make_source_pull_request(args.source)
    out = args.out or Path(SLUG)
    name = SLUG if args.branch is None else args.branch
    branch = None if args.no_branch else name
    author = _author(args)
    for name in request.write(out, author or UNNAMED, branch, force=args.force):
        print(f"wrote {out / name}")
    if branch is not None:
        print(f"added the branch {branch} to {args.source}: see it with `git show {shlex.quote(branch)}`")
    if author is None:
        print(_NO_IDENTITY, file=sys.stderr)
    for found in request.left:
        print(f"left to do: {found.file}:{found.line}: {found.why} {found.fix}")
    return 0


def _author(args: argparse.Namespace) -> str | None:
    """Return the author of the patch, or None if neither the command nor git names one."""
    if args.author is not None:
        if not all(parseaddr(args.author)):
            raise UsageError(f"--author {args.author!r} is not in the form 'NAME <ADDRESS>'")
        return cast(str, args.author)
    checkout = find_checkout(args.source)
    return git.author(checkout.config if checkout else None)


def _verify(request: PullRequest) -> VerificationReport:
    from rtstt_testkit.upstream.verify import verify

    return verify(request, lambda line: print(line, file=sys.stderr, flush=True))


def _online(fix: Fix) -> None:
    from rtstt_testkit.upstream.online import states

    for line in states(fix):
        print(fit(line))


def _list(fixes: list[Fix], args: argparse.Namespace) -> int:
    for fix in fixes:
        _print_row(fix.name, fix.about)
        for folder in _installed(fix) if args.source is None else [args.source]:
            _print_row("", f"{folder}: {_need(fix, folder)}")
        if args.online:
            _online(fix)
    return 0


def _print_row(name: str, text: str) -> None:
    print("\n".join(row(name, text, _COLUMN)))


def _need(fix: Fix, folder: Path) -> str:
    try:
        source = open_source(fix, folder)
    except UpstreamError as error:
        return f"not a source of it ({error})"
    try:
        make_pull_request(fix, source)
    except UpstreamError as error:
        return f"{source.version}: {'not needed' if isinstance(error, NotAffected) else 'cannot tell'}: {error}"
    return f"{source.version}: needed"


def _installed(fix: Fix) -> list[Path]:
    """Return the folders that have the package of a fix installed: this Python environment, or the current folder."""
    if fix.registry == "npm":
        folder = Path("node_modules", *fix.package.split("/"))
        return [folder] if (folder / "src").is_dir() else []
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        return [Path(str(distribution(fix.package).locate_file("")))]
    except PackageNotFoundError:
        return []
