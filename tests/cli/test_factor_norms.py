"""Factorizations under norms and cones at the command line, and factor files whose layers a flag says."""

import json

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner

from certify.cli.main import cli

RNG = np.random.default_rng(3)
SEEN = RNG.random((8, 6)) < 0.7
TRUE = RNG.random((8, 2)) @ RNG.random((2, 6))


def run(*words, code=0):
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("ratings.npz", y=np.where(SEEN, TRUE, np.nan))
    return tmp_path


def problem(model, layers, norms, data="ratings.npz"):
    content = {
        "schema": "certify.problem/1",
        "model": {"path": model, "layers": layers},
        "data": {"path": data},
        "loss": {"name": "mse", "reduction": "sum", "scale": 0.5},
        "penalty": {"factor_norms": norms},
        "budget": {"seconds": 20},
    }
    with open(model.replace(".npz", ".problem.yaml"), "w") as file:
        yaml.safe_dump(content, file)


@pytest.mark.usefixtures("folder")
def test_nonnegative_factors_of_a_matrix_with_missing_entries_are_grown_and_verified():
    start = {"U": RNG.random((8, 2)), "V": RNG.random((6, 2))}
    np.savez("start.npz", **start)
    norms = {"strength": 0.1, "nonnegative": ["left", "right"]}
    problem("start.npz", [{"factorization": {"left": "U", "right": "V"}}], norms)
    checked = json.loads(run("check", "start.npz", "--format", "json", "--output-model", "better.npz", code=1).stdout)
    residual = (start["U"] @ start["V"].T - TRUE)[SEEN]
    cost = (np.linalg.norm(start["U"], axis=0) * np.linalg.norm(start["V"], axis=0)).sum()
    assert checked["objective"] == pytest.approx((residual**2).sum() / 2 + 0.1 * cost, rel=1e-12)
    assert checked["verdict"] == "improvable"
    run("grow", "start.npz", "-o", "grown.npz", "--certificate", "grown.cert")
    with np.load("grown.npz") as grown:
        assert min(grown["U"].min(), grown["V"].min()) >= 0
    assert "valid" in run("verify", "grown.cert", "--model", "grown.npz", "--data", "ratings.npz").output
    assert json.loads(run("check", "grown.npz", "--format", "json").stdout)["verdict"] == "certified"


@pytest.mark.usefixtures("folder")
def test_a_negative_factor_is_refused_by_its_name():
    np.savez("start.npz", U=RNG.random((8, 2)), V=-RNG.random((6, 2)))
    norms = {"strength": 0.1, "nonnegative": ["right"]}
    problem("start.npz", [{"factorization": {"left": "U", "right": "V"}}], norms)
    output = run("check", "start.npz", code=2).output
    assert "'V'" in output
    assert "'right'" in output


@pytest.mark.usefixtures("folder")
def test_tensors_have_a_norm_for_every_axis():
    tensor = RNG.normal(size=(3, 4, 2))
    np.savez("tensor.npz", y=tensor)
    np.savez("start.npz", A=np.zeros((3, 1)), B=np.zeros((4, 1)), C=np.zeros((2, 1)))
    layers, norms = [{"cp": ["A", "B", "C"]}], {"strength": 0.5, "norms": ["l1", "l2", "l1"]}
    problem("start.npz", layers, norms, "tensor.npz")
    found = json.loads(run("grow", "start.npz", "-o", "grown.npz", "--format", "json").stdout)
    # Fibres along the second axis shrink on their own (Yuan and Lin 2006).
    lengths = np.linalg.norm(tensor, axis=1)
    kept = np.maximum(lengths - 0.5, 0)
    optimum = (np.minimum(lengths, 0.5) ** 2).sum() / 2 + 0.5 * kept.sum()
    assert found["objective"] == pytest.approx(optimum, rel=1e-3)
    assert found["lower_bound"] <= optimum * (1 + 1e-12)
    problem("start.npz", layers, {"strength": 0.5, "left": "l1"}, "tensor.npz")
    assert "2 norms" in run("check", "start.npz", code=2).output


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("norms", "words"),
    [
        ({"strength": 0.1, "norms": ["l1", "l2"], "left": "l1"}, "either 'norms' or 'left' and 'right'"),
        ({"strength": 0.1, "norms": ["l1", "l2"], "nonnegative": ["left"]}, "'left'"),
        ({"strength": 0.1, "nonnegative": [0]}, "none of"),
        ({"strength": 0.1, "norms": ["l1"]}, "norms"),
    ],
)
def test_norms_that_do_not_fit_are_errors(norms, words):
    np.savez("start.npz", U=RNG.random((8, 2)), V=RNG.random((6, 2)))
    problem("start.npz", [{"factorization": {"left": "U", "right": "V"}}], norms)
    assert words in run("check", "start.npz", code=2).output


