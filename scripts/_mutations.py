"""Which mutants there are of a module: what mutmut makes of its code, and small changes of its patterns and tables.

mutmut's operators are used and its runner is not. The runner puts all mutants of a function behind a switch in one
module, so it leaves out whatever is not in a function (the patterns and tables that are most of the URL rule) and
every function with a decorator, it changes what `inspect.signature` and the modules imported look like, and tests that
start a process of their own never see a mutant. Here each mutant is a whole file, put in the place of the original.
"""

from __future__ import annotations

import ast
import difflib
import io
import json
import re
import tokenize
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple


class Mutant(NamedTuple):
    """One changed file."""

    file: str
    """The path below the project."""

    line: int
    where: str
    """The function or ``Class.method`` that is changed, the row of a table, or ``module``."""

    was: str
    becomes: str
    """The lines that are different, on one line and without the indentation."""

    text: str
    """The whole file."""


def mutants(root: Path, file: str, only: Iterable[str] = ()) -> list[Mutant]:
    """Return every mutant of a file, none twice.

    Args:
        root: The project.
        file: A module or a table, below it.
        only: The functions, as ``name`` or ``Class.method``, that are of interest; all of the file if empty.

    Raises:
        LookupError: The file has no such function.
    """
    text = (root / file).read_text(encoding="utf-8")
    if file.endswith(".json"):
        return list(_of_table(file, text))
    places = _places(text)
    for name in only:
        if name not in places.values():
            raise LookupError(f"{file} has no {name} any more")
    found: dict[str, Mutant] = {}
    for changed in (*_of_code(file, text), *_of_patterns(text)):
        line, was, becomes = _difference(text, changed)
        where = places.get(line, "module")
        if not only or where in only:
            found.setdefault(changed, Mutant(file, line, where, was, becomes, changed))
    return sorted(found.values(), key=lambda mutant: mutant.line)


