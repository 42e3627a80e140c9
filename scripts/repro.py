#!/usr/bin/env python3
"""Reproduce livekit/agents-js#1756 without a client: one socket with `model` in the URL, one without.

  python3 scripts/repro.py                      against the mock
  python3 scripts/repro.py --refuse on-update   the refusal after session.update, as the issue describes it
  OPENAI_API_KEY=… python3 scripts/repro.py --live   against the real endpoint

Exit code: 0 if the first socket was refused and the second accepted, 1 if not, 2 for a usage error.
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack, suppress

import _env

_env.ensure_installed()

from websockets.exceptions import ConnectionClosed  # noqa: E402
from websockets.sync.client import connect  # noqa: E402

MODEL = "gpt-4o-mini-transcribe"
UPDATE = {
    "type": "session.update",
    "session": {"type": "transcription", "audio": {"input": {"transcription": {"model": MODEL}}}},
}


def session(url: str, key: str) -> bool:
    """Open one session; True if its update was accepted."""
    print(url)
    try:
        with connect(url, additional_headers={"Authorization": f"Bearer {key}"}) as socket:
            with suppress(ConnectionClosed):  # the answer follows
                socket.send(json.dumps(UPDATE))
            while True:
                event = json.loads(socket.recv(timeout=20))
                error = event.get("error") or {}
                print("  ←", event["type"], *(f"{error['code']}: {error['message']}" for _ in [0] if error))
                if event["type"] == "session.updated":
                    print("  accepted")
                    return True
    except ConnectionClosed as closed:
        print(f"  closed {closed.rcvd.code} {closed.rcvd.reason}" if closed.rcvd else "  dropped")
    except (OSError, TimeoutError) as error:
        print(f"  {type(error).__name__}: {error}")
    return False


def main() -> int:
    parser = _env.parser("repro.py", __doc__)
    parser.add_argument("--live", action="store_true", help="the real endpoint; needs OPENAI_API_KEY")
    parser.add_argument(
        "--refuse", choices=["at-connect", "on-update"], default="at-connect", help="when the mock does"
    )
    args = parser.parse_args()
    key = os.environ.get("OPENAI_API_KEY")
    if args.live and not key:
        parser.error("--live needs an API key: set OPENAI_API_KEY")
    with ExitStack() as stack:
        url = "wss://api.openai.com/v1/realtime"
        if not args.live:
            from rtstt_testkit import ThreadedRealtimeServer

            url, key = stack.enter_context(ThreadedRealtimeServer(refuse=args.refuse)).url, "sk-repro"
        refused = not session(f"{url}?intent=transcription&model={MODEL}", key or "")
        accepted = session(f"{url}?intent=transcription", key or "")
    return 0 if refused and accepted else 1


if __name__ == "__main__":
    raise SystemExit(main())
