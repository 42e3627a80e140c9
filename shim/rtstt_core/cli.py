"""The console command ``rtstt-shim``: a table of subcommands, each imported only when it is needed."""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple, NoReturn, Protocol, cast

from rtstt_core.errors import CommandError, UsageError
from rtstt_core.extras import Extra, load
from rtstt_core.terminal import fit

__all__ = ["main"]


class Arguments(Protocol):
    """The module with a subcommand's arguments; its docstring is the text of ``--help``.

    It imports the standard library alone, so that ``--help`` works in a base install.
    """

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the subcommand's arguments."""


class Command(Protocol):
    """The module that does a subcommand's work."""

    def run(self, args: argparse.Namespace) -> int:
        """Do the work and return the exit code."""


class Entry(NamedTuple):
    """One subcommand.

    Attributes:
        summary: What it does, for the list of subcommands.
        command: The module with `Command`.
        arguments: The module with `Arguments`.
        extra: The extra that installs what the command's module imports.
    """

    summary: str
    command: str
    arguments: str
    extra: Extra = "testkit"


def _core(name: str, summary: str) -> Entry:
    module = f"rtstt_core.commands.{name}"
    return Entry(summary, module, module)


def _testkit(name: str, summary: str, extra: Extra = "testkit") -> Entry:
    package = "rtstt_testkit.commands"
    return Entry(summary, f"{package}.{name}", f"{package}.arguments.{name}", extra)


COMMANDS: dict[str, Entry] = {
    "cassette": _testkit("cassette", "check, show, compare, shorten, redact and import recordings of sessions"),
    "doctor": _core("doctor", "list the clients that OpenAI's endpoint refuses, and what the shim does about each"),
    "exam": _testkit("exam", "examine a speech client while the endpoint misbehaves", "exam"),
    "inspect": _testkit("inspect", "show the sessions of a trace in the inspector's page"),
    "mock": _testkit("mock", "serve a mock of the Realtime transcription endpoint"),
    "patch-npm": _testkit("patch_npm", "patch the affected npm packages of a Node project", "upstream"),
    "pr": _testkit("pr", "generate the pull request that fixes an upstream", "upstream"),
    "probe": _testkit("probe", "compare an endpoint with the mock, row by row"),
    "record": _testkit("record", "record what a program sends to and receives from a realtime endpoint"),
    "run": _core("run", "run a Python or Node program with the shim active, without a change to its code"),
    "node-path": _core("node_path", "print the folder of the shim for Node.js"),
}


class _Parser(argparse.ArgumentParser):
    """An argument parser whose usage errors are one sentence."""

    def error(self, message: str) -> NoReturn:
        """Raise a usage error in place of printing the usage and exiting."""
        raise UsageError(f"{message}; see `{self.prog} --help`")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="rtstt-shim",
        description="Find, fix and test realtime speech-to-text clients that get zero transcripts from OpenAI.",
        epilog="Exit codes: 0 fine, 1 found something or failed, 2 usage error.",
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    return parser


def _add_commands(parser: argparse.ArgumentParser, wanted: str | None) -> None:
    """Add the subcommands, with the arguments of the wanted one; the others are only listed."""
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    for name, entry in COMMANDS.items():
        if name != wanted:
            subparsers.add_parser(name, help=entry.summary, add_help=False)
            continue
        arguments = cast(Arguments, importlib.import_module(entry.arguments))
        subparser = subparsers.add_parser(
            name,
            help=entry.summary,
            description=fit(arguments.__doc__ or ""),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        arguments.configure(subparser)


def _parse(argv: Sequence[str]) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = _parser()
    wanted = next((word for word in argv if not word.startswith("-")), None)
    if wanted is not None and wanted not in COMMANDS:
        raise UsageError(_no_such_command(wanted))
    _add_commands(parser, wanted)
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        # argparse reports them for the main command, whose help does not list the subcommand's options.
        of = f"rtstt-shim {args.command}" if args.command else "rtstt-shim"
        raise UsageError(f"unrecognized arguments: {' '.join(unknown)}; see `{of} --help`")
    return parser, args


def _no_such_command(name: str) -> str:
    similar = difflib.get_close_matches(name, COMMANDS, 1)
    if similar:
        return f"there is no command {name!r}; did you mean `rtstt-shim {similar[0]}`?"
    return f"there is no command {name!r}; see `rtstt-shim --help`"


def _run(args: argparse.Namespace) -> int:
    entry = COMMANDS[args.command]
    return cast(Command, load(entry.command, f"rtstt-shim {args.command}", entry.extra)).run(args)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments without the program's name; ``sys.argv[1:]`` when omitted.

    Returns:
        The exit code: 0 fine, 1 found something or failed, 2 usage error.
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
        return _run(args)
    except CommandError as error:
        print(f"rtstt-shim: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output is gone; what is still in the buffer must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
