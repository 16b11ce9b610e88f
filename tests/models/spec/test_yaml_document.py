import math

import pytest

from certify.errors import CertifyError, ExitCode, RefusedError, UsageError
from certify.models.spec.yaml_document import MAX_YAML_BYTES, Position, load_yaml


@pytest.fixture
def read(tmp_path):
    def _read(text):
        path = tmp_path / "f.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_yaml(path, "problem file")

    return _read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-6", 1e-6),
        ("1.0e-3", 1e-3),
        ("-1.5E+2", -150.0),
        (".5", 0.5),
        ("012", 12),
        ("0o14", 12),
        ("0x1F", 31),
        ("+3", 3),
        ("true", True),
        ("False", False),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("off", "off"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("12:30:45", "12:30:45"),
        ("2020-01-01", "2020-01-01"),
        ("~", None),
        ("null", None),
        ("", None),
        ("'1'", "1"),
        ("!!str 1", "1"),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("<<", "<<"),
        ("=", "="),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(read, text, value):
    found = read(f"key: {text}\n").content["key"]
    assert found == value
    assert type(found) is type(value)


def test_words_that_yaml_1_1_takes_for_booleans_are_keys(read):
    assert read("on: 1\nno: 2\n").content == {"on": 1, "no": 2}


def test_every_key_and_value_has_its_line_and_column(read):
    document = read("a: 1\nbé:\n  - x\n  - {c: 2}\n")
    assert document.positions[("a",)] == Position(1, 4)
    assert document.keys[("bé",)] == Position(2, 1)
    assert document.positions[("bé", 0)] == Position(3, 5)
    assert document.keys[("bé", 1, "c")] == Position(4, 6)
    assert document.positions[("bé", 1, "c")] == Position(4, 9)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", "3:1", "duplicate key 'a', first on line 1"),
        ("a: &x [1]\nb: *x\n", "1:4", "anchors"),
        ("a: *x\n", "1:4", "aliases"),
        ("a: !!python/object/apply:os.system [echo]\n", "1:4", "refused"),
        ("a: !!int x\n", "1:4", "refused"),
        ("a: !!binary aGk=\n", "1:4", "refused"),
        ("a: !!set {x}\n", "1:4", "refused"),
        ("1: a\n", "1:1", "keys must be text"),
        ("? [a]\n: b\n", "1:3", "keys must be text"),
        ("a: [1\n", "2:1", ""),
        ("a: b: c\n", "1:5", ""),
        ("a:\n\t- 1\n", "2:1", ""),
        ("a: 1\n---\nb: 2\n", "2:1", ""),
        ("", "1:1", "empty"),
        ("# nothing\n", "1:1", "empty"),
        ("a: \x01\n", "1:4", "not allowed"),
        ("b: 1\n\na: x\x00\n", "3:5", "not allowed"),
        (b"a: 1\nb: \xff\n", "2:1", "UTF-8"),
        ("a: " + "9" * 401 + "\n", "1:4", "401 digits"),
        ("a: " + "[" * 500 + "]" * 500, "1:35", "nested too deeply"),
    ],
)
def test_faults_name_file_line_and_column(read, text, place, words):
    with pytest.raises(UsageError) as caught:
        read(text)
    message = str(caught.value)
    assert f"f.yaml:{place}: " in message
    assert words in message
    assert "\n" not in message


def test_a_large_file_is_refused(read):
    with pytest.raises(RefusedError, match="over the limit"):
        read(b"#" * (MAX_YAML_BYTES + 1))


def test_a_missing_file_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="not found"):
        load_yaml(tmp_path / "absent.yaml", "problem file")


def test_a_folder_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="is a folder"):
        load_yaml(tmp_path, "problem file")


def test_every_truncation_reads_or_raises_one_certify_error(read):
    text = 'schema: "a"\nmodel: {path: m.pt, layers: [{linear: fc1}, relu]}\nx: |\n  a\n  b\ny: >-\n  é\n'.encode()
    for length in range(len(text)):
        try:
            read(text[:length])
        except CertifyError as error:
            assert error.exit_code in (ExitCode.USAGE, ExitCode.REFUSED)  # noqa: PT017


def test_a_fault_is_shown_with_its_line_and_a_caret(read):
    with pytest.raises(UsageError) as caught:
        read("a: 1\nbé: !!int x\n")
    assert caught.value.shown.splitlines()[1:] == ["    2 | bé: !!int x", "      |     ^"]


def test_a_long_line_is_cut_around_the_column(read):
    with pytest.raises(UsageError) as caught:
        read("a: [" + "1, " * 500 + "&x 2]\n")
    _, line, caret = caught.value.shown.splitlines()
    assert len(line) < 120
    assert line[caret.index("^")] == "&"


def test_control_characters_of_a_line_do_not_reach_the_terminal(read):
    with pytest.raises(UsageError) as caught:
        read(b"a: \x1b[2J\n")
    assert "\x1b" not in caught.value.shown
