"""An audit that is killed loses no finished item, leaves no process, and goes on where it was."""

import contextlib
import json
import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.audits.small_models import write_models

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from certify.cli.main import main; main()", "audit", "audit.yaml", "--jobs", "2"]
MODELS = 10


@pytest.fixture
def folder(tmp_path):
    """An audit of several small models, all different."""
    write_models(tmp_path, [f"m{index:02}" for index in range(MODELS)])
    return tmp_path


def started(folder, *arguments):
    """An audit in a process of its own; its standard error can be read line by line."""
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder / "tmp")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished_names(folder):
    """What the results file holds, read as JSON lines."""
    path = folder / ".certify_cache" / "results.jsonl"
    found = set()
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        found |= {entry["name"]} if "result" in entry else set()
    return found


def processes_of(folder):
    """Processes that have the scratch folder in their environment."""
    found = []
    for status in Path("/proc").glob("[0-9]*/environ"):
        try:
            if str(folder / "tmp").encode() in status.read_bytes():
                found.append(int(status.parent.name))
        except OSError:
            continue
    return found


def wait_until_gone(folder):
    """Until no process of the audit is left; a test that waits for ever has failed."""
    for pid in processes_of(folder):
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            select.select([descriptor], [], [])
            os.close(descriptor)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_audit_keeps_what_is_finished_and_exits_130(folder, number):
    (folder / "tmp").mkdir()
    process = started(folder, "--format", "json")
    for _ in range(3):
        assert process.stderr.readline().startswith("[")
    process.send_signal(number)
    out, err = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in err
    document = json.loads(out)
    names = {entry["audit"]["name"] for entry in document["results"]}
    assert 3 <= len(names) < MODELS
    assert document["summary"]["interrupted"] is True
    assert len(names) + len(document["summary"]["left_out"]) == MODELS
    assert names <= finished_names(folder)
    wait_until_gone(folder)
    assert list((folder / "tmp").iterdir()) == []
    rest = started(folder, "--format", "json", "--resume", "--no-cache")
    out, _ = rest.communicate()
    assert rest.returncode == 0
    origins = {entry["audit"]["name"]: entry["audit"]["origin"] for entry in json.loads(out)["results"]}
    assert {name for name, origin in origins.items() if origin == "resumed"} >= names
    assert len(origins) == MODELS


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(20))
def test_an_audit_killed_at_any_moment_loses_no_finished_item(folder, moment):
    """Killed without warning; whatever was told is on the disk, and the rest of the audit checks none of it again."""
    (folder / "tmp").mkdir()
    chance = random.Random(moment)
    process = started(folder, "--format", "jsonl")
    # The moment: after so many finished items and a little more.
    told = [process.stdout.readline() for _ in range(chance.randrange(MODELS - 1))]
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(chance.random() * 0.1)
    process.kill()
    told += process.communicate()[0].splitlines()
    names = {json.loads(line)["audit"]["name"] for line in told if line.strip().endswith("}")}
    kept = finished_names(folder)
    assert names <= kept
    wait_until_gone(folder)
    rest = started(folder, "--format", "json", "--resume")
    document = json.loads(rest.communicate()[0])
    assert rest.returncode == 0
    origins = {entry["audit"]["name"]: entry["audit"]["origin"] for entry in document["results"]}
    assert len(origins) == MODELS
    assert {name for name, origin in origins.items() if origin != "run"} == kept
