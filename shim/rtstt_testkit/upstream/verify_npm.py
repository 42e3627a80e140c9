"""The workbench for livekit/agents-js: vitest, tsc, prettier and esbuild from npm, with the upstream's settings."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rtstt_testkit.upstream.data import patches
from rtstt_testkit.upstream.endtoend import ClientRun, drive
from rtstt_testkit.upstream.errors import VerificationFailed
from rtstt_testkit.upstream.pull_request import PullRequest
from rtstt_testkit.upstream.scratch import Progress, execute, npm_project, workspace
from rtstt_testkit.upstream.workbench import TestRun, Workbench

__all__ = ["workbench"]

TOOLS = {
    "vitest": "4.1.12",
    "vite": "7.3.6",
    "typescript": "5.9.3",
    "esbuild": "0.25.12",
    "prettier": "3.2.5",
    "@trivago/prettier-plugin-sort-imports": "4.3.0",
    "@types/node": "22.19.1",
    "@types/ws": "8.18.1",
    "ws": "8.21.0",
    "zod": "3.25.76",
}
PRETTIER = {
    "singleQuote": True,
    "trailingComma": "all",
    "semi": True,
    "tabWidth": 2,
    "printWidth": 100,
    "importOrder": ["<THIRD_PARTY_MODULES>", "^[./]"],
    "importOrderSeparation": False,
    "importOrderSortSpecifiers": True,
    "importOrderParserPlugins": ["typescript"],
    "plugins": ["@trivago/prettier-plugin-sort-imports"],
}
#: What only the upstream's live tests use, which are skipped without an API key.
STUBS = {
    "@livekit/agents-plugin-silero": "stubs/silero.ts",
    "@livekit/agents-plugins-test": "stubs/plugins-test.ts",
}
#: The upstream's compiler options, and the stubs.
TSCONFIG = {
    "include": ["src/stt.ts", "src/stt.test.ts", "globals.d.ts"],
    "compilerOptions": {
        "baseUrl": ".",
        "target": "es2022",
        "types": ["node"],
        "module": "node16",
        "moduleResolution": "node16",
        "strict": True,
        "esModuleInterop": True,
        "skipLibCheck": True,
        "forceConsistentCasingInFileNames": True,
        "verbatimModuleSyntax": True,
        "isolatedModules": True,
        "noUncheckedIndexedAccess": True,
        "noEmit": True,
        "paths": {name: [path] for name, path in STUBS.items()},
    },
}
DEFINE = {"__PACKAGE_NAME__": '"@livekit/agents-plugin-openai"', "__PACKAGE_VERSION__": '"0.0.0-test"'}
# Versions of the framework before 1.5 leave the rejection of a failed stream unhandled: not the plugin's fault.
FILES = {
    "package.json": '{"type": "module"}',
    "globals.d.ts": "declare const __PACKAGE_NAME__: string;\ndeclare const __PACKAGE_VERSION__: string;\n",
    "stubs/silero.ts": "export class VAD { static async load(): Promise<never> { throw new Error('stub'); } }\n",
    "stubs/plugins-test.ts": "export async function stt(..._args: unknown[]): Promise<void> {}\n",
    "vitest.setup.mjs": "import { initializeLogger } from '@livekit/agents';\n"
    "initializeLogger({ pretty: false, level: 'silent' });\n",
    "vitest.config.mjs": f"""
const stubs = Object.entries({json.dumps(STUBS)});
const paths = stubs.map(([name, path]) => [name, new URL(path, import.meta.url).pathname]);
export default {{
  define: {json.dumps(DEFINE)},
  resolve: {{ alias: Object.fromEntries(paths) }},
  test: {{
    include: ['src/stt.test.ts'],
    setupFiles: ['./vitest.setup.mjs'],
    onUnhandledError: (error) => !/^API/.test(error.name ?? ''),
  }},
}};
""",
}
BUILD = f"""
import {{ readdirSync }} from 'node:fs';
import {{ build }} from 'esbuild';
const entryPoints = readdirSync('src', {{ recursive: true }})
  .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
  .map((name) => `src/${{name}}`);
await build({{ entryPoints, outdir: process.argv[2], format: 'esm', platform: 'node', target: 'node16',
  define: {json.dumps(DEFINE)}, logLevel: 'silent' }});
