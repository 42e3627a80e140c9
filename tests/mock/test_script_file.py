"""Scripts in TOML: what they say, and what is said of those that cannot be used."""

import pytest
from test_command import refused

from rtstt_testkit.mock.script import Failure, Script, Segment, Transcript
from rtstt_testkit.mock.script_file import ScriptError, load_script


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
