"""Long proofs within a growth, on the command line: killed and gone on with, and what is refused."""

import signal
import subprocess
import sys
import time

import pytest

from tests.dask_servers import ENVIRONMENT
from tests.long_proofs import write_long_proof

GROW = ["grow", "model.pt", "-o", "grown.pt", "--from-scratch", "--threads", "1", "--checkpoint", "proof"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    write_long_proof(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    "again", [GROW, ["grow", "--resume", "rounds", "--threads", "1", "--checkpoint", "proof"]], ids=["same", "resumed"]
)
def test_a_growth_that_is_killed_in_a_proof_goes_on_with_it(place, certify, again):
    command = [sys.executable, "-m", "certify", *GROW, "--state", "rounds"]
    process = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    while process.poll() is None and not (place / "proof").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert certify(*again, "--certificate", "cert").code == 0
    assert certify("verify", "cert", "--model", "grown.pt", "--data", "train.npz").code == 0


@pytest.mark.parametrize("path", ["model.pt", "train.npz", "grown.pt", "grown.problem.yaml", "rounds", "nowhere/proof"])
def test_a_checkpoint_takes_the_place_of_nothing_else(place, certify, path):
    before = (place / "model.pt").read_bytes()
    run = certify("grow", "model.pt", "-o", "grown.pt", "--state", "rounds", "--checkpoint", path)
    assert run.code == 2
    assert path in run.err
    assert (place / "model.pt").read_bytes() == before
    assert not (place / "grown.pt").exists()


def test_what_is_no_checkpoint_is_refused_before_any_work(place, certify):
    (place / "proof").write_bytes(b"no checkpoint")
    run = certify(*GROW)
    assert run.code == 2
    assert "proof: is no checkpoint, or damaged" in run.err
    assert not (place / "grown.pt").exists()


def test_a_cluster_that_is_not_there_is_a_usage_error(place, certify):
    run = certify("grow", "model.pt", "-o", "grown.pt", "--cluster", "tcp://127.0.0.1:9")
    assert run.code == 2
    assert "--cluster tcp://127.0.0.1:9: cannot connect" in run.err