"""


@contextmanager
def workbench(request: PullRequest, progress: Progress) -> Iterator[Workbench]:
    """Prepare a scratch project for the version that a pull request was made from."""
    fix = request.fix
    project = npm_project({**TOOLS, fix.package: request.source.version}, progress)
    source = (request.source.folder / request.source.local(fix.source)).parent
    with workspace(project) as folder:
        for name, text in {**FILES, "build.mjs": BUILD}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        (folder / ".prettierrc").write_text(json.dumps(PRETTIER), encoding="utf-8")
        (folder / "tsconfig.json").write_text(json.dumps(TSCONFIG), encoding="utf-8")
        shutil.copytree(source, folder / "src")
        bench = _Npm(request, project, folder)
        yield Workbench(
            tools=f"vitest {TOOLS['vitest']}, TypeScript {TOOLS['typescript']} and prettier {TOOLS['prettier']}",
            checks=[("`prettier --check`", bench.prettier), ("`tsc`", bench.tsc)],
            test=bench.test,
            run_client=bench.run_client,
            caveat=_caveat(request),
        )


def _caveat(request: PullRequest) -> str:
    """Progress which imports of the tests were stubbed."""
    stubbed = [f"`{name}`" for name in STUBS if name in request.after[request.test_path]]
    if not stubbed:
        return ""
    return f"Stubbed for this run: {' and '.join(stubbed)}, which only the live tests use; without a key those skip."


class _Npm:
    def __init__(self, request: PullRequest, project: Path, folder: Path) -> None:
        self._package = request.fix.package
        self._root = request.fix.root
        self._project = project
        self._folder = folder

    def prettier(self, files: Mapping[str, str]) -> Sequence[str]:
        names = self._lay_out(files)
        lines = self._run("prettier/bin/prettier.cjs", "--check", *names).splitlines()
        return [line for line in lines if line.startswith(("[warn] src", "[error]"))]

    def tsc(self, files: Mapping[str, str]) -> Sequence[str]:
        self._lay_out(files)
        lines = self._run("typescript/bin/tsc", "--project", ".").splitlines()
        return [line for line in lines if "error TS" in line]

    def test(self, files: Mapping[str, str]) -> TestRun:
        self._lay_out(files)
        report = self._folder / "report.json"
        report.unlink(missing_ok=True)
        output = self._run("vitest/vitest.mjs", "run", "--reporter=json", f"--outputFile={report}")
        if not report.exists():
            raise VerificationFailed(f"vitest did not run: {output.strip().splitlines()[-1]}")
        data = json.loads(report.read_text(encoding="utf-8"))
        outcomes: dict[str, list[str]] = {"passed": [], "failed": [], "skipped": []}
        for result in data["testResults"]:
            if not result["assertionResults"]:
                raise VerificationFailed(f"vitest could not load the tests: {result['message'].splitlines()[0]}")
            for test in result["assertionResults"]:
                outcomes.setdefault(test["status"], []).append(test["fullName"])
        return TestRun(outcomes["passed"], outcomes["failed"], outcomes["skipped"])

    def run_client(self, files: Mapping[str, str], host: str) -> ClientRun:
        self._lay_out(files)
        package = self._folder / "node_modules" / self._package
        shutil.rmtree(package, ignore_errors=True)
        package.mkdir(parents=True)
        shutil.copy(self._project / "node_modules" / self._package / "package.json", package)
        built = execute(["node", "build.mjs", package / "dist"], self._folder)
        if built.returncode:
            raise VerificationFailed(f"esbuild could not build the source: {built.stderr.strip().splitlines()[-1]}")
        shutil.copy(patches() / "agents-js" / "drive.mjs", self._folder)
        preload = (Path(__file__).parents[1] / "node" / "route.mjs").as_uri()
        return drive(["node", "--import", preload, "drive.mjs"], self._folder, host, {})

    def _lay_out(self, files: Mapping[str, str]) -> list[str]:
        names = []
        for path, text in files.items():
            if path.startswith(self._root):
                names.append(path.removeprefix(self._root))
                (self._folder / names[-1]).write_text(text, encoding="utf-8")
        return names

    def _run(self, tool: str, *arguments: str) -> str:
        done = execute(["node", self._project / "node_modules" / tool, *arguments], self._folder, {"CI": "1"})
        return done.stdout + done.stderr
