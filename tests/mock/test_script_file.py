"""Scripts in TOML, YAML and JSON: what they mean, and the errors of those that cannot be used."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from jsonschema import Draft202012Validator
from test_command import refused, start

from rtstt_testkit.mock.protocol.events import Failure, Segment
from rtstt_testkit.mock.script.delays import Delays
from rtstt_testkit.mock.script.faults import Fault
from rtstt_testkit.mock.script.fields import SCRIPT, Field, Table, Tables
from rtstt_testkit.mock.script.file import ScriptError, load_script, parse_script
from rtstt_testkit.mock.script.json_schema import schema
from rtstt_testkit.mock.script.script import Script, Transcript
from rtstt_testkit.mock.script.text import FORMATS


def test_every_field_of_a_transcript_can_be_written(tmp_path) -> None:
    path = tmp_path / "script.toml"
    path.write_text(
        """
        default = "Nothing more."

        [[transcript]]
        text = "Hello."
        deltas = ["Hel", "lo."]
        delay = 0.5
        pace = 0
        languages = ["en"]
        logprob = -1.5
        model = "whisper-1"
        language = "en"
        connection = 2
        item = 3
        recording = "coffee"
        segments = [{ text = "Hello.", speaker = "B", start = 0.5, end = 1 }]

        [[transcript]]
        failure = { message = "Too many requests.", code = "rate_limit_exceeded", type = "server_error", param = "x" }

        [[transcript]]
        failure = {}
        """
    )
    assert load_script(path) == Script(
        (
            Transcript(
                "Hello.",
                ("Hel", "lo."),
                0.5,
                0,
                None,
                ("en",),
                (Segment("Hello.", "B", 0.5, 1),),
                -1.5,
                "whisper-1",
                "en",
                2,
                "coffee",
                3,
            ),
            Transcript(failure=Failure("Too many requests.", "rate_limit_exceeded", "server_error", "x")),
            Transcript(failure=Failure()),
        ),
        "Nothing more.",
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("default = [", "the script {path} is not TOML: Invalid value (at end of document)"),
        ("\ndefualt = 'x'", "{path}, line 2: `defualt` is not known here; choose from default, transcript"),
        ("default = 5", "{path}, line 1: `default` is 5; it must be a string"),
        ("transcript = 'Hello'", "{path}, line 1: `transcript` is 'Hello'; it must be a list of tables"),
        ("transcript = ['Hello']", "{path}, line 1: `transcript[1]` is 'Hello'; it must be a table"),
        (
            "[[transcript]]\ntext = 'a'\n\n[[transcript]]\ntext = 'b'\ndelay = -1",
            "{path}, line 6: `transcript[2].delay` is -1; it must be a number of seconds, 0 or more",
        ),
        (
            "[[transcript]]\ntxt = 'a'",
            "{path}, line 2: `transcript[1].txt` is not known here; choose from text, deltas, delay, pace, failure, "
            "languages, segments, logprob, model, language, connection",
        ),
        (
            "[[transcript]]\ntext = 'a'\nconnection = 0",
            "{path}, line 3: `transcript[1].connection` is 0; it must be a whole number from 1",
        ),
        (
            "[[transcript]]\ndeltas = ['a', 1]",
            "{path}, line 2: `transcript[1].deltas` is ['a', 1]; it must be a list of strings",
        ),
        (
            "[[transcript]]\nsegments = [\n  { text = 'a' },\n  { speaker = 'B' },\n]",
            "{path}, line 2: `transcript[1].segments[2]` does not fit: ",
        ),
        (
            "[[transcript]]\nfailure = { mesage = 'x' }",
            "{path}, line 2: `transcript[1].failure.mesage` is not known here; choose from message, code, type, param",
        ),
    ],
)
def test_a_mistake_is_named_with_its_line_and_key(tmp_path, source, message) -> None:
    path = tmp_path / "script.toml"
    path.write_text(source)
    with pytest.raises(ScriptError) as caught:
        load_script(path)
    assert str(caught.value).startswith(message.format(path=path))
    assert "\n" not in str(caught.value)


YAML = """
default: Nothing more.
account: quota
transcript:
  - text: Hello.
    deltas: [Hel, lo.]
    pace: 0
    language: "no"
    item: 2
    segments:
      - {text: Hello., speaker: B, end: 1}
  - failure: {message: Too many requests., code: rate_limit_exceeded}
fault:
  - action: close
    after: session.updated
    code: 1011
  - action: drop
    on: delta        # true in YAML 1.1
    nth: 0
