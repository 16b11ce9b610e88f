"""The exit codes that pipelines rely on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from certify.workflows import check as check_workflow

FIXTURES = Path(__file__).parents[2] / "fixtures"


def test_certified_is_0(certify, folder):
    assert certify("check", "optimal.pt").code == 0


def test_improvable_is_1(certify, folder):
    assert certify("check", "poor.pt").code == 1


def test_undecided_is_3(certify, folder):
    # No gap is 0 once rounding is counted against it.
    assert certify("check", "optimal.pt", "--relative-gap", "0").code == 3


def test_certified_zero_network_is_0(certify, folder):
    # wd = 4 is above the largest singular value 3 of the targets: the best network is zero, of objective 7.
    weights = {"a.weight": torch.zeros(1, 3), "b.weight": torch.zeros(3, 1)}
    torch.save(weights, folder / "optimal.pt")
    assert certify("check", "optimal.pt", "--weight-decay", "4").code == 0


def test_improvable_to_the_zero_network_is_1(certify, folder):
    assert certify("check", "optimal.pt", "--weight-decay", "4", "--output-model", "zero.pt").code == 1
    assert certify("check", "zero.pt", "--problem", "optimal.problem.yaml", "--weight-decay", "4").code == 0


def test_usage_is_2(certify, folder):
    assert certify("check").code == 2
    assert certify("check", "absent.pt").code == 2
    assert certify("chekc", "optimal.pt").code == 2


def test_unsupported_is_4(certify, folder):
    (folder / "poor.problem.yaml").write_text(
        (folder / "poor.problem.yaml").read_text().replace("{linear: b}", "tanh, {linear: b}")
    )
    run = certify("check", "poor.pt")
    assert run.code == 4
    assert "[not-homogeneous]" in run.err
    assert "tanh" in run.err


def test_refused_is_5(certify, folder):
    torch.save({"a.weight": torch.full((2, 3), torch.inf), "b.weight": torch.ones(3, 2)}, folder / "poor.pt")
    assert certify("check", "poor.pt").code == 5


def test_internal_error_is_70_in_one_line(certify, folder, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(check_workflow, "run_check", fail)
    run = certify("check", "optimal.pt")
    assert run.code == 70
    assert "ZeroDivisionError: a defect" in run.err
    assert "CERTIFY_DEBUG" in run.err
    assert run.out == ""


def test_interrupt_is_130(certify, folder, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(check_workflow, "run_check", interrupt)
    run = certify("check", "optimal.pt")
    assert (run.code, run.out) == (130, "")
    assert "interrupted" in run.err


def test_interrupt_leaves_the_results_so_far_on_disk(certify, folder, monkeypatch):
    true_check, calls = check_workflow.run_check, []

    def interrupt_second(*arguments):
        calls.append(1)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return true_check(*arguments)

    monkeypatch.setattr(check_workflow, "run_check", interrupt_second)
    assert certify("check", "optimal.pt", "poor.pt", "--output", "jsonl=r.jsonl").code == 130
    assert '"verdict": "certified"' in (folder / "r.jsonl").read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ")
def test_ctrl_c_ends_a_running_check_with_130_and_no_traceback():
    model = FIXTURES / "undecided" / "digits-relu-wd0.01" / "model.pt"
    command = [sys.executable, "-c", "from certify.cli.main import main; main()", "check", str(model), "--budget", "5m"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        # A background job inherits an ignored SIGINT; the command must get a fresh one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        first = process.stderr.readline()  # a progress line: the check is running
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert first.startswith(str(model))
    assert process.returncode == 130
    assert out == ""
    assert "interrupted" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("models", "code"),
    [
        (["optimal.pt", "optimal.pt"], 0),
        (["optimal.pt", "poor.pt"], 1),
        (["poor.pt", "absent.pt"], 2),
        (["absent.pt", "broken.pt", "poor.pt"], 5),
        (["tanh.pt", "poor.pt"], 4),
        (["tanh.pt", "absent.pt"], 2),
    ],
)
def test_gravest_code_wins(models, code, certify, folder):
    (folder / "broken.pt").write_bytes(b"PK\x03\x04 not really")
    (folder / "broken.problem.yaml").write_text((folder / "poor.problem.yaml").read_text())
    (folder / "tanh.pt").write_bytes((folder / "poor.pt").read_bytes())
    text = (folder / "poor.problem.yaml").read_text().replace("{linear: b}", "tanh, {linear: b}")
    (folder / "tanh.problem.yaml").write_text(text)
    run = certify("check", *models, "--format", "jsonl")
    assert run.code == code
    assert len(run.out.splitlines()) == len(models)
