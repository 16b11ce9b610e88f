"""`certify init`, `inspect`, `explain`, `--help` and `--version`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from certify.reports.explanations import EXPLANATIONS
from certify.version import __version__


@pytest.fixture
def relu_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1)).double()
    torch.save(model.state_dict(), "net.pt")
    rng = np.random.default_rng(0)
    np.savez("train.npz", X=rng.normal(size=(12, 2)), y=rng.normal(size=(12, 1)))
    return tmp_path


def test_init_writes_a_file_that_check_accepts_as_it_is(certify, relu_model):
    run = certify("init", "net.pt", "--data", "train.npz")
    assert run.code == 0
    assert (relu_model / "net.problem.yaml").is_file()
    checked = certify("check", "net.pt", "--format", "json", "--budget", "5s")
    assert checked.code in (0, 1, 3)
    assert json.loads(checked.out)["data"]["samples"] == 12


def test_init_does_not_overwrite_unless_forced(certify, relu_model):
    (relu_model / "net.problem.yaml").write_text("mine")
    assert certify("init", "net.pt").code == 2
    assert (relu_model / "net.problem.yaml").read_text() == "mine"
    assert certify("init", "net.pt", "--force").code == 0
    assert certify("init", "net.pt", "-o", "other.yaml").code == 0
    assert (relu_model / "other.yaml").is_file()


def test_inspect_text_shows_layers_and_family(certify, relu_model):
    run = certify("inspect", "net.pt")
    assert run.code == 0
    assert "3 parallel relu subnetworks of degree 2" in run.out
    assert "0.weight 3×2" in run.out


def test_inspect_json_parses(certify, relu_model):
    found = json.loads(certify("inspect", "net.pt", "--format", "json").out)
    assert found["schema"] == "certify.inspection/1"
    assert (found["family"], found["width"], found["degree"]) == ("relu", 3, 2)
    assert found["problems"] == []


def test_inspect_names_the_obstacle_and_exits_4(certify, relu_model):
    text = "schema: certify.problem/1\nmodel: {path: net.pt, layers: [{linear: 0}, gelu, {linear: 2}]}\n"
    (relu_model / "net.problem.yaml").write_text(text + "data: {path: train.npz}\npenalty: {weight_decay: 1e-3}\n")
    run = certify("inspect", "net.pt")
    assert run.code == 4
    assert "[not-homogeneous]" in run.out
    assert json.loads(certify("inspect", "net.pt", "--format", "json").out)["problems"][0]["code"] == "not-homogeneous"


def test_version(certify):
    assert certify("--version").out == f"certify, version {__version__}\n"


@pytest.mark.parametrize("command", ["", "check", "inspect", "init", "explain"])
def test_help_exits_0_on_stdout(command, certify):
    run = certify(*command.split(), "--help")
    assert run.code == 0
    assert run.out.startswith("Usage: ")
    assert run.err == ""


def test_help_says_that_the_optimum_is_over_all_widths(certify):
    assert "ALL widths" in certify("--help").out


def test_help_imports_neither_torch_nor_cvxpy():
    script = (
        "import sys; from certify.cli.main import cli; cli.main(sys.argv[1:], standalone_mode=False); "
        "print([name for name in ('torch', 'cvxpy', 'scipy', 'numpy', 'pydantic') if name in sys.modules])"
    )
    for arguments in (["--help"], ["check", "--help"], ["explain", "gap-closed"]):
        done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "[]", arguments


def test_the_installed_command_runs():
    command = Path(sys.executable).parent / "certify"
    done = subprocess.run([command, "--version"], capture_output=True, text=True, env=os.environ, check=True)
    assert __version__ in done.stdout


@pytest.mark.parametrize("code", EXPLANATIONS)
def test_explain_says_what_a_code_means_and_what_to_do(code, certify):
    run = certify("explain", code)
    assert run.code == 0
    assert run.out.startswith(f"{code}: ")
    assert "Meaning: " in run.out
    assert "What to do: " in run.out


def test_explain_lists_all_codes(certify):
    lines = certify("explain").out.splitlines()
    assert [line.split()[0] for line in lines] == list(EXPLANATIONS)


def test_explain_suggests_a_close_code(certify):
    run = certify("explain", "gap-clsed")
    assert run.code == 2
    assert "did you mean 'gap-closed'?" in run.err
