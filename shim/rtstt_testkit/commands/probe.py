"""The work of ``rtstt-shim probe``."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import get_args
from urllib.parse import quote, urlsplit

from rtstt_core.errors import UsageError
from rtstt_testkit.commands.probe_recording import check_folder, recorded_settings, recording, replaying
from rtstt_testkit.mock.protocol.admission import Account, Profile
from rtstt_testkit.probe.attempt import Endpoint, Unreachable, is_local
from rtstt_testkit.probe.conversation import as_conversations
from rtstt_testkit.probe.report import causes, counts, document, junit, lines, list_rows
from rtstt_testkit.probe.rows import Row, for_deployment, select_rows
from rtstt_testkit.probe.runner import MOCK_KEY, NotApplicable, Result, probe, probe_own_mock

__all__ = ["run"]

_LIVE = "wss://api.openai.com/v1/realtime"
_PATH = "/v1/realtime"
_AZURE_PATH = "/openai/v1/realtime"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2


def run(args: argparse.Namespace) -> int:
    """Probe, print the results, and return the exit code."""
    if args.cassettes is not None:
        return check_folder(args.cassettes)
    recorded = recorded_settings(args)
    if args.account not in (None, *get_args(Account)):
        known = ", ".join(get_args(Account))
        raise UsageError(f"--account {args.account!r} is not a state of an account; choose from {known}")
    profile: Profile | None = None if args.azure is None else "azure"
    rows = select_rows(args.only, args.skip, compatible=args.compatible, profile=profile, account=args.account)
    if args.conversation is not None:
        rows = as_conversations(rows, _model(args.conversation, "--conversation"))
    if args.azure is not None:
        rows = for_deployment(rows, _model(args.azure, "--azure"))
    if recorded is not None:
        rows = [row for row in rows if row.name in recorded]
    if not rows:
        chosen = f"no row's title contains {args.only!r}" if args.only else "no row is left"
        raise UsageError(f"{chosen}; see `rtstt-shim probe --list`")
    if args.list:
        print("\n".join(list_rows(rows)))
        return 0
    if not 0 < args.timeout <= 600:
        raise UsageError(f"--timeout {args.timeout:g} is out of range; give a number of seconds above 0 and up to 600")
    endpoint = _endpoint(args)
    with recording(args, endpoint, rows) as recorder, replaying(args, recorder) as tested:
        return _probe(args, rows, endpoint, tested)


def _probe(args: argparse.Namespace, rows: Sequence[Row], endpoint: Endpoint | None, tested: Endpoint | None) -> int:
    """Run the rows, print the results, and return the exit code.

    Args:
        args: The command's arguments.
        rows: The rows.
        endpoint: The endpoint that the report names.
        tested: The one that clients connect to; None for a mock started for this.
    """
    for file in (args.report, args.junit):
        if file is not None:
            _write(file, "")  # before the first row: an error here loses nothing
    target = endpoint.url if endpoint else "a mock started for this"
    if args.replay is not None:
        target = f"the recording {args.replay}"
    shim = sys.modules.get("rtstt_shim")
    if shim is not None:
        # `rtstt-shim run` activates it in every Python process; here it would correct the URLs under test.
        shim.uninstall()
    if not args.json:
        print(f"{target}, row by row; the expected events are the mock's", flush=True)
    results: list[Result] = []
    began = datetime.now(timezone.utc).replace(microsecond=0)

    def show(result: Result) -> None:
        results.append(result)
        if not args.json:
            print("\n".join(lines(result, len(results), len(rows))), flush=True)

    def report() -> str:
        about = {
            "made_by": f"rtstt-shim {version('rtstt-shim')} probe",
            "began": began.isoformat(),
            "endpoint": target,
            "live": args.live,
        }
        return json.dumps(document(results, about), indent=1, ensure_ascii=False) + "\n"

    try:
        asyncio.run(probe(rows, tested, show) if tested else probe_own_mock(rows, show, args.timeout))
    except NotApplicable as reason:
        raise UsageError(str(reason)) from None
    except Unreachable as reason:
        raise UsageError(f"cannot probe {target}: {reason}; is it running, and is that its address?") from None
    finally:
        if args.report is not None:
            _write(args.report, report())  # an interrupted run leaves the results so far
        if args.junit is not None:
            _write(args.junit, junit(results, f"rtstt-shim probe {target}"))
    found = counts(results)
    if args.json:
        print(report(), end="")
    else:
        print("".join(f"{line}\n" for line in causes(results)), end="")
        print(
            f"{len(results)} rows: {found['ok']} match the mock, {found['differs']} differ, "
            f"{found['not tried']} could not be run"
            + (f", {found['not applicable']} are not applicable" if found["not applicable"] else "")
        )
    return 1 if found["differs"] or found["not tried"] else 0


def _endpoint(args: argparse.Namespace) -> Endpoint | None:
    """Return the endpoint; None for a mock started for this."""
    headers = tuple(map(_header, args.header))
    if args.live and args.azure is not None and args.url is None:
        raise UsageError(f"--live --azure needs the URL of the resource; give wss://NAME.openai.azure.com{_AZURE_PATH}")
    url = args.url or (_LIVE if args.live else None)
    if url is None:
        return None
    url = _checked(url, _PATH if args.azure is None else _AZURE_PATH)
    profile: Profile = "openai" if args.azure is None else "azure"
    rest = args.timeout, headers, profile, args.account
    if not args.live:
        if not is_local(url):
            raise UsageError(f"{url} is not on this machine, and the rows may cost money; add --live to use it")
        return Endpoint(url, _key(args.key, "--key") if args.key else MOCK_KEY, *rest)
    if not url.startswith("wss:") and not is_local(url):
        raise UsageError(f"{url} would receive your key unencrypted; give a wss:// URL")
    variable = "OPENAI_API_KEY" if args.azure is None else "AZURE_OPENAI_API_KEY"
    key = args.key or os.environ.get(variable, "").strip()
    if not key:
        raise UsageError(f"--live needs an API key; set {variable}, or give --key")
    return Endpoint(url, _key(key, "--key" if args.key else variable), *rest)


def _key(key: str, name: str) -> str:
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise UsageError(f"{name} is not an API key: it contains spaces or other characters that no key has")
    return key


def _model(name: str, option: str) -> str:
    if not _TOKEN.fullmatch(name.replace("/", "")):
        raise UsageError(f"{option} {name[:40]!r} is not the name of a model; give one such as gpt-realtime")
    return quote(name, safe="/")


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    value = value.strip()
    if not (colon and _TOKEN.fullmatch(name) and value.isascii() and value.isprintable()):
        raise UsageError(f"--header {name[:40]!r} is not a header; give 'NAME: VALUE'")
    return name, value


def _checked(url: str, path: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{url!r} is not a URL: {error}; give one such as ws://127.0.0.1:40123{_PATH}") from None
    if parts.scheme not in {"ws", "wss"} or not parts.hostname or port == 0:
        raise UsageError(f"{url!r} is not a WebSocket URL; give one such as ws://127.0.0.1:40123{_PATH}")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise UsageError("the URL must not have a query, a fragment or a user: every row has its own query")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/') or path}"


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"cannot write the report {path}: {error.strerror or error}; choose another --report"
        ) from None
