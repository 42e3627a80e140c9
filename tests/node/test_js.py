"""The preload's own unit tests, its types, and its equality with the Python shim."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from . import npm
from .conftest import REGISTER

JS = Path(__file__).parent / "js"
NODE = REGISTER.parent

pytestmark = pytest.mark.node


@pytest.mark.parametrize(
    "node", ["system", pytest.param("26", marks=pytest.mark.heavy), pytest.param("20", marks=pytest.mark.release)]
)
@pytest.mark.parametrize("file", sorted(path.name for path in JS.glob("*.test.mjs")))
def test_the_unit_tests_in_javascript(file: str, node: str) -> None:
    done = subprocess.run(
        [str(npm.node(node)), "--test", "--test-reporter=spec", str(JS / file)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.client
def test_typescript_finds_no_error(cell: Callable[..., Path]) -> None:
    tools = cell(typescript="5.9.3", **{"@types__node": "24.10.1"}) / "node_modules"
    options = ["--noEmit", "--allowJs", "--checkJs", "--strict", "--noUnusedLocals", "--resolveJsonModule"]
    modules = ["--target", "es2022", "--module", "nodenext", "--typeRoots", tools / "@types", "--types", "node"]
    done = subprocess.run(
        [tools / ".bin" / "tsc", *options, *modules, *sorted(NODE.glob("*.?js"))],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stdout == ""
    assert done.returncode == 0


TWINS = """
const { text } = await import('node:stream/consumers');
const node = process.argv[1];
const { fixUrl } = await import(`${node}/url_rule.cjs`);
const { redact, redactUrl } = await import(`${node}/redact.cjs`);
const { diagnose } = await import(`${node}/diagnosis.cjs`);
const { urls, texts, symptoms } = JSON.parse(await text(process.stdin));
const decisions = urls.map((text) => fixUrl(text));
console.log(JSON.stringify({
  decisions: decisions.map((one) => [one.url, one.changed, one.rule, one.reason, one.session, one.native]),
  texts: texts.map((text) => [redact(text), redactUrl(text)]),
  diagnoses: symptoms.map((symptom) => {
    const { id, what, doThis, fatal } = diagnose(symptom);
    return [id, what, doThis, fatal];
  }),
}));
"""


def test_both_twins_agree_on_random_input() -> None:
    """Some thousand URLs, texts and symptoms, generated at random, the same in every run."""
    pick = random.Random(1756)
    pieces = [
        *("wss://", "https://", "WS://", "ftp://", "user:pw@", "api.openai.com", "eu.api.openai.com.", "localhost:1"),
        *("API.OPENAI.COM:443", "[::1]", "/v1/realtime", "/realtime", "/realtimes", "?", "&", "&&", "#", "=", "%", "+"),
        *("intent=transcription", "intent=Transcription", "intent=", "model=whisper-1", "model=gpt-realtime", "model"),
        *("%6Dodel=a", "model=gpt%2D4o%2Dtranscribe", "Intent=transcription", "x=a%20b", "é", "\u2028", "\u00a0", "\\"),
    ]
    secrets = [
        "sk-proj-",
        "ek_",
        "Bearer ",
        "A1b2C3d4",
        "***",
        "wss://h/p?k=v&model=m",
        " ",
        "\n",
        "\x1b",
        "…",
        "'",
        "x" * 90,
    ]
    urls = ["".join(pick.choices(pieces, k=pick.randrange(1, 9))) for _ in range(2000)]
    strange = "\u00a0\u2028\u3000\x85\x1c\x7f\x00\u017f\u212a\uff11\ufeff\\%+[]@:#?&=."
    known = ["wss://", "api.openai.com", "/v1/realtime", "?"]
    urls += ["".join([*known, "&".join(pick.choices(pieces[18:], k=pick.randrange(1, 5)))]) for _ in range(2000)]
    for _ in range(2000):  # one character that does not belong there, anywhere
        url = "wss://eu.api.openai.com:443/v1/realtime?model=whisper-1-2025-01-01"
        place = pick.randrange(len(url) + 1)
        urls.append(url[:place] + pick.choice(strange) + url[place + pick.randrange(2) :])
    texts = urls[::10] + ["".join(pick.choices(secrets, k=pick.randrange(1, 9))) for _ in range(1000)]
    cases = json.loads((JS.parents[1] / "vectors" / "diagnosis.json").read_text(encoding="utf-8"))["cases"]
    symptoms = [case["symptom"] for case in cases]

    done = subprocess.run(
        [str(npm.node("system")), "--input-type=module", "-e", TWINS, NODE.as_uri()],
        input=json.dumps({"urls": urls, "texts": texts, "symptoms": symptoms}),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    answer = json.loads(done.stdout)

    rule, redaction, diagnosis = (import_module(f"rtstt_core.{name}") for name in ("url_rule", "redact", "diagnosis"))
    assert answer["decisions"] == [list(rule.fix_url(url)) for url in urls]
    assert answer["texts"] == [[redaction.redact(text), redaction.redact_url(text)] for text in texts]
    assert answer["diagnoses"] == [list(diagnosis.diagnose(diagnosis.Symptom(**symptom))) for symptom in symptoms]
    assert {decision[2] for decision in answer["decisions"]} == {"drop-model", "set-intent", "keep"}
