"""What PyInstaller does not find by itself: modules imported by name, data files, the versions of the libraries."""

import contextlib
from importlib import metadata

from PyInstaller.utils.hooks import collect_data_files, collect_submodules, copy_metadata

from rtstt_core.patching.targets import TARGETS

hiddenimports = collect_submodules("rtstt_core.patching")
datas = collect_data_files("rtstt_core", includes=["**/*.json"])
for library in {target.library for target in TARGETS}:
    with contextlib.suppress(metadata.PackageNotFoundError):
        datas += copy_metadata(library)
