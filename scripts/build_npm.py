#!/usr/bin/env python3
"""Build the tarball of the npm package rtstt-shim.

  python3 scripts/build_npm.py                       in dist/
  python3 scripts/build_npm.py --out FOLDER
  python3 scripts/build_npm.py --repository URL      names the repository, which `npm publish --provenance` compares

Everything in it comes from this tree: shim/npm/, modules and tables of shim/rtstt_core/, and the types of the mock's
control API. The same sources give the same bytes. The path of the tarball is printed.
Exit code: 0 built, 2 for a usage error or a failed setup.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import _env

if __name__ == "__main__":
    _env.ensure_installed()

import _npm_types
from _build import cached_folder
from rtstt_core.clients import npm_packages, tree
from rtstt_testkit.mock.server import api, openapi

NPM = _env.ROOT / "shim" / "npm"
CORE = _env.ROOT / "shim" / "rtstt_core"

# npm's own choice: some tools refuse a time before 1980.
_MTIME = 499162500
_EXECUTABLE = {"cli/main.cjs"}
_REQUIRE = re.compile(r"\brequire\('([^']+)'\)")


def files(repository: str | None = None) -> dict[str, str]:
    """Return the text of every file of the package, by its path.

    Args:
        repository: The address of the repository that publishes it.

    Raises:
        SetupError: The sources do not fit together.
    """
    found = {f"node/{path.name}": path for path in CORE.joinpath("node").iterdir()}
    found |= {"npm_rules.json": CORE / "clients" / "npm_rules.json"}
    own = [path for path in NPM.rglob("*") if path.is_file() and path.parent.name != "browser"]
    found |= {path.relative_to(NPM).as_posix(): path for path in own}
    found |= {"LICENSE": _env.ROOT / "LICENSE", "browser/index.d.mts": NPM / "browser" / "index.d.mts"}
    texts = {name: path.read_text(encoding="utf-8") for name, path in found.items()}
    texts["package.json"] = _manifest(json.loads(texts["package.json"]), repository)
    texts["browser/index.mjs"] = _browser()
    folders = {"skipped": list(tree.SKIPPED), "stores": list(npm_packages.STORES)}
    texts["cli/folders.json"] = json.dumps(folders, indent=1) + "\n"
    texts["testing/api.d.ts"] = _npm_types.types(openapi.describe(operation for operation, _ in api.OPERATIONS))
    return dict(sorted(texts.items()))


def build(folder: Path, repository: str | None = None) -> Path:
    """Write the tarball.

    Args:
        folder: Where to write it.
        repository: As for `files`.

    Returns:
        Its path.
    """
    texts = files(repository)
    manifest = json.loads(texts["package.json"])
    path = folder / f"{manifest['name']}-{manifest['version']}.tgz"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_tarball(texts))
    return path


def cached() -> Path:
    """Return the tarball of this tree, whose name has a digest: installers cache a package by its path."""
    texts = files()
    digest = hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:10]
    folder = _env.CACHE / "npm-package" / digest
    [path] = cached_folder(folder, {"files": digest}, lambda: build(folder)).glob("*.tgz")
    return path


def _tarball(texts: Mapping[str, str]) -> bytes:
    packed = io.BytesIO()
    with (
        # Neither the time nor a file name in the header.
        gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, text in texts.items():
            data = text.encode()
            member = tarfile.TarInfo(f"package/{name}")
            member.size, member.mtime = len(data), _MTIME
            member.mode = 0o755 if name in _EXECUTABLE else 0o644
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def _manifest(manifest: dict[str, Any], repository: str | None) -> str:
    text = (_env.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    match = re.search(r'^version = "([^"]+)"$', text, re.MULTILINE)
    if match is None:
        raise _env.SetupError("pyproject.toml has no version")
    manifest["version"] = match[1]
    if repository is not None:
        manifest["repository"] = {"type": "git", "url": repository}
        manifest["publishConfig"]["provenance"] = True
    return json.dumps(manifest, indent=2) + "\n"


# -- the module for browsers


def _browser() -> str:
    """Return one ES module: the modules of node/ that a page needs, and what they take from Node.js."""
    builtins = (NPM / "browser" / "builtins.js").read_text(encoding="utf-8")
    provided = set(re.findall(r"^  '([^']+)':", builtins, re.MULTILINE))
    modules: dict[str, str] = {}
    waiting = ["./socket.cjs"]
    while waiting:
        name = waiting.pop()
        if name in modules or name in provided:
            continue
        folder = NPM / "browser" if name == "./socket.cjs" else CORE / "node"
        path = folder / name.removeprefix("./")
        if not path.is_file():
            raise _env.SetupError(f"shim/npm/browser/builtins.js does not provide {name}, which a page needs")
        text = path.read_text(encoding="utf-8")
        modules[name] = f"module.exports = {text.rstrip()};\n" if path.suffix == ".json" else text
        waiting += _REQUIRE.findall(modules[name])
    functions = [
        f"  {json.dumps(name)}(module, require, __dirname) {{\n{text}  }},\n" for name, text in sorted(modules.items())
    ]
    return (
        "// Generated by scripts/build_npm.py from the modules that Node.js runs. Do not edit.\n\n"
        f"{builtins}\nconst modules = {{\n{''.join(functions)}}};\n\n{_LOADER}"
    )


_LOADER = """const loaded = {};

function require(name) {
  if (Object.hasOwn(builtins, name)) return builtins[name];
  if (!Object.hasOwn(loaded, name)) {
    loaded[name] = { exports: {} };
    modules[name](loaded[name], require, '');
  }
  return loaded[name].exports;
}

export const { fixUrl } = require('./socket.cjs');
"""


def main() -> int:
    parser = _env.parser("build_npm.py", __doc__)
    parser.add_argument("--out", type=Path, default=_env.ROOT / "dist", metavar="FOLDER", help="default: dist/")
    parser.add_argument("--repository", metavar="URL", help="such as git+https://HOST/OWNER/NAME.git")
    args = parser.parse_args()
    print(build(args.out, args.repository))
    return 0


if __name__ == "__main__":
    with _env.exit_on_error("scripts/build_npm.py"):
        sys.exit(main())
