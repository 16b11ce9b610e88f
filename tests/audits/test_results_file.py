"""The results file loses nothing that was finished, whatever happened to the line after it."""

import json
import os
import subprocess
import sys

import pytest

from certify.audits.results_file import Record, ResultsFile
from certify.errors import UsageError


def record(name, key, verdict="certified"):
    return Record(name, key, 1.0, None, {"verdict": verdict})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "results.jsonl"


def test_the_last_verdict_of_a_key_is_the_answer(path):
    with ResultsFile(path) as results:
        results.start("a", resume=False)
        results.add(record("x", "k", "undecided"))
        results.add(record("x", "k", "certified"))
        assert results.verdict_of("k").result["verdict"] == "certified"
    with ResultsFile(path) as results:
        assert results.verdict_of("k").result["verdict"] == "certified"
        assert results.verdict_of("other") is None


def test_a_failure_is_no_answer_but_can_be_resumed(path):
    with ResultsFile(path) as results:
        results.start("a", resume=False)
        results.add(record("x", "k", None))
    with ResultsFile(path) as results:
        assert results.verdict_of("k") is None
        assert set(results.interrupted("a")) == {"k"}
        assert results.interrupted("b") == {}


def test_an_audit_that_came_to_its_end_is_not_resumed(path):
    with ResultsFile(path) as results:
        results.start("a", resume=False)
        results.add(record("x", "k"))
        results.end()
    with ResultsFile(path) as results:
        assert results.interrupted("a") == {}


def test_an_audit_that_was_resumed_and_interrupted_again_has_both_parts(path):
    for key, resume in (("1", False), ("2", True), ("3", True)):
        with ResultsFile(path) as results:
            results.start("a", resume=resume)
            results.add(record("x" + key, key, None))
    with ResultsFile(path) as results:
        assert set(results.interrupted("a")) == {"1", "2", "3"}


def test_every_truncation_keeps_the_whole_lines_and_appends_after_them(path):
    with ResultsFile(path) as results:
        results.start("a", resume=False)
        for index in range(3):
            results.add(record(f"x{index}", f"k{index}"))
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        whole = content[:length].count(b"\n")
        with ResultsFile(path) as results:
            # The last line is also whole where only its line feed is missing.
            last = content[:length].rpartition(b"\n")[2]
            lines = whole + (last.endswith(b"}") and content[length : length + 1] == b"\n")
            known = [results.verdict_of(f"k{index}") is not None for index in range(3)]
            assert known == [index + 1 < lines for index in range(3)]
            results.start("b", resume=False)
            results.add(record("new", "new"))
        with ResultsFile(path) as results:
            assert results.verdict_of("new") is not None


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "null",
        "[]",
        "3",
        "{}",
        '{"schema": "certify.audit-record/1", "run": 3}',
        '{"schema": "certify.audit-record/1", "run": "r", "result": {"verdict": "certified"}}',
        '{"schema": "certify.audit-record/1", "run": "r", "result": 3, "key": "k", "name": "n", "seconds": 1}',
        "\x00\x01",
        "\udcff",
    ],
)
def test_lines_that_are_no_records_are_passed_over(path, line):
    with ResultsFile(path) as results:
        results.start("a", resume=False)
        results.add(record("x", "k"))
    with path.open("ab") as file:
        file.write(line.encode(errors="surrogateescape") + b"\n")
    with ResultsFile(path) as results:
        assert results.verdict_of("k") is not None


def test_two_processes_may_append_at_once(path):
    program = """
import sys
from pathlib import Path
from certify.audits.results_file import Record, ResultsFile
with ResultsFile(Path(sys.argv[1])) as results:
    results.start(sys.argv[2], resume=False)
    for index in range(100):
        results.add(Record("x", f"{sys.argv[2]}{index}", 1.0, None, {"verdict": "certified", "filler": "y" * 5000}))
"""
    writers = [subprocess.Popen([sys.executable, "-c", program, path, name]) for name in ("a", "b")]
    assert [writer.wait() for writer in writers] == [0, 0]
    with ResultsFile(path) as results:
        assert all(results.verdict_of(f"{name}{index}") for name in "ab" for index in range(100))
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_a_folder_that_cannot_be_written_is_a_usage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="--cache"):
        ResultsFile(tmp_path / "file" / "results.jsonl")


def test_a_record_is_on_the_disk_when_add_returns(path, monkeypatch):
    real, synced = os.fsync, []

    def fsync(descriptor):
        real(descriptor)
        synced.append(path.read_text())

    monkeypatch.setattr(os, "fsync", fsync)
    with ResultsFile(path) as results:
        results.start("a", resume=False)
        results.add(record("x", "k"))
    assert json.loads(synced[-1].splitlines()[-1])["key"] == "k"


# With the seconds, more fields and the inputs left open.
RECORD = (
    '{"schema": "certify.audit-record/1", "run": "r", "name": "x", "key": "k", "seconds": %s, %s'
    '"result": {"verdict": "certified"}, "asked": "", "inputs": %s}'
)


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        '{"schema": "certify.audit-record/1", "run": "r", "name": "x", "key": "k", "seconds": 1, "certificate": '
        '"../../etc/passwd", "result": {"verdict": "certified"}, "asked": "", "inputs": []}',
        RECORD % ("1", "", "[]"),
        RECORD % ("NaN", '"certificate": null, ', "[]"),
        RECORD % ("1e999", '"certificate": null, ', "[]"),
        RECORD % ("1", '"certificate": null, ', "[3]"),
        RECORD % ("1", '"certificate": null, ', '[["a", 1]]'),
    ],
)
def test_a_line_that_nobody_wrote_is_passed_over(path, line):
    path.write_text(line + "\n")
    with ResultsFile(path) as results:
        assert results.verdict_of("k") is None


def test_a_sound_record_of_the_same_form_is_read(path):
    path.write_text(RECORD % ("1", '"certificate": null, ', '[["a", "b"]]') + "\n")
    with ResultsFile(path) as results:
        assert results.verdict_of("k") is not None


def test_a_chain_of_audits_that_is_none_is_passed_over(path):
    path.write_text('{"schema": "certify.audit-record/1", "run": "r", "audit": "a", "resumes": [[]]}\n')
    with ResultsFile(path) as results:
        assert results.interrupted("a") == {}


def test_a_name_that_is_no_text_is_kept(path):
    with ResultsFile(path) as results:
        results.start("a", resume=False)
        results.add(record("\udcff", "k"))
    with ResultsFile(path) as results:
        assert set(results.by_name()) == {"\udcff"}
