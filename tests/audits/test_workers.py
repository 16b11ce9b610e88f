"""Every job has a process of its own, and what happens to one is its own affair."""

import os
import signal
import sys
from pathlib import Path

import pytest

from certify.audits.workers import Job, Workers
from certify.errors import CertifyError, ExitCode

ROOT = Path(__file__).parents[2]
PLENTY = 2**34


@pytest.fixture
def workers(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with Workers(("tests.audits.jobs",), 1) as found:
        yield found


def job(function, seconds=60.0, memory=PLENTY, **arguments):
    return Job(f"tests.audits.jobs:{function}", arguments, seconds, memory)


def ends(workers, count):
    """The outcomes of so many jobs, by id."""
    found = {}
    while len(found) < count:
        found |= {ended.id: ended.outcome for ended in workers.wait(1)}
    return found


def failure(workers, *arguments, **keywords):
    started = workers.start(job(*arguments, **keywords))
    outcome = ends(workers, 1)[started]
    assert isinstance(outcome, CertifyError)
    return outcome


def gone(pid):
    """Wait until a process is gone; a test that waits for ever has failed."""
    while True:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True


def test_each_job_has_a_process_and_a_folder_of_its_own(workers):
    for index in range(10):
        workers.start(job("greet", name=str(index)))
    found = ends(workers, 10)
    assert {entry["greeting"] for entry in found.values()} == {f"hello {index}" for index in range(10)}
    assert len({entry["pid"] for entry in found.values()}) == 10
    assert len({entry["folder"] for entry in found.values()}) == 10


def test_a_job_finds_no_input_its_own_group_and_the_default_signals(workers):
    started = workers.start(job("facts"))
    found = ends(workers, 1)[started]
    assert found.pop("descriptors") <= 10
    assert found == {"group": True, "temporary": True, "files": ["log"], "interrupt": True}


def test_a_hang_is_ended_with_everything_that_it_started(workers, tmp_path):
    error = failure(workers, "hang", seconds=1.0, note=str(tmp_path / "note"))
    assert (error.code, error.exit_code) == ("time-limit", ExitCode.REFUSED)
    assert all(gone(int(pid)) for pid in (tmp_path / "note").read_text().split())


def test_what_a_job_leaves_running_is_ended_with_it(workers, tmp_path):
    started = workers.start(job("leave_a_child", note=str(tmp_path / "note")))
    assert ends(workers, 1)[started] == {}
    assert gone(int((tmp_path / "note").read_text()))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("segfault", "SIGSEGV"),
        ("abort", "SIGABRT"),
        ("leave", "exit status 3"),
        ("fail", "RuntimeError: the words of the failure"),
        ("return_a_set", "not JSON serializable"),
        ("return_nan", "not JSON compliant"),
    ],
)
def test_a_crash_is_told_with_its_signal_or_its_last_words(workers, name, words):
    error = failure(workers, name)
    assert (error.code, error.exit_code) == ("crashed", ExitCode.INTERNAL)
    assert words in str(error)


@pytest.mark.skipif(sys.platform != "linux", reason="memory limits are Linux's")
def test_memory_is_limited_beyond_what_the_libraries_take(workers):
    enough = workers.start(job("allocate", memory=2**29, gib=0.25))
    assert ends(workers, 1)[enough] == {"bytes": 2**28}
    error = failure(workers, "allocate", memory=2**29, gib=1)
    assert (error.code, error.exit_code) == ("memory-limit", ExitCode.REFUSED)
    assert "0.5 GiB" in str(error)


def test_others_go_on_beside_jobs_that_fail(workers, tmp_path):
    bad = [workers.start(job(name)) for name in ("segfault", "fail", "abort")]
    hanging = workers.start(job("hang", seconds=1.0, note=str(tmp_path / "note")))
    good = [workers.start(job("greet", name=str(index))) for index in range(5)]
    found = ends(workers, 9)
    assert all(isinstance(found[entry], CertifyError) for entry in (*bad, hanging))
    assert [found[entry]["greeting"] for entry in good] == [f"hello {index}" for index in range(5)]


def test_leaving_kills_what_runs(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    note = tmp_path / "note"
    with Workers(("tests.audits.jobs",), 1) as workers:
        workers.start(job("hang", note=str(note)))
        while not note.exists() or len(note.read_text().split()) < 2:
            workers.wait(0.05)
    assert all(gone(int(pid)) for pid in note.read_text().split())


def test_a_server_that_is_killed_costs_its_jobs_and_nothing_else(workers, tmp_path):
    note = tmp_path / "note"
    lost = workers.start(job("hang", note=str(note)))
    while not note.exists() or len(note.read_text().split()) < 2:
        workers.wait(0.05)
    pid, child = note.read_text().split()
    server = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(server, signal.SIGKILL)
    outcome = ends(workers, 1)[lost]
    assert outcome.code == "crashed"
    assert gone(int(pid))
    assert gone(int(child))
    again = workers.start(job("greet", name="again"))
    assert ends(workers, 1)[again]["greeting"] == "hello again"


def test_a_module_that_cannot_be_imported_is_a_crash_of_the_job(monkeypatch, capfd):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with Workers(("no_such_module_of_ours",), 1) as workers:
        assert failure(workers, "greet", name="x").code == "crashed"
    assert "no_such_module_of_ours" in capfd.readouterr().err
