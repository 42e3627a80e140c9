#!/usr/bin/env python3
"""Examine published clients with `rtstt-shim exam`, and save the results in tests/exam.json.

  python3 scripts/exam_field.py [--only WORDS] [--scenario NAME]

Each client runs unmodified in an environment of its own, in an application of `drivers/exam.py` or `exam.mjs`, under
OpenAI's own host name, which is routed to the mock. `generate.py` writes tests/EXAM.md from the results and from the
causes in tests/exam.toml. Exit code: 0 if all were examined, 2 for a usage error or a failed setup.
"""

from __future__ import annotations

import datetime
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import _env

if __name__ == "__main__":
    _env.ensure_installed(("rtstt_testkit", "numpy", "trustme"), **_env.CHECKS)

DATA = _env.ROOT / "tests" / "exam.json"
DRIVERS = Path(__file__).parent / "drivers"
JOBS = 8  # scenarios at once; most of them wait


class Examinee(NamedTuple):
    """A version of a client, and the application that uses it.

    Attributes:
        package: Its name on PyPI or npm.
        version: Its version.
        application: The application in `drivers/exam.py`, or in `exam.mjs` for one of npm.
        requirements: What its environment needs on PyPI.
        npm: The packages of its npm project, by name; empty for one of PyPI.
        shim: Whether it is examined with the shim.
        keeps_running: Whether the application does not end by itself.
        extra: Seconds that it takes longer than others, mostly to start.
        no_deps: What its environment needs without its dependencies.
        missing: Why it was not examined, as a clause.
    """

    package: str
    version: str
    application: str = ""
    requirements: tuple[str, ...] = ()
    npm: dict[str, str] = {}  # noqa: RUF012
    shim: bool = False
    keeps_running: bool = False
    extra: int = 0
    no_deps: tuple[str, ...] = ()
    missing: str = ""

    @property
    def name(self) -> str:
        """What distinguishes it from the others."""
        package = f"{self.package} (npm)" if self.package == "openai" and self.npm else self.package
        return f"{package} {self.version}" + (", with the shim" if self.shim else "")

    def command(self) -> list[str]:
        """Return the command to examine.

        Raises:
            _env.SetupError: Its environment cannot be built.
        """
        if self.npm:
            return ["node", str(DRIVERS / "exam.mjs"), self.application, str(_env.npm_project(self.npm)), "{wav}"]
        python = _env.environment(self.requirements, python=_env.interpreter("3.12"), no_deps=self.no_deps)
        return [str(python), str(DRIVERS / "exam.py"), self.application, "{wav}"]


def _openai_npm(version: str) -> Examinee:
    return Examinee("openai", version, "openai", npm={"openai": version, "ws": "8.23.0"})


def _livekit(version: str, *beside: str) -> Examinee:
    requirements = (f"livekit-plugins-openai=={version}", f"livekit-agents=={version}", *beside)
    return Examinee("livekit-plugins-openai", version, "livekit", requirements, keeps_running=True)


def _livekit_js(version: str, rtc: str, shim: bool = False) -> Examinee:
    plugin = "@livekit/agents-plugin-openai"
    npm = {"@livekit/agents": version, plugin: version, "@livekit/rtc-node": rtc, "zod": "3.25.76"}
    return Examinee(plugin, version, "livekit", npm=npm, shim=shim, keeps_running=True)


def _litellm(shim: bool = False, missing: str = "") -> Examinee:
    version = "1.105.7"  # the last that sends `model`
    requirements = (f"litellm[proxy]=={version}",)
    return Examinee("litellm proxy", version, "litellm", requirements, shim=shim, extra=60, missing=missing)