"""
MEANT = Script(
    (
        Transcript("Hello.", ("Hel", "lo."), pace=0, language="no", item=2, segments=(Segment("Hello.", "B", 0, 1),)),
        Transcript(failure=Failure("Too many requests.", "rate_limit_exceeded")),
    ),
    "Nothing more.",
    (Fault("close", after="session.updated", code=1011), Fault("drop", on="delta", nth=None)),
    "quota",
)


def test_yaml_and_json_give_the_same_script(tmp_path) -> None:
    for suffix in ("yaml", "yml", "json"):
        path = tmp_path / f"script.{suffix}"
        path.write_text(json.dumps(FORMATS["yaml"](YAML).content) if suffix == "json" else YAML)
        assert load_script(path) == MEANT
    assert parse_script("", "script", "yaml") == Script()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("default: [", "the script {path} is not YAML: while parsing a flow node"),
        ("default: !!python/name:os.system x", "the script {path} is not YAML: could not determine a constructor"),
        ("a: &a [*a]", "the script {path} is not a script: line 1 contains itself"),
        ("default: a\ndefault: b", "the script {path} is not a script: line 2 repeats the key `default`"),
        ("[" * 5000, "the script {path} is nested too deeply"),
        ("- default", "{path}, line 1: `the file` is ['default']; it must be a table"),
        ("\n\ndefualt: x", "{path}, line 3: `defualt` is not known here; choose from default, transcript, fault"),
        (
            "transcript:\n  - text: a\n  - text: b\n    delay: -1",
            "{path}, line 4: `transcript[2].delay` is -1; it must be a number of seconds, 0 or more",
        ),
        (
            "transcript:\n  - text: a\n    language: no",
            "{path}, line 3: `transcript[1].language` is False; it must be a string",
        ),
        (
            "transcript:\n  - {text: a}\n  - {segments: [{text: b}, {txt: c}]}",
            "{path}, line 3: `transcript[2].segments[2].txt` is not known here; choose from text, speaker, start, end",
        ),
        (
            "fault:\n- action: close\n  after: delta\n- action: drop\n  before: delta",
            "{path}, line 4: `fault[2]` does not fit: 'drop' needs on, not before='delta'",
        ),
        (
            "transcript: [{recording: birdsong}]",
            "{path}, line 1: `transcript[1].recording` is 'birdsong'; it must be one of ",
        ),
    ],
)
def test_a_mistake_in_yaml_is_named_with_its_line_and_key(tmp_path, source, message) -> None:
    path = tmp_path / "script.yaml"
    path.write_text(source)
    with pytest.raises(ScriptError) as caught:
        load_script(path)
    assert str(caught.value).startswith(message.format(path=path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{", "the script s.json is not JSON: Expecting property name enclosed in double quotes"),
        ("[" * 100_000, "the script s.json is nested too deeply"),
        (
            '{"default": "x",\n "transcript": [{"text": "a"},\n {"txt": "b"}]}',
            "s.json, line 3: `transcript[2].txt` is not known here",
        ),
    ],
)
def test_a_mistake_in_json_is_named_with_its_line_and_key(source, message) -> None:
    with pytest.raises(ScriptError) as caught:
        parse_script(source, "s.json", "json")
    assert str(caught.value).startswith(message)


def test_without_pyyaml_the_error_names_the_extra(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ScriptError) as caught:
        parse_script(YAML, "s.yaml", "yaml")
    assert str(caught.value) == (
        "the script s.yaml is YAML, which needs PyYAML; install it with: pip install 'rtstt-shim[testkit]'"
    )


class TestSchema:
    """The schema and the parser have the same table; both are given the same scripts."""

    def test_it_is_a_schema_and_accepts_what_the_parser_accepts(self) -> None:
        Draft202012Validator.check_schema(schema())
        Draft202012Validator(schema()).validate(FORMATS["yaml"](YAML).content)

    @pytest.mark.parametrize(
        "script",
        [
            {"defualt": "x"},
            {"account": "broke"},
            {"default": 5},
            {"transcript": "Hello"},
            {"transcript": ["Hello"]},
            {"transcript": [{"txt": "a"}]},
            {"transcript": [{"delay": -1}]},
            {"transcript": [{"item": 0}]},
            {"transcript": [{"recording": "birdsong"}]},
            {"transcript": [{"segments": [{"speaker": "B"}]}]},
            {"fault": [{"on": "delta"}]},
            {"fault": [{"action": "explode", "on": "delta"}]},
            {"fault": [{"action": "close"}]},
            {"fault": [{"action": "close", "before": "delta", "after": "delta"}]},
            {"fault": [{"action": "drop", "on": "delta", "probability": 2}]},
            {"fault": [{"action": "close", "after": "delta", "code": True}]},
        ],
    )
    def test_it_refuses_what_the_parser_refuses(self, script) -> None:
        assert not Draft202012Validator(schema()).is_valid(script)
        with pytest.raises(ScriptError):
            parse_script(json.dumps(script), "s.json", "json")

    def test_every_field_is_described(self) -> None:
        transcript = schema()["properties"]["transcript"]
        assert transcript["items"]["properties"]["pace"]["description"] == "Seconds between deltas."

    def test_the_table_has_the_fields_of_the_classes_and_requires_those_without_a_default(self) -> None:
        def tables(fields: dict[str, Field]) -> Iterator[Table]:
            for field in fields.values():
                kind = field.kind.of if isinstance(field.kind, Tables) else field.kind
                if isinstance(kind, Table):
                    yield kind
                    yield from tables(kind.fields)

        found = list(tables(SCRIPT))
        assert {table.make for table in found} == {Transcript, Failure, Segment, Fault, Delays}
        for table in found:
            fields = dataclasses.fields(table.make)
            assert set(table.fields) == {field.name for field in fields}
            assert set(table.required) == {field.name for field in fields if field.default is dataclasses.MISSING}

    def test_the_command_prints_it_without_docstrings_too(self) -> None:
        command = [sys.executable, "-OO", "-m", "rtstt_core", "mock", "--script-schema"]
        printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        assert json.loads(printed.stdout) == schema()

    def test_the_command_prints_it(self) -> None:
        process = start("--script-schema")
        output, error = process.communicate(timeout=60)
        assert (process.returncode, json.loads(output), error) == (0, schema(), "")


def test_files_that_cannot_be_read(tmp_path) -> None:
    missing = tmp_path / "none.toml"
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("defualt = 'x'")
    assert refused("--script", str(missing)) == (
        f"rtstt-shim: cannot read the script {missing}: No such file or directory\n"
    )
    assert refused("--script", str(binary)) == f"rtstt-shim: the script {binary} is not UTF-8 text; save it as UTF-8\n"
    assert refused("--script", str(tmp_path)) == f"rtstt-shim: cannot read the script {tmp_path}: Is a directory\n"
    assert refused("--script", str(wrong)).startswith(f"rtstt-shim: {wrong}, line 1: `defualt` is not known here")
