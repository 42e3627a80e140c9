#!/usr/bin/env python3
"""Write the inspector's copy of wavesurfer.js: the pinned release from npm, checked against its digest.

  python3 scripts/vendor_inspector.py            download the release and write the files
  python3 scripts/vendor_inspector.py --check    compare the files with the digests below; needs no network

Exit code: 0 the files are right, 1 they differ, 2 usage error or the release cannot be downloaded.
"""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import _env

NAME, VERSION = "wavesurfer.js", "7.12.12"
FOLDER = Path(__file__).resolve().parents[1] / "shim" / "rtstt_testkit" / "inspector" / "vendor"

#: By the file's name: its path in the release, and the SHA-256 of its content.
FILES = {
    "wavesurfer.esm.js": (
        "dist/wavesurfer.esm.js",
        "1bca765cc75bc4af079ecd1b2edd659b155e5d1715e75a29d68272d9f141f951",
    ),
    "regions.esm.js": (
        "dist/plugins/regions.esm.js",
        "14780f7d3f7cabfc4fb9a37ddf81c4fcc1045cfdb0b93c4a8c4c6acd52d03a7f",
    ),
    "timeline.esm.js": (
        "dist/plugins/timeline.esm.js",
        "86355f84bb5d4679db729164c6c2d9d2435a33d6d77206532a454983aff65cc3",
    ),
    "LICENSE": (
        "LICENSE",
        "0fc992dc27cc34dde78bfeb024b4cadff6320f0dcbee2f1228efaeb533ca1364",
    ),
}


def download(folder):
    """Return the files of the release, by name."""
    command = ["npm", "pack", "--silent", f"{NAME}@{VERSION}"]
    try:
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"scripts/vendor_inspector.py: {NAME} {VERSION} cannot be downloaded from npm: {error}", file=sys.stderr)
        sys.exit(2)
    with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
        return {name: archive.extractfile(f"package/{path}").read() for name, (path, _) in FILES.items()}


def wrong(contents):
    """Return a sentence for each file whose content is not the pinned one."""
    found = []
    for name, (_, digest) in FILES.items():
        actual = hashlib.sha256(contents[name]).hexdigest() if name in contents else "missing"
        if actual != digest:
            found.append(f"{name} of {NAME} {VERSION}: SHA-256 {actual}, expected {digest}")
    return found


def main():
    parser = _env.parser("vendor_inspector.py", __doc__)
    parser.add_argument("--check", action="store_true", help="compare the files, write nothing")
    check = parser.parse_args().check
    if check:
        contents = {name: (FOLDER / name).read_bytes() for name in FILES if (FOLDER / name).exists()}
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
    for name, content in contents.items():
        (FOLDER / name).write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
