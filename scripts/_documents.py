"""The project's documents: their generated blocks, and their examples.

A generated block is between ``<!-- generated: NAME -->`` and ``<!-- end -->``. An example is a fenced block below
``<!-- example: NAME -->``; a test runs it, whatever its document. If the name is a path, the example is that file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = (
    "",
    "shim",
    *(f"shim/{name}" for name in ("npm", "docker", "action", "rtstt_testkit", "rtstt_testkit/mock")),
    "shim/rtstt_testkit/mock/inspect/findings",
    "patches",
    "patches/source",
    "tests",
    "scripts",
)

GENERATED = re.compile(r"<!-- generated: (?P<name>[a-z-]+) -->\n(?P<text>.*?)<!-- end -->", re.DOTALL)
EXAMPLE = re.compile(r"<!-- example: (?P<name>\S+) -->\n```(?P<language>\w+)\n(?P<text>.*?)```", re.DOTALL)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (heads, ["---"] * len(heads), *rows))


def documents() -> list[Path]:
    """Return the Markdown files of the project, CHANGELOG.md aside."""
    found = (path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.md")))
    return [path for path in found if path.name != "CHANGELOG.md"]


def generated() -> Iterator[tuple[Path, str]]:
    """Yield the document and the name of each generated block."""
    for path in documents():
        for match in GENERATED.finditer(path.read_text(encoding="utf-8")):
            yield path, match["name"]


def regenerate(text: str, blocks: Mapping[str, Callable[[], str]]) -> str:
    """Return a document with its generated blocks, and its examples that are files, made anew.

    Args:
        text: The document.
        blocks: By name, what makes a block.
    """

    def block(match: re.Match[str]) -> str:
        return f"<!-- generated: {match['name']} -->\n{blocks[match['name']]()}\n<!-- end -->"

    def file(match: re.Match[str]) -> str:
        path = ROOT / match["name"]
        if not path.is_file():
            return match[0]
        code = path.read_text(encoding="utf-8")
        return f"<!-- example: {match['name']} -->\n```{match['language']}\n{code}```"

    return EXAMPLE.sub(file, GENERATED.sub(block, text))


def examples() -> dict[str, list[str]]:
    """Return the marked examples of all documents, by name."""
    found: dict[str, list[str]] = {}
    for path in documents():
        for match in EXAMPLE.finditer(path.read_text(encoding="utf-8")):
            found.setdefault(match["name"], []).append(match["text"])
    return found


def example(name: str) -> str:
    """Return a marked example; if it is in several documents, they have to agree.

    Raises:
        LookupError: There is no such example, or there are different ones.
    """
    texts = set(examples().get(name, ()))
    if len(texts) != 1:
        raise LookupError(f"{len(texts)} different texts are marked `<!-- example: {name} -->`")
    return texts.pop()


def fenced_blocks(language: str) -> Iterator[str]:
    """Yield every fenced block of a language, of all documents."""
    for path in documents():
        yield from re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