FLAGS = ["--data", "ratings.npz", "--loss", "mse", "--weight-decay", "0.1"]


@pytest.mark.usefixtures("folder")
def test_a_flag_says_what_a_file_of_factors_is():
    factors = {"U": RNG.random((8, 2)), "V": RNG.random((6, 2))}
    np.savez("start.npz", **factors, bias=RNG.random(8))
    assert "--layers" in run("check", "start.npz", *FLAGS, code=2).output
    line = "factorization:U,V,row_bias=bias,scale=2"
    found = json.loads(run("check", "start.npz", "--layers", line, *FLAGS, "--format", "json", code=1).stdout)
    with np.load("start.npz") as start:
        outputs = 2 * factors["U"] @ factors["V"].T + start["bias"][:, None]
        penalty = 0.05 * sum((start[name] ** 2).sum() for name in start.files)
    assert found["objective"] == pytest.approx(((outputs - TRUE)[SEEN] ** 2).mean() + penalty, rel=1e-12)


@pytest.mark.usefixtures("folder")
def test_a_flag_says_it_when_growing_too():
    np.savez("start.npz", U=RNG.random((8, 2)), V=RNG.random((6, 2)))
    run("grow", "start.npz", "-o", "grown.npz", "--layers", "factorization:U,V", *FLAGS)
    # The problem file beside it says the layers.
    run("check", "grown.npz")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("factorization:U", "needs left and right"),
        ("factorization:U,V,rank=2", "needs left and right"),
        ("factorization:U,V,scale=big", "scale must be a number"),
        ("factorization:U,W", "no array 'W'"),
        ("cp:U,V", "three or four"),
        ("linear:U,factorization:V", "--layers"),
    ],
)
def test_a_flag_that_does_not_fit_is_an_error(line, words):
    np.savez("start.npz", U=RNG.random((8, 2)), V=RNG.random((6, 2)))
    assert words in run("check", "start.npz", "--layers", line, *FLAGS, code=2).output


@pytest.mark.usefixtures("folder")
def test_features_of_items_are_the_inputs_of_the_transposed_problem():
    """Z = U (F V)ᵀ at observed ratings: Zᵀ = F V Uᵀ is two linear layers on F."""
    features, first, second = RNG.random((6, 3)), RNG.random((2, 3)), RNG.random((8, 2))
    weights = {"V.weight": first, "U.weight": second}
    torch.save({name: torch.from_numpy(values) for name, values in weights.items()}, "model.pt")
    np.savez("items.npz", F=features, Y=TRUE.T, M=SEEN.T)
    content = {
        "schema": "certify.problem/1",
        "model": {"path": "model.pt", "layers": [{"linear": "V"}, {"linear": "U"}]},
        "data": {"path": "items.npz", "inputs": "F", "targets": "Y", "mask": "M"},
        "loss": {"name": "mse", "reduction": "sum"},
        "penalty": {"weight_decay": 0.1},
    }
    with open("model.problem.yaml", "w") as file:
        yaml.safe_dump(content, file)
    found = json.loads(run("check", "model.pt", "--format", "json", code=1).stdout)
    outputs = second @ (features @ first.T).T
    expected = ((outputs - TRUE)[SEEN] ** 2).sum() + 0.05 * ((first**2).sum() + (second**2).sum())
    assert found["objective"] == pytest.approx(expected, rel=1e-12)
    run("grow", "model.pt", "-o", "grown.pt", "--certificate", "grown.cert")
    assert "valid" in run("verify", "grown.cert", "--model", "grown.pt", "--data", "items.npz").output
