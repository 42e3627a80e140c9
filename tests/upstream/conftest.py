"""Pristine copies of real sources."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from upstream_sources import npm_package, pypi_wheel


@pytest.fixture
def npm_source(tmp_path: Path) -> Callable[[str], Path]:
    """A pristine copy of the plugin's npm package of a version."""

    def copy(version: str) -> Path:
        return Path(shutil.copytree(npm_package(version), tmp_path / f"source {version}"))

    return copy


@pytest.fixture
def pypi_source(tmp_path: Path) -> Callable[[str, str], Path]:
    """A pristine copy of a PyPI package's wheel."""

    def copy(name: str, version: str) -> Path:
        return Path(shutil.copytree(pypi_wheel(name, version), tmp_path / f"source {version}"))

    return copy