EXAMINEES = (
    Examinee("openai", "2.0.1", "openai-with-model", ("openai[realtime]==2.0.1",)),
    Examinee("openai", "2.0.1", "openai-with-model", ("openai[realtime]==2.0.1",), shim=True),
    Examinee("openai", "3.54.0", "openai", ("openai[realtime]==3.54.0",)),
    _openai_npm("7.6.0"),
    _openai_npm("7.57.0"),
    _livekit("1.6.6", "openai<3"),
    _livekit("1.8.9"),
    _livekit_js("1.4.4", "0.13.27"),
    _livekit_js("1.4.4", "0.13.27", shim=True),
    _livekit_js("1.9.0", "0.13.34"),
    Examinee("pipecat-ai", "1.14.0", "pipecat", ("pipecat-ai[openai]==1.14.0",), keeps_running=True),
    Examinee("openai-agents", "0.24.0", "openai-agents", ("openai-agents[voice]==0.24.0",)),
    _litellm(),
    _litellm(shim=True, missing="each scenario starts a proxy, which takes the exam beyond its two minutes"),
    Examinee(
        "speech-to-speech",
        "1.1.0",
        "speech-to-speech",
        ("openai[realtime]==3.54.0", "numpy", "soxr"),
        no_deps=("speech-to-speech==1.1.0",),  # its local models need glibc 2.39
    ),
    Examinee("scribe-cli", "1.2.1", "scribe", ("scribe-cli==1.2.1", "openai[realtime]==3.54.0", "soxr")),
    Examinee(
        "transcriber-sh",
        "0.1.2",
        "transcriber-sh",
        ("requests", "websocket-client", "python-dotenv", "openai"),
        no_deps=("transcriber-sh==0.1.2",),  # its microphone needs a sound card
    ),
)
"""The clients; with the shim too where they send `model`, so that nothing works without it."""


def examine(examinee: Examinee, scenarios: list[str]) -> dict[str, Any]:
    """Examine a client, printing each result, and return them as `rtstt-shim exam --json` writes them."""
    with tempfile.TemporaryDirectory(prefix="exam-field-") as folder:
        file = Path(folder, "exam.json")
        options = ["--transcript", "^final: (.*)", "--jobs", str(JOBS), "--json", str(file)]
        options += [word for scenario in scenarios for word in ("--only", scenario)]
        options += ["--shim"] if examinee.shim else []
        options += ["--keeps-running"] if examinee.keeps_running else []
        options += ["--extra-time", str(examinee.extra)] if examinee.extra else []
        command = [sys.executable, "-m", "rtstt_core", "exam", *options, "--", *examinee.command()]
        with subprocess.Popen(command) as process:
            try:
                code = process.wait()
            except BaseException:
                process.terminate()  # it ends what it examines
                raise
        if code not in (0, 1):
            raise _env.SetupError(f"examining {examinee.name} failed with exit code {code}")
        return dict(json.loads(file.read_text(encoding="utf-8")))


def load() -> dict[str, Any]:
    """Return the saved results, by the name of the client."""
    return dict(json.loads(DATA.read_text(encoding="utf-8"))) if DATA.exists() else {}


def save(name: str, seconds: float, found: dict[str, Any]) -> None:
    """Save the results of a client; those of single scenarios replace these alone."""
    results = load()
    before = results.get(name)
    new = {scenario["name"]: scenario for scenario in found["scenarios"]}
    if before and len(new) < len(before["scenarios"]):
        before["scenarios"] = [new.get(scenario["name"], scenario) for scenario in before["scenarios"]]
    else:
        today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        results[name] = {"on": today, "seconds": round(seconds), **found}
    order = [examinee.name for examinee in EXAMINEES]
    results = dict(sorted(results.items(), key=lambda item: order.index(item[0])))
    DATA.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> int:
    parser = _env.parser("exam_field.py", __doc__)
    parser.add_argument("--only", metavar="WORDS", default="", help="a client's name, or what names contain")
    parser.add_argument("--scenario", metavar="NAME", action="append", default=[], help="only this scenario, again")
    args = parser.parse_args()
    named = [each for each in EXAMINEES if args.only == each.name]
    chosen = [each for each in named or EXAMINEES if args.only in each.name and not each.missing]
    if not chosen:
        parser.error(f"no client's name contains {args.only!r}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for place, examinee in enumerate(chosen, 1):
        _env.log(f"[{place}/{len(chosen)}] {examinee.name}")
        begin = time.monotonic()
        found = examine(examinee, args.scenario)
        save(examinee.name, time.monotonic() - begin, found)
    return 0


if __name__ == "__main__":
    with _env.exit_on_error("scripts/exam_field.py"):
        sys.exit(main())
