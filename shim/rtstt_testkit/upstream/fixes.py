"""The pull requests that the kit can make: a ``fix.yml`` each, next to its rules and texts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import yaml

from rtstt_testkit.upstream.data import patches
from rtstt_testkit.upstream.errors import BadInput
from rtstt_testkit.upstream.rules import PatchRule, load_rules

__all__ = ["Fix", "Variant", "find_fix", "load_fixes"]


@dataclass(frozen=True)
class Variant:
    """The texts of a pull request; a fix has one for each shape that the upstream has had."""

    title: str
    slug: str
    description: str
    changes: Sequence[str]
    changeset: str | None = None


@dataclass(frozen=True)
class Fix:
    """One upstream pull request. Paths are those of the upstream's repository.

    ``root`` is the folder of the published package. ``tests`` is changed if the source contains it; otherwise
    ``new_tests`` is added. ``elsewhere`` are patterns of places like the one that is fixed; ``reasons`` say by file
    why such a place is left as it is. ``package_folder`` contains the code of the package. ``hosts`` are the host names
    that the client of the verification connects to; if it is empty, those are all that `verify` knows.
    """

    name: str
    folder: Path
    upstream: str
    about: str
    registry: str
    package: str
    root: str
    package_folder: str
    version_file: str
    version_pattern: str
    source: str
    tests: str | None
    new_tests: str | None
    proof: str
    variants: Mapping[str, Variant]
    proves: str = ""
    elsewhere: Sequence[str] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)
    issue: int | None = None
    pull: int | None = None
    hosts: Sequence[str] = ()
    ruff: str = ""
    environment: Sequence[str] = ()
    pins: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def requirements(self, version: str) -> list[str]:
        """Return the requirements to test a version; the keys of ``pins`` are prefixes of versions."""
        pins = [pin for start, names in self.pins.items() if version.startswith(start) for pin in names]
        return [name.format(version=version) for name in (*self.environment, *pins)]

    @property
    def workbench(self) -> Mapping[str, Any]:
        """The settings of the upstream's tools: ``workbench.yml`` next to its fixes."""
        return cast(
            "dict[str, Any]", yaml.safe_load((self.folder.parent / "workbench.yml").read_text(encoding="utf-8"))
        )

    @property
    def test_path(self) -> str:
        """The test module that the fix changes, or adds if there is none."""
        path = self.tests or self.new_tests
        assert path is not None
        return path

    def paths(self) -> list[str]:
        """Return the files and folders that the fix and its verification read."""
        return [path for path in (self.package_folder, self.source, self.version_file, self.tests) if path]

    @cached_property
    def rules(self) -> list[PatchRule]:
        """The semantic patch."""
        return load_rules(self.folder / "rules.yml")

    def variant(self, applied: Sequence[str]) -> Variant:
        """Return the texts for the rules that were applied."""
        return next(variant for rule, variant in self.variants.items() if rule in applied)

    def version(self, text: str) -> str | None:
        """Return the version in the text of a ``version_file``."""
        match = re.search(self.version_pattern, text)
        return match.group(1) if match else None

    def template(self) -> str:
        """Return the upstream's template of a pull request."""
        return (self.folder.parent / "PR.md").read_text(encoding="utf-8")

    def changeset(self, variant: Variant) -> tuple[str, str] | None:
        """Return path and text of the change note, or None if the upstream has none."""
        if variant.changeset is None:
            return None
        template = (self.folder.parent / "changeset.md").read_text(encoding="utf-8")
        return f".changeset/{variant.slug}.md", template.format(changeset=variant.changeset)

    def new_test_module(self) -> str:
        """Return a test module for a source that does not contain the upstream's tests."""
        suffix = Path(self.new_tests or "").suffix
        text = (self.folder / f"new_tests{suffix}.txt").read_text(encoding="utf-8")
        body = "".join(rule.replacement or "" for rule in self.rules if rule.step == "new-tests").strip("\n")
        return f"{text}\n\n{body}\n" if body else text


def load_fixes() -> list[Fix]:
    """Read every fix, sorted by name."""
    return [_load(path) for path in sorted(patches().glob("*/*/fix.yml"))]


def find_fix(name: str) -> Fix:
    """Return one fix.

    Raises:
        BadInput: There is no fix of that name.
    """
    fixes = load_fixes()
    for fix in fixes:
        if fix.name == name:
            return fix
    raise BadInput(f"there is no fix {name!r}: choose one of {', '.join(fix.name for fix in fixes)}")


def _load(path: Path) -> Fix:
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    return Fix(
        name=f"{path.parent.parent.name}/{path.parent.name}",
        folder=path.parent,
        upstream=data["upstream"],
        about=data["about"],
        registry=data["package"]["registry"],
        package=data["package"]["name"],
        root=data["root"],
        version_file=data["version"]["file"],
        version_pattern=data["version"]["pattern"],
        source=data["source"],
        tests=data.get("tests"),
        new_tests=data.get("new_tests"),
        proof=data["proof"],
        proves=data.get("proves", ""),
        elsewhere=data.get("elsewhere", {}).get("patterns", ()),
        reasons=data.get("elsewhere", {}).get("reasons", {}),
        issue=data.get("issue"),
        pull=data.get("pull"),
        package_folder=data.get("package_folder", f"{data['root']}src"),
        hosts=data.get("hosts", ()),
        ruff=data.get("ruff", ""),
        environment=data.get("environment", ()),
        pins=data.get("pins", {}),
        variants={rule: Variant(**texts) for rule, texts in data["variants"].items()},
    )
