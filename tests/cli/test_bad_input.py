"""Bad input ends in one clear message and an exit code, never in a traceback or an internal error."""

import json
import os
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

BAD_ARGUMENTS = [
    [],
    ["check"],
    ["check", ""],
    ["check", "."],
    ["check", "absent.pt"],
    ["check", "no\nsuch.pt"],
    ["check", "lone.pt"],
    ["check", "lone.pt", "--data", "train.npz"],
    ["check", "train.npz", "--data", "train.npz", "--weight-decay", "1"],
    ["check", "optimal.pt", "--problem", "absent.yaml"],
    ["check", "optimal.pt", "--problem", "."],
    ["check", "optimal.pt", "--problem", "train.npz"],
    ["check", "optimal.pt", "--data", "absent.npz"],
    ["check", "optimal.pt", "--data", "optimal.pt"],
    ["check", "optimal.pt", "--data", "optimal.problem.yaml"],
    ["check", "optimal.pt", "--inputs", "Z"],
    ["check", "optimal.pt", "--targets", "X,y"],
    ["check", "optimal.pt", "--loss", "hinge"],
    ["check", "optimal.pt", "--loss", "soft-margin"],
    ["check", "optimal.pt", "--loss", "binary-cross-entropy"],
    ["check", "optimal.pt", "--reduction", "median"],
    ["check", "optimal.pt", "--scale", "0"],
    ["check", "optimal.pt", "--scale", "nan"],
    ["check", "optimal.pt", "--weight-decay", "0"],
    ["check", "optimal.pt", "--weight-decay", "-1"],
    ["check", "optimal.pt", "--weight-decay", "inf"],
    ["check", "optimal.pt", "--relative-gap", "-1"],
    ["check", "optimal.pt", "--absolute-gap", "nan"],
    ["check", "optimal.pt", "--device", "tpu"],
    ["check", "optimal.pt", "--device", "cuda:99"],
    ["check", "optimal.pt", "--threads", "0"],
    ["check", "optimal.pt", "--threads", "9" * 30],
    ["grow", "--from-scratch", "--layers", "linear:\udcff", "-o", "g.pt", "--data", "train.npz"],
    ["check", "optimal.pt", "--seed", "one"],
    ["check", "optimal.pt", "--format", "xml"],
    ["check", "optimal.pt", "--no-such-flag"],
    ["inspect"],
    ["inspect", "absent.pt"],
    ["inspect", "."],
    ["init"],
    ["init", "absent.pt"],
    ["init", "optimal.pt"],
    ["init", "lone.pt", "--data", "absent.npz"],
    ["init", "lone.pt", "-o", "absent/p.yaml"],
    ["explain", "no-such-code"],
    ["explain", ""],
]


@pytest.mark.parametrize("arguments", BAD_ARGUMENTS, ids=lambda arguments: " ".join(arguments) or "nothing")
def test_bad_arguments_end_in_a_message_and_a_code(arguments, certify, folder):
    run = certify(*arguments)
    assert run.code in (2, 4, 5)
    assert run.err.strip()
    assert "internal error" not in run.err
    assert run.out == ""


PROBLEMS = {
    "empty": "",
    "not yaml": "model: [",
    "a list": "- 1",
    "a number": "1",
    "another schema": "schema: certify.problem/2",
    "binary": "\x00\x01",
    "an alias": "a: &x 1\nb: *x",
    "a tag": "model: !!python/object:os.system {}",
    "no model": "schema: certify.problem/1\ndata: {path: train.npz}\npenalty: {weight_decay: 1}",
    "a nested list": "schema: certify.problem/1\nmodel: [[1]]\ndata: 1\npenalty: x",
    "both penalties": "penalty: {weight_decay: 1, product_of_norms: {strength: 1}}",
    "a tab": "model:\n\tpath: x",
}


@pytest.mark.parametrize("text", PROBLEMS.values(), ids=PROBLEMS.keys())
def test_bad_problem_files_are_located_usage_errors(text, certify, folder):
    (folder / "poor.problem.yaml").write_text(text)
    run = certify("check", "poor.pt")
    assert run.code == 2
    assert "poor.problem.yaml:" in run.err