def _places(text: str) -> dict[int, str]:
    """The function of each line that is in one."""
    places: dict[int, str] = {}

    def look(body: Iterable[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                look(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                places.update(dict.fromkeys(range(node.lineno, (node.end_lineno or 0) + 1), prefix + node.name))

    look(ast.parse(text).body, "")
    return places


def _difference(before: str, after: str) -> tuple[int, str, str]:
    """The first line that differs, and what differs."""
    old, new = before.splitlines(), after.splitlines()
    compared = difflib.SequenceMatcher(None, old, new, False).get_opcodes()
    changes = [change for change in compared if change[0] != "equal"]
    was = " ".join(line.strip() for _, start, end, _, _ in changes for line in old[start:end])
    becomes = " ".join(line.strip() for _, _, _, start, end in changes for line in new[start:end])
    return changes[0][1] + 1, was, becomes


_DECORATOR = re.compile(r"^( *)@(?=\w)", re.MULTILINE)


def _of_code(file: str, text: str) -> Iterator[str]:
    from mutmut.mutation.file_mutation import create_mutations, deep_replace  # its settings are in pyproject.toml

    # It leaves out functions with a decorator, which it could not put behind a switch.
    text = _DECORATOR.sub(r"\1# @", text)
    module, mutations, *_ = create_mutations(file, text)
    # To replace a node in one statement is much faster than to do so in the whole module.
    statements = [module.code_for_node(statement) for statement in module.body]
    start = text.index("".join(statements))
    owners: dict[int, int] = {}
    for place, statement in enumerate(module.body):
        nodes = [statement]
        while nodes:
            node = nodes.pop()
            owners[id(node)] = place
            nodes.extend(node.children)
    for mutation in mutations:
        place = owners[id(mutation.original_node)]
        statement = deep_replace(module.body[place], mutation.original_node, mutation.mutated_node)
        before, after = "".join(statements[:place]), "".join(statements[place + 1 :])
        changed = text[:start] + before + module.code_for_node(statement) + after
        changed += text[start + len("".join(statements)) :]
        if changed != text:
            yield changed.replace("# @", "@")


# -- patterns


def _of_patterns(text: str) -> Iterator[str]:
    """Change the regular expressions: the raw strings that are arguments of a function of `re`."""
    calls = [
        (node.lineno, node.end_lineno)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("re.")
    ]
    lines = text.splitlines(keepends=True)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        row, start = token.start
        raw = token.type == tokenize.STRING and token.string.startswith('r"')
        if raw and any(first <= row <= (last or 0) for first, last in calls):
            for pattern in changed_patterns(token.string[2:-1]):
                line = f'{lines[row - 1][:start]}r"{pattern}"{lines[row - 1][token.end[1] :]}'
                yield "".join([*lines[: row - 1], line, *lines[row:]])


_PIECE = re.compile(
    r"""
    (?P<set>\[\^?\]?(?:\\.|[^\]\\])*\])
    | (?P<escape>\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|.))
    | (?P<open>\((?:\?(?:P<\w+>|[a-z]*:|<=|<!|=|!))?)
    | (?P<close>\))
    | (?P<repeat>[*+?]|\{\d+(?:,\d*)?\})
    | (?P<bar>\|)
    | (?P<text>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_LETTER = r"(?:\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|.)|[^\\])"
_ITEM = re.compile(f"{_LETTER}(?:-{_LETTER})?", re.DOTALL)
_OPPOSITES = {r"\d": r"\D", r"\w": r"\W", r"\s": r"\S", "(?=": "(?!", "(?<=": "(?<!"}
_OPPOSITES |= {opposite: one for one, opposite in _OPPOSITES.items()}


def changed_patterns(pattern: str) -> Iterator[str]:
    """Yield the patterns that are a small mistake away from this one, each once, and all of them valid."""
    said = {pattern}
    for start, end, instead in _slips(pattern):
        changed = pattern[:start] + instead + pattern[end:]
        if changed in said:
            continue
        said.add(changed)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                re.compile(changed)
        except (re.error, FutureWarning):
            continue
        yield changed


def _slips(pattern: str) -> Iterator[tuple[int, int, str]]:
    """Yield what to replace (from, to, by what): a set, a repetition, an alternative, an assertion, a dot."""
    pieces = list(_PIECE.finditer(pattern))
    bars: list[list[int]] = [[0]]  # of each open group, where its alternatives begin
    opened: list[int] = []
    for place, piece in enumerate(pieces):
        kind, text, start, end = piece.lastgroup, piece[0], piece.start(), piece.end()
        if kind == "set":
            yield start, end, "[" + text[2:] if text[1] == "^" else "[^" + text[1:]
            inner = start + (2 if text[1] == "^" else 1)
            items = list(_ITEM.finditer(pattern, inner, end - 1))
            for item in items if len(items) > 1 else []:
                yield item.start(), item.end(), ""
        elif text in _OPPOSITES:
            yield start, end, _OPPOSITES[text]
        elif text == r"\.":
            yield start, end, "."
        elif kind == "repeat":
            yield from ((start, end, instead) for instead in _repetitions(text))
        if kind == "open":
            opened.append(start)
            bars.append([end])
        elif kind == "bar":
            bars[-1].append(end)
        elif kind == "close":
            yield from _alternatives(bars.pop(), start)
            following = pieces[place + 1] if place + 1 < len(pieces) else None
            yield opened.pop(), following.end() if following and following.lastgroup == "repeat" else end, ""
    yield from _alternatives(bars.pop(), len(pattern))


def _repetitions(text: str) -> list[str]:
    if text in "*+?":
        return {"*": ["", "+"], "+": ["", "*"], "?": [""]}[text]
    least = int(re.findall(r"\d+", text)[0])
    return [text.replace(str(least), str(instead), 1) for instead in (least - 1, least + 1)]


def _alternatives(starts: list[int], end: int) -> Iterator[tuple[int, int, str]]:
    """Leave each alternative out, with the bar beside it."""
    if len(starts) == 1:
        return
    for start, following in zip(starts, [*starts[1:], None], strict=True):
        yield (start, following, "") if following else (start - 1, end, "")


# -- tables


def _of_table(file: str, text: str) -> Iterator[Mutant]:
    """Leave out each condition of each row, each value of a list, and change the patterns."""
    table = json.loads(text)
    lines = text.splitlines()
    for row in table["rows"]:
        line = next(number for number, said in enumerate(lines, 1) if f'"id": "{row["id"]}"' in said)
        when = row["when"]
        for name, wanted in when.items():
            others = {key: value for key, value in when.items() if key != name}
            slips = [others]
            if isinstance(wanted, list):
                slips += [{**when, name: [one for one in wanted if one != left_out]} for left_out in wanted]
            elif name in ("message", "param", "close_reason"):
                slips += [{**when, name: pattern} for pattern in changed_patterns(wanted)]
            elif isinstance(wanted, bool):
                slips += [{**when, name: not wanted}]
            for slip in slips:
                rows = [{**other, "when": slip} if other is row else other for other in table["rows"]]
                changed = json.dumps({**table, "rows": rows}, indent=1, ensure_ascii=False)
                yield Mutant(file, line, row["id"], json.dumps(when), json.dumps(slip), changed)
