"""The work of ``rtstt-shim pr``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rtstt_core.errors import CommandError, UsageError
from rtstt_testkit.upstream import git
from rtstt_testkit.upstream.errors import BadInput, NotAffected, UpstreamError
from rtstt_testkit.upstream.pull_request import (
    PullRequest,
    check_output,
    make_pull_request,
    write_pull_request,
)
from rtstt_testkit.upstream.source import open_source
from rtstt_testkit.upstream.targets import Target, find_target, load_targets

__all__ = ["run"]

UNNAMED = "Your Name <you@example.com>"


def run(args: argparse.Namespace) -> int:
    """Make, check or list pull requests."""
    try:
        if args.list:
            return _list([find_target(args.target)] if args.target else load_targets(), args)
        return _make(args)
    except BadInput as error:
        raise UsageError(str(error)) from error
    except NotAffected as error:
        print(f"{args.source} needs no pull request: {error}")
        return 0
    except UpstreamError as error:
        raise CommandError(str(error)) from error


def _make(args: argparse.Namespace) -> int:
    if not (args.target and args.source and args.out):
        raise UsageError("say what to make, from what and where to: rtstt-shim pr TARGET --source DIR --out DIR")
    target = find_target(args.target)
    if args.online:
        _online(target)
    source = open_source(target, args.source)
    request = make_pull_request(target, source)
    if args.check:
        check_output(request, args.out)
        print(f"the patch in {args.out} applies to {args.source} ({target.package} {source.version})")
        return 0
    author = args.author or git.author(args.source)
    report = _verify(request) if args.verify else None
    for name in write_pull_request(request, args.out, author or UNNAMED, report):
        print(f"wrote {args.out / name}")
    if author is None:
        print(f"git knows no identity here, so the patch is signed {UNNAMED!r}: use --author", file=sys.stderr)
    print(f"{request.variant.title}\nopen it with: {request.command(str((args.out / 'PR.md').resolve()))}")
    return 0


def _verify(request: PullRequest) -> str:
    from rtstt_testkit.upstream.verify import verify

    return verify(request, lambda line: print(line, file=sys.stderr, flush=True))


def _online(target: Target) -> None:
    from rtstt_testkit.upstream.online import states

    for line in states(target):
        print(line)


def _list(targets: list[Target], args: argparse.Namespace) -> int:
    for target in targets:
        print(f"{target.name:34} {target.about}")
        if args.source is not None:
            print(f"{'':34} {args.source}: {_need(target, args.source)}")
        else:
            for folder in _installed(target):
                print(f"{'':34} {folder}: {_need(target, folder)}")
        if args.online:
            _online(target)
    return 0


def _need(target: Target, folder: Path) -> str:
    try:
        source = open_source(target, folder)
    except UpstreamError as error:
        return f"not a source of it ({error})"
    try:
        make_pull_request(target, source)
    except UpstreamError as error:
        return f"{source.version}: {'not needed' if isinstance(error, NotAffected) else 'cannot tell'}: {error}"
    return f"{source.version}: needed"


def _installed(target: Target) -> list[Path]:
    """Return where a target's package is installed: in this Python environment, or below the current folder."""
    if target.registry == "npm":
        folder = Path("node_modules", *target.package.split("/"))
        return [folder] if (folder / "src").is_dir() else []
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        return [Path(str(distribution(target.package).locate_file("")))]
    except PackageNotFoundError:
        return []
