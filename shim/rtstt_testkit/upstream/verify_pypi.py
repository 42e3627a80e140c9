"""The workbench of Python upstreams: pytest and ruff with the upstream's settings, on its package from PyPI."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

from rtstt_testkit.upstream.endtoend import ClientRun, drive
from rtstt_testkit.upstream.errors import VerificationFailed
from rtstt_testkit.upstream.pull_request import PullRequest
from rtstt_testkit.upstream.scratch import Progress, execute, python_environment, workspace
from rtstt_testkit.upstream.workbench import TestRun, Workbench

__all__ = ["workbench"]

TOOLS = {"pytest": "9.0.3", "pytest-asyncio": "1.3.0", "ruff": "0.14.14"}
PYTEST = "[pytest]\nasyncio_mode = auto\nmarkers =\n    unit: fast tests with no external providers\n"
ACTIVATE = "import rtstt_testkit.routing\n\nrtstt_testkit.routing.activate_from_env()\n"


@contextmanager
def workbench(request: PullRequest, progress: Progress) -> Iterator[Workbench]:
    """Prepare an environment for the version that a pull request was made from."""
    # The test kit's routing needs wrapt in the client's process.
    tools = ["wrapt>=1.16,<3", *(f"{name}=={version}" for name, version in TOOLS.items())]
    python = python_environment([*tools, *request.fix.requirements(request.source.version)], progress)
    with workspace(python.parents[1]) as folder:
        bench = _PyPI(request, python, folder)
        yield Workbench(
            tools=f"Python {bench.version()}, pytest {TOOLS['pytest']} and ruff {TOOLS['ruff']}",
            checks=[("`ruff format --check`", bench.format), ("`ruff check`", bench.lint)],
            test=bench.test,
            run_client=bench.run_client,
        )


class _PyPI:
    def __init__(self, request: PullRequest, python: Path, folder: Path) -> None:
        self._request = request
        self._fix = request.fix
        self._python = python
        self._folder = folder
        # Before the installed package: the two share a namespace package, or this one shadows the other.
        self._environment = {"PYTHONPATH": str(folder / self._fix.root), "PYTHONDONTWRITEBYTECODE": "1"}

    def version(self) -> str:
        return self._run("-c", "import platform; print(platform.python_version())").strip()

    def format(self, files: Mapping[str, str]) -> Sequence[str]:
        return self._ruff("format", "--check", files=files)

    def lint(self, files: Mapping[str, str]) -> Sequence[str]:
        return self._ruff("check", "--output-format=concise", files=files)

    def test(self, files: Mapping[str, str]) -> TestRun:
        self._lay_out(files)
        (self._folder / "pytest.ini").write_text(PYTEST, encoding="utf-8")
        report = self._folder / "report.xml"
        report.unlink(missing_ok=True)
        output = self._run("-m", "pytest", "-q", f"--junit-xml={report}", self._request.test_path)
        if not report.exists():
            raise VerificationFailed(f"pytest did not run: {output.strip().splitlines()[-1]}")
        passed: list[str] = []
        failed: list[str] = []
        skipped: list[str] = []
        for case in ElementTree.parse(report).iter("testcase"):
            if case.find("error") is not None:
                raise VerificationFailed(f"pytest could not load the tests: {output.strip().splitlines()[-2]}")
            outcome = failed if case.find("failure") is not None else passed
            (skipped if case.find("skipped") is not None else outcome).append(case.attrib["name"])
        return TestRun(passed, failed, skipped)

    def run_client(self, files: Mapping[str, str], host: str) -> ClientRun:
        self._lay_out(files)
        # A copy, so that the client cannot import other packages of this environment.
        testkit = self._folder / self._fix.root / "rtstt_testkit"
        if not testkit.exists():
            shutil.copytree(Path(__file__).parents[1], testkit, ignore=shutil.ignore_patterns("upstream"))
        script = self._folder / "drive.py"
        text = (self._fix.folder.parent / "drive.py").read_text(encoding="utf-8")
        script.write_text(f"{ACTIVATE}{text}", encoding="utf-8")
        return drive([self._python, script], self._folder, host, self._environment)

    def _ruff(self, *arguments: str, files: Mapping[str, str]) -> Sequence[str]:
        self._lay_out(files)
        (self._folder / "ruff.toml").write_text(self._fix.ruff, encoding="utf-8")
        lines = self._run("-m", "ruff", *arguments, *files).splitlines()
        return [line for line in lines if line.startswith(("Would reformat", *files))]

    def _lay_out(self, files: Mapping[str, str]) -> None:
        package = self._folder / self._fix.package_folder
        if not package.exists():
            source = self._request.source
            shutil.copytree(source.folder / source.local(self._fix.package_folder), package)
        for path, text in files.items():
            (self._folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self._folder / path).write_bytes(text.encode())

    def _run(self, *arguments: str | Path) -> str:
        done = execute([self._python, *arguments], self._folder, self._environment)
        return done.stdout + done.stderr
