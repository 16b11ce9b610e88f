"""`certify grow` as users run it: a model that checks, loads in plain torch, survives interruptions."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from sklearn.datasets import load_diabetes

from tests.cli.conftest import OPTIMUM, PROBLEM
from tests.reference_objective import objective_of_file

RELU = ["--loss", "mse", "--scale", "0.5", "--weight-decay", "0.1", "--data", "train.npz"]
SCRATCH = ["--from-scratch", "--layers", "linear:fc1,relu,linear:fc2"]


@pytest.fixture
def diabetes(tmp_path, monkeypatch):
    """A working folder with two whitened principal components of diabetes."""
    monkeypatch.chdir(tmp_path)
    inputs, targets = load_diabetes(return_X_y=True)
    left = np.linalg.svd(inputs - inputs.mean(0), full_matrices=False)[0][:, :2]
    np.savez(tmp_path / "train.npz", X=left * np.sqrt(len(left)), y=(targets - targets.mean()) / targets.std())
    return tmp_path


def test_a_poor_model_is_grown_to_the_known_optimum_and_checks_as_it_is(certify, folder):
    run = certify("grow", "poor.pt", "-o", "grown.pt", "--certificate", "grown.certificate")
    assert run.code == 0
    assert run.out.startswith("certified")
    assert objective_of_file(folder / "grown.problem.yaml") == pytest.approx(OPTIMUM, rel=1e-3)
    check = certify("check", "grown.pt", "--format", "json")
    assert check.code == 0
    assert json.loads(check.out)["verdict"] == "certified"
    assert certify("verify", "grown.certificate", "--model", "grown.pt", "--data", "train.npz").code == 0


def test_from_scratch_needs_no_model_and_ends_in_a_plain_torch_state_dict(certify, diabetes):
    run = certify("grow", *SCRATCH, *RELU, "-o", "out.pt", "--format", "json")
    assert run.code == 0
    result = json.loads(run.out)
    weights = torch.load("out.pt", weights_only=True)
    width = result["growth"]["width"]["after"]
    model = torch.nn.Sequential()
    model.fc1, model.act, model.fc2 = torch.nn.Linear(2, width), torch.nn.ReLU(), torch.nn.Linear(width, 1)
    model.double().load_state_dict(weights)
    with np.load("train.npz") as data:
        inputs, targets = (torch.from_numpy(data[key]) for key in "Xy")
    loss = 0.5 * torch.nn.functional.mse_loss(model(inputs)[:, 0], targets)
    penalty = 0.05 * sum((p**2).sum() for p in model.parameters())
    assert float((loss + penalty).detach()) == pytest.approx(result["objective"], rel=1e-9)
    assert result["model"]["subnetworks"] == width
    assert result["growth"]["width"]["bound"] > width
    assert certify("check", "out.pt").code == 0


def test_from_scratch_with_a_model_takes_its_layers_and_not_its_weights(certify, folder):
    run = certify("grow", "poor.pt", "--from-scratch", "-o", "grown.safetensors", "--format", "json")
    result = json.loads(run.out)
    assert result["verdict"] == "certified"
    assert result["growth"]["width"]["before"] == 2
    assert result["growth"]["history"][0]["width"] == 0
    assert certify("check", "grown.safetensors").code == 0


@pytest.mark.parametrize("suffix", ["onnx", "pt2", "ckpt"])
def test_the_suffix_names_the_format_of_the_grown_model(certify, folder, suffix):
    out = f"grown.{suffix}"
    assert certify("grow", "poor.pt", "-o", out, "--certificate", "grown.certificate").code == 0
    assert ("layers" in yaml.safe_load((folder / "grown.problem.yaml").read_text())["model"]) == (suffix == "ckpt")
    check = json.loads(certify("check", out, "--format", "json").out)
    assert check["verdict"] == "certified"
    assert check["objective"] == pytest.approx(OPTIMUM, rel=1e-3)
    assert certify("verify", "grown.certificate", "--data", "train.npz").code == 0
    linked = certify("verify", "grown.certificate", "--model", out, "--data", "train.npz")
    assert (linked.code, "model-link" in linked.out) == (1, True)


def test_a_format_that_cannot_hold_the_model_is_refused_before_any_work(certify, folder):
    for command in (["grow", "poor.pt", "-o", "out.skops"], ["check", "poor.pt", "--output-model", "out.skops"]):
        run = certify(*command)
        assert (run.code, "round" in run.err, (folder / "out.skops").exists()) == (2, False, False)
        assert "name a .pt" in run.err


def test_growing_a_whole_module_says_that_no_code_is_written(certify, folder):
    module = torch.nn.Sequential(torch.nn.Linear(3, 2, bias=False), torch.nn.Linear(2, 3, bias=False)).double()
    torch.save(module, "whole.pt")
    (folder / "whole.problem.yaml").write_text(PROBLEM.replace(", layers: [{linear: a}, {linear: b}]", "") % "whole.pt")
    run = certify("grow", "whole.pt", "-o", "grown.pt", "--format", "json")
    assert any("no code" in note for note in json.loads(run.out)["notes"])
    assert set(torch.load("grown.pt", weights_only=True)) == {"0.weight", "1.weight"}


def test_jsonl_streams_a_round_a_line_and_then_the_result(certify, diabetes):
    run = certify("grow", *SCRATCH, *RELU, "-o", "out.pt", "--format", "jsonl")
    lines = [json.loads(line) for line in run.out.splitlines()]
    assert lines[-1]["schema"] == "certify.result/1"
    rounds = lines[:-1]
    assert [row["schema"] for row in rounds] == ["certify.growth-round/1"] * len(rounds)
    assert [row["round"] for row in rounds] == list(range(len(rounds)))
    assert rounds[-1]["objective"] <= rounds[0]["objective"]


@pytest.mark.parametrize("hidden", ["penalized", "free", "absent"])
@pytest.mark.parametrize("output", ["penalized", "free", "absent"])
def test_every_bias_policy_ends_certified(certify, diabetes, hidden, output):
    biases = ["--hidden-bias", hidden, "--output-bias", output]
    run = certify("grow", *SCRATCH, *RELU, *biases, "-o", "out.pt")
    assert run.code == 0, run.err
    assert certify("check", "out.pt").code == 0
    names = set(torch.load("out.pt", weights_only=True))
    assert ("fc1.bias" in names) == (hidden != "absent")
    assert ("fc2.bias" in names) == (output != "absent")


def test_a_growth_that_runs_out_of_budget_says_so_and_keeps_its_model(certify, diabetes):
    run = certify("grow", *SCRATCH, *RELU, "-o", "out.pt", "--relative-gap", "1e-14", "--budget", "1s")
    assert run.code == 3
    assert run.out.startswith("undecided")
    assert (diabetes / "out.pt").is_file()


def test_faults_are_found_before_the_work(certify, folder):
    assert certify("grow", "poor.pt").code == 2
    assert certify("grow", "poor.pt", "-o", "missing/grown.pt").code == 2
    assert certify("grow", "poor.pt", "-o", "train.npz").code == 2
    assert certify("grow", "poor.pt", "-o", "poor.pt").code == 2
    assert certify("grow", "-o", "grown.pt").code == 2
    assert certify("grow", "--from-scratch", "-o", "grown.pt").code == 2
    assert certify("grow", "poor.pt", "-o", "grown.pt", "--plot", "grown.gif").code == 2
    assert certify("grow", "poor.pt", "-o", "grown.pt", "--state", "missing/state").code == 2
    assert certify("grow", "--resume", "absent").code == 2
    (folder / "junk").write_bytes(b"junk")
    assert certify("grow", "--resume", "junk").code == 5
    assert not (folder / "grown.pt").exists()


def test_the_problem_file_written_beside_the_model_is_the_problem_that_was_asked(certify, folder):
    (folder / "poor.problem.yaml").write_text(PROBLEM % "poor.pt" + "tolerance: {relative_gap: 1.0e-6}\n")
    (folder / "sub").mkdir()
    assert certify("grow", "poor.pt", "-o", "sub/grown.pt").code == 0
    written = yaml.safe_load((folder / "sub" / "grown.problem.yaml").read_text())
    assert written["model"]["path"] == "grown.pt"
    assert written["data"]["path"] == os.path.join("..", "train.npz")
    assert written["tolerance"]["relative_gap"] == 1e-6
    assert written["penalty"] == {"weight_decay": 1.0}
    assert certify("check", "sub/grown.pt").code == 0


def test_a_plot_is_written(certify, folder):
    for name in ("grown.svg", "grown.png", "grown.html"):
        assert certify("grow", "poor.pt", "-o", "grown.pt", "--plot", name).code == 0
        assert (folder / name).stat().st_size > 1000


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_growth_is_resumed_to_the_verdict_it_would_have_reached(certify, diabetes, number):
    command = [sys.executable, "-m", "certify", "grow", *SCRATCH, *RELU, "-o", "out.pt", "--state", "state"]
    command += ["--relative-gap", "1e-6", "--format", "jsonl"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.stdout.readline()
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert (diabetes / "state").is_file()
    if number != signal.SIGKILL:
        assert process.returncode == 130
        assert "--resume state" in err
        assert (diabetes / "out.pt").is_file()
    run = certify("grow", "--resume", "state", "--format", "json")
    assert run.code == 0
    result = json.loads(run.out)
    assert result["verdict"] == "certified"
    assert [row["round"] for row in result["growth"]["history"]] == list(range(result["growth"]["rounds"] + 1))


def test_no_output_takes_the_place_of_an_input_or_of_another_output(certify, folder):
    before = (folder / "poor.problem.yaml").read_bytes()
    assert certify("grow", "poor.pt", "-o", "poor.safetensors").code == 2
    assert certify("grow", "poor.pt", "-o", "poor.problem.yaml").code == 2
    assert certify("grow", "poor.pt", "-o", "a.pt", "--output", "json=poor.problem.yaml").code == 2
    assert certify("check", "poor.pt", "--output", "json=poor.problem.yaml").code == 2
    assert (folder / "poor.problem.yaml").read_bytes() == before
    assert certify("grow", "poor.pt", "-o", "a.pt", "--state", "a.pt").code == 2
    assert certify("grow", "poor.pt", "-o", "a.pt", "--output", "json=a.problem.yaml").code == 2
    assert certify("grow", "poor.pt", "-o", "a.pt", "--certificate", "c", "--state", "c").code == 2
    assert not (folder / "a.pt").exists()


def test_a_finished_growth_is_resumed_without_a_fall_of_the_bound(certify, diabetes):
    first = json.loads(certify("grow", *SCRATCH, *RELU, "-o", "out.pt", "--state", "s", "--format", "json").out)
    again = json.loads(certify("grow", "--resume", "s", "--format", "json").out)
    assert again["verdict"] == "certified"
    bounds = [row["lower_bound"] for row in again["growth"]["history"]]
    assert 1 < len(bounds) <= len(first["growth"]["history"]) + 1
    assert all(later >= earlier * (1 - 1e-9) for earlier, later in zip(bounds, bounds[1:], strict=False))


def test_the_problem_of_a_resumed_growth_stays_that_of_its_state(certify, folder):
    assert certify("grow", "poor.pt", "-o", "a.pt", "--state", "s").code == 0
    assert certify("grow", "--resume", "s", "--weight-decay", "0.01").code == 2
    assert certify("grow", "--resume", "s", "--relative-gap", "1e-5").code == 0


def test_a_state_that_was_changed_is_refused_before_anything_is_written(certify, folder):
    assert certify("grow", "poor.pt", "-o", "a.pt", "--state", "s").code == 0
    content, model = (folder / "s").read_bytes(), (folder / "a.pt").read_bytes()
    for place in range(8, len(content), 41):
        (folder / "s").write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert certify("grow", "--resume", "s").code in (2, 5)
    assert (folder / "a.pt").read_bytes() == model
