#!/usr/bin/env python3
"""Write the inspector's copy of wavesurfer.js: the pinned release from npm, checked against its digest.

  python3 scripts/vendor_inspector.py            download the release and write the files
  python3 scripts/vendor_inspector.py --check    compare the files with the digests below; needs no network

Exit code: 0 the files are right, 1 they differ, 2 usage error or the release cannot be downloaded.
"""

import hashlib
import sys
import tarfile
import tempfile
from pathlib import Path

import _env
from _build import run_tool

NAME, VERSION = "wavesurfer.js", "7.12.12"
FOLDER = Path(__file__).resolve().parents[1] / "shim" / "rtstt_testkit" / "inspector" / "vendor"

FILES = {
    "dist/wavesurfer.esm.js": "1bca765cc75bc4af079ecd1b2edd659b155e5d1715e75a29d68272d9f141f951",
    "dist/plugins/regions.esm.js": "14780f7d3f7cabfc4fb9a37ddf81c4fcc1045cfdb0b93c4a8c4c6acd52d03a7f",
    "dist/plugins/timeline.esm.js": "86355f84bb5d4679db729164c6c2d9d2435a33d6d77206532a454983aff65cc3",
    "LICENSE": "0fc992dc27cc34dde78bfeb024b4cadff6320f0dcbee2f1228efaeb533ca1364",
}
"""By the path in the release: the SHA-256 of the content. The copies are all in one folder."""


def download(folder):
    """Return the files of the release, by path."""
    run_tool(f"downloading {NAME} {VERSION}", ["npm", "pack", "--silent", f"{NAME}@{VERSION}"], folder)
    [release] = Path(folder).glob("*.tgz")
    with tarfile.open(release) as archive:
        return {path: archive.extractfile(f"package/{path}").read() for path in FILES}


def wrong(contents):
    """Return a sentence for each file whose content is not the pinned one."""
    found = []
    for path, digest in FILES.items():
        actual = hashlib.sha256(contents[path]).hexdigest() if path in contents else "missing"
        if actual != digest:
            found.append(f"{path} of {NAME} {VERSION}: SHA-256 {actual}, expected {digest}")
    return found


def main():
    parser = _env.parser("vendor_inspector.py", __doc__)
    parser.add_argument("--check", action="store_true", help="compare the files, write nothing")
    check = parser.parse_args().check
    if check:
        contents = {path: copy.read_bytes() for path in FILES if (copy := FOLDER / Path(path).name).exists()}
    else:
        with tempfile.TemporaryDirectory() as folder:
            contents = download(folder)
    problems = wrong(contents)
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return 1
    if check:
        return 0
    FOLDER.mkdir(exist_ok=True)
    for path, content in contents.items():
        (FOLDER / Path(path).name).write_bytes(content)
    return 0


if __name__ == "__main__":
    with _env.exit_on_error("scripts/vendor_inspector.py"):
        sys.exit(main())
