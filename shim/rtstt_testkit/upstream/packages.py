"""The npm packages that ``patch-npm`` patches: a ``published/package.yml`` each, next to its rules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from rtstt_testkit.upstream.data import patches

__all__ = ["Package", "load_packages"]


@dataclass(frozen=True)
class Package:
    """An npm package.

    Attributes:
        name: The name on npm.
        files: The files that are patched, by their path in the package.
        mark: A text that every patch of this kit adds.
        rules: The rule file.
    """

    name: str
    files: tuple[str, ...]
    mark: str
    rules: Path


def load_packages() -> list[Package]:
    """Return every package, sorted by the folder of its upstream."""
    packages = []
    for path in sorted(patches().glob("*/published/package.yml")):
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        rules = path.parent / data.get("rules", "rules.yml")
        packages.append(Package(data["name"], tuple(data["files"]), data["mark"], rules))
    return packages
