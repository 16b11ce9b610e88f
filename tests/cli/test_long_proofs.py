"""Long proofs on the command line: killed and gone on with, shared, and what is no checkpoint of theirs."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from certify.bounds.rows.cones import cone_forecast, cone_search, cone_sharing
from certify.workflows.cone_crews import ClusterCrew, LocalCrew
from tests.dask_servers import ENVIRONMENT
from tests.long_proofs import write_long_proof

CHECK = [sys.executable, "-m", "certify", "check", "model.pt", "--certificate"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("long")
    write_long_proof(folder)
    return folder


@pytest.fixture
def place(model, monkeypatch):
    monkeypatch.chdir(model)
    for name in ("state", "cut", "link"):
        (model / name).unlink(missing_ok=True)
    return model


def started(*arguments):
    return subprocess.Popen([*CHECK, *arguments], env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.PIPE)


def killed_with_a_state(place):
    process = started("cut", "--threads", "1", "--checkpoint", "state")
    while process.poll() is None and not (place / "state").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (place / "cut").exists()


@pytest.mark.slow
def test_a_check_that_is_killed_goes_on_and_ends_with_the_certificate_of_one_that_is_not(place, certify):
    assert certify("check", "model.pt", "--certificate", "whole", "--threads", "1").code == 0
    killed_with_a_state(place)
    assert certify("check", "model.pt", "--certificate", "cut", "--threads", "1", "--checkpoint", "state").code == 0
    assert (place / "cut").read_bytes() == (place / "whole").read_bytes()
    assert certify("verify", "cut").code == 0
    # The search is finished in the state now, and other processes may go on from it.
    run = certify("check", "model.pt", "--threads", "2", "--checkpoint", "state", "--format", "json")
    assert run.code == 0


@pytest.mark.parametrize("crew", [LocalCrew, ClusterCrew])
def test_a_check_is_shared_with_processes_or_with_a_cluster(crew, tmp_path, certify, monkeypatch, request):
    write_long_proof(tmp_path, components=3)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cone_forecast, "PILOT_NODES", 400)
    monkeypatch.setattr(cone_search, "PARENTS_PER_BATCH", 64)
    monkeypatch.setattr(cone_search, "SOLO_NODES", 100)
    monkeypatch.setattr(cone_sharing, "LEAST_CONES", 4)
    send, sent = crew.send, []
    monkeypatch.setattr(crew, "send", lambda self, pack: sent.append(pack) or send(self, pack))
    if crew is LocalCrew:
        flags = ["--threads", "2"]
        # Its processes take longer to start than this search takes.
        monkeypatch.setattr(crew, "size", 2)
    else:
        request.getfixturevalue("worker")()
        flags = ["--cluster", request.getfixturevalue("scheduler")]
    assert certify("check", "model.pt", "--certificate", "cert", "--checkpoint", "state", *flags).code == 0
    assert sent
    assert certify("verify", "cert").code == 0


def test_what_is_no_checkpoint_of_the_problem_is_refused_before_any_work(place, certify):
    killed_with_a_state(place)
    content = (place / "state").read_bytes()
    run = certify("check", "model.pt", "--relative-gap", "1e-2", "--checkpoint", "state")
    assert run.code == 2
    assert "another problem" in run.err
    (place / "state").write_bytes(content[:-9] + b"!" + content[-8:])
    run = certify("check", "model.pt", "--checkpoint", "state")
    assert run.code == 2
    assert re.search(r"state: is no checkpoint, or damaged .*\[checkpoint\]", run.err)
    assert (place / "state").read_bytes() != content
    (place / "state").write_bytes(content)
    os.symlink("state", "link")
    run = certify("check", "model.pt", "--checkpoint", "link")
    assert run.code == 2
    assert "symbolic link" in run.err
    assert (place / "state").read_bytes() == content


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["model.pt", "--checkpoint", "model.pt"], "this is an input"),
        (["model.pt", "--checkpoint", "train.npz"], "this is an input"),
        (["model.pt", "--checkpoint", "same", "--certificate", "same"], "same"),
        (["model.pt", "--checkpoint", "nowhere/state"], "cannot be written"),
        (["model.pt", "model.pt", "--checkpoint", "state"], "--checkpoint takes one model at a time"),
        (["model.pt", "--cluster", "tcp://127.0.0.1:9"], "--cluster tcp://127.0.0.1:9: cannot connect"),
    ],
)
def test_flags_that_cannot_be_obeyed_are_usage_errors(place, certify, arguments, words):
    before = (place / "model.pt").read_bytes()
    run = certify("check", *arguments)
    assert run.code == 2
    assert words in run.err
    assert (place / "model.pt").read_bytes() == before