@pytest.mark.parametrize("content", [b"", b"\x80", b"PK\x03\x04", b"\x80\x04K\x01.", b"hello", b"\xff" * 1000])
def test_bad_model_files_are_refused(content, certify, folder):
    (folder / "poor.pt").write_bytes(content)
    for command in ("check", "inspect"):
        run = certify(command, "poor.pt")
        assert run.code == 5, command
        assert "poor.pt" in run.err


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY", b"1,2\n3", b"\xff" * 1000])
def test_bad_data_files_are_refused(content, certify, folder):
    (folder / "train.npz").write_bytes(content)
    run = certify("check", "poor.pt")
    assert run.code in (2, 5)
    assert run.err.startswith("certify: error: train.npz")


ONE = torch.ones(1, 1)
STATES = {
    "numbers for names": {0: ONE, 1: ONE},
    "numbers among names": {"a.weight": ONE, 2: ONE},
    "a list of weights": {"state_dict": [{"a.weight": ONE}]},
    "weights far inside": {"a": {"b": {"c.weight": ONE}}},
    "a tuple for a name": {(1, 2): ONE},
    "an empty nest": {"state_dict": {}, "epoch": 3},
    "scalars": {"a.weight": ONE[0, 0], "b.weight": ONE[0, 0]},
    "a lone surrogate": {"\ud800.weight": ONE},
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_odd_state_dicts_are_refused_in_a_line(state, zipped, certify, folder):
    torch.save(state, folder / "lone.pt", _use_new_zipfile_serialization=zipped)
    run = certify("check", "lone.pt", "--data", "train.npz", "--weight-decay", "1")
    assert run.code in (2, 4, 5)
    assert run.err.startswith("certify: error: lone.pt")


def test_a_tensor_of_more_axes_than_torch_shows_is_refused(certify, folder):
    header = json.dumps({"a.weight": {"dtype": "F64", "shape": [1] * 65, "data_offsets": [0, 8]}}).encode()
    (folder / "lone.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    assert certify("inspect", "lone.safetensors").code in (0, 5)
    run = certify("check", "lone.safetensors", "--data", "train.npz", "--weight-decay", "1")
    assert run.code == 5
    assert "axes" in run.err


def test_one_array_may_serve_in_two_roles(certify, folder):
    """The mask of diag(3, 2, 1) on the unit vectors that observes the diagonal is the inputs."""
    text = (folder / "poor.problem.yaml").read_text()
    (folder / "poor.problem.yaml").write_text(text.replace("targets: y", "targets: y, mask: X"))
    assert certify("check", "poor.pt").code in (0, 1, 3)


def test_a_matrix_of_negative_size_is_a_usage_error(certify, folder):
    none = np.zeros(0, int)
    np.savez(folder / "train.npz", rows=none, cols=none, values=np.zeros(0), shape=np.array([-3, 3]))
    run = certify("check", "lone.pt", "--data", "train.npz", "--weight-decay", "1")
    assert run.code == 2
    assert "shape" in run.err


def test_names_that_are_no_text_and_long_patterns_end_in_a_verdict_or_an_error(certify, folder, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    name = os.fsdecode(b"m\xff.pt")
    shutil.copy(folder / "optimal.pt", folder / name)
    (folder / "audit.yaml").write_text(
        "schema: certify.audit/1\nmodels: [{path: 'm*.pt', problem: optimal.problem.yaml}]\n"
    )
    for _ in ("run", "cache"):
        run = certify("audit", "audit.yaml", "--baseline", "baseline.json", "--update-baseline", "--format", "json")
        assert json.loads(run.out)["results"][0]["verdict"] == "certified"
    assert certify("audit", "audit.yaml", "--baseline", "baseline.json").code == 0
    (folder / "baseline.json").write_text("[" * 100_000)
    assert certify("audit", "audit.yaml", "--baseline", "baseline.json").code == 2
    (folder / "audit.yaml").write_text(f"schema: certify.audit/1\nmodels: [{{path: '{'x' * 2000}*'}}]\n")
    assert certify("audit", "audit.yaml", "--plan").code == 2
