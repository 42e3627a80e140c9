"""The console command ``rtstt-shim``: a table of subcommands, each imported only when it is asked for."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple, Protocol, cast

from rtstt_core.errors import CommandError, UsageError

__all__ = ["main"]


class Command(Protocol):
    """What a subcommand's module provides; its docstring is the text of ``--help``."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the subcommand's arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Do the work and return the exit code."""


class Entry(NamedTuple):
    """One row of the table: where the subcommand lives, what it is for, and the extra that has what it needs."""

    module: str
    summary: str
    extra: str = "testkit"


COMMANDS: dict[str, Entry] = {
    "doctor": Entry(
        "rtstt_core.commands.doctor", "say which clients here have the bug, and what the shim does about it"
    ),
    "mock": Entry("rtstt_testkit.commands.mock", "serve a mock of the Realtime transcription endpoint"),
    "patch-npm": Entry(
        "rtstt_testkit.commands.patch_npm", "patch the LiveKit plugin a Node project has installed", "upstream"
    ),
    "pr": Entry("rtstt_testkit.commands.pr", "make the fix a pull request to its upstream", "upstream"),
    "probe": Entry("rtstt_testkit.commands.probe", "say row by row whether an endpoint answers as the mock does"),
    "run": Entry("rtstt_core.commands.run", "run a Python or Node program with the shim active, without an edit"),
    "node-path": Entry("rtstt_core.commands.node_path", "print the folder of register.mjs, the shim for Node.js"),
}


def _load(name: str) -> Command:
    entry = COMMANDS[name]
    try:
        return cast(Command, importlib.import_module(entry.module))
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in {"rtstt_core", "rtstt_testkit"}:
            raise
        raise UsageError(
            f"`rtstt-shim {name}` needs {error.name}, which the base install leaves out; "
            f"install it with: pip install 'rtstt-shim[{entry.extra}]'"
        ) from None


class _Parser(argparse.ArgumentParser):
    """argparse, with its usage errors in the project's one-sentence form."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise UsageError(f"{message}; see `{self.prog} --help`")


def _parse(argv: Sequence[str]) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = _Parser(
        prog="rtstt-shim",
        description="Realtime speech-to-text clients that get zero transcripts from OpenAI: find, fix and test them.",
        epilog="Exit codes: 0 fine, 1 found something or failed, 2 wrong use.",
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    wanted = next((word for word in argv if not word.startswith("-")), None)
    for name, entry in COMMANDS.items():
        if name != wanted:
            subparsers.add_parser(name, help=entry.summary, add_help=False)
            continue
        command = _load(name)
        subparser = subparsers.add_parser(
            name,
            help=entry.summary,
            description=command.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.configure(subparser)
        subparser.set_defaults(run=command.run)
    return parser, parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments without the program's name; ``sys.argv[1:]`` when omitted.

    Returns:
        The exit code: 0 fine, 1 found something or failed, 2 wrong use.
    """
    try:
        parser, args = _parse(sys.argv[1:] if argv is None else argv)
        if args.version:
            from importlib.metadata import version

            print(f"rtstt-shim {version('rtstt-shim')}")
            return 0
        if args.command is None:
            parser.print_help()
            return 2
        return cast(int, args.run(args))
    except CommandError as error:
        print(f"rtstt-shim: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our output has gone; what is still in the buffer must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
