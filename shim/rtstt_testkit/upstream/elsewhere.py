"""Find the places in a source that look like the one a fix changes, so that its text can name them."""

from __future__ import annotations

from pathlib import Path

from ast_grep_py import SgRoot

from rtstt_testkit.upstream.fixes import Fix
from rtstt_testkit.upstream.source import Source

__all__ = ["find_elsewhere"]

_LANGUAGES = {".ts": "typescript", ".py": "python"}


def find_elsewhere(fix: Fix, source: Source, before: str, after: str) -> list[str]:
    """Return one sentence for each place that a fix leaves as it is.

    Args:
        fix: The fix, with the patterns to look for and the reasons by file.
        source: The source.
        before: The text of the fixed file as it was.
        after: The text of the fixed file, which is searched except for what the fix added.
    """
    suffix = Path(fix.source).suffix
    root = source.folder / source.local(fix.package_folder)
    found = []
    for file in sorted(root.rglob(f"*{suffix}")):
        if ".test." in file.name or file.is_symlink() or "node_modules" in file.parts:
            continue
        path = f"{source.prefix}{file.relative_to(source.folder).as_posix()}"
        text = after if path == fix.source else file.read_text(encoding="utf-8", errors="replace")
        present = set((before if path == fix.source else text).splitlines())
        tree = SgRoot(text, _LANGUAGES[suffix]).root()
        nodes = [node for pattern in fix.elsewhere for node in tree.find_all(pattern=pattern)]
        rows = {node.range().start.line for node in nodes}
        lines = [row + 1 for row in sorted(rows) if text.splitlines()[row] in present]
        reason = fix.reasons.get(path, "it was not examined")
        found += [f"Not touched: `{path}` line {line} has a similar test, because {reason}." for line in lines]
    return found
