"""`--penalty product_of_norms`: the same function under the penalty of its own degree."""

import json

import numpy as np
import pytest
import torch

PROBLEM = """\
schema: certify.problem/1
model: {path: model.pt, layers: [{linear: "0"}, square, {linear: "2"}]}
data: {path: train.npz, inputs: X, targets: y}
loss: {name: mse, reduction: sum, scale: 0.5}
penalty: {weight_decay: 0.4}
budget: {seconds: 5}
"""


@pytest.fixture
def model(tmp_path, monkeypatch):
    """Two neurons of a square, and their problem."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(5)
    weights = {"0.weight": rng.normal(size=(2, 3)), "2.weight": rng.normal(size=(1, 2))}
    torch.save({name: torch.from_numpy(values) for name, values in weights.items()}, "model.pt")
    inputs = rng.normal(size=(9, 3))
    np.savez("train.npz", X=inputs, y=(inputs @ [[1.0], [0.5], [0.0]]) ** 2)
    (tmp_path / "model.problem.yaml").write_text(PROBLEM)
    return weights


def outputs(weights, inputs):
    return (inputs @ weights["0.weight"].T) ** 2 @ weights["2.weight"].T


def objectives(weights):
    """Under weight decay, and under the product of norms that equals it at product 1."""
    with np.load("train.npz") as data:
        loss = ((outputs(weights, data["X"]) - data["y"]) ** 2).sum() / 2
    first, second = (weights["0.weight"] ** 2).sum(1), (weights["2.weight"] ** 2).sum(0)
    strength = 0.4 * 1.5 * 2 ** (-2 / 3)
    return loss + 0.2 * (first + second).sum(), loss + strength * (first * np.sqrt(second)).sum()


def test_the_flag_replaces_weight_decay_by_the_product_that_equals_it_at_product_one(certify, model):
    decayed, product = objectives(model)
    plain = json.loads(certify("check", "model.pt", "--format", "json").out)
    matched = json.loads(certify("check", "model.pt", "--penalty", "product_of_norms", "--format", "json").out)
    assert plain["objective"] == pytest.approx(decayed, rel=1e-12)
    assert matched["objective"] == pytest.approx(product, rel=1e-12)


def test_the_problem_file_says_the_same(certify, model, tmp_path):
    flagged = json.loads(certify("check", "model.pt", "--penalty", "product_of_norms", "--format", "json").out)
    (tmp_path / "model.problem.yaml").write_text(PROBLEM.replace("0.4}", "0.4, matched: true}"))
    assert json.loads(certify("check", "model.pt", "--format", "json").out)["statement"] == flagged["statement"]


def test_growth_is_certified_and_its_file_checks_as_it_is(certify, model):
    grown = certify("grow", "model.pt", "-o", "grown.pt", "--penalty", "product_of_norms", "--certificate", "c.cert")
    assert grown.code == 0, grown.err
    assert certify("check", "grown.pt").code == 0
    assert certify("verify", "c.cert", "--model", "grown.pt", "--data", "train.npz").code == 0


def test_a_certified_model_is_written_with_balanced_factors(certify, model):
    assert certify("grow", "model.pt", "-o", "grown.pt", "--penalty", "product_of_norms").code == 0
    weights = torch.load("grown.pt")
    torch.save({"0.weight": 3 * weights["0.weight"], "2.weight": weights["2.weight"] / 9}, "uneven.pt")
    run = certify("check", "uneven.pt", "--problem", "grown.problem.yaml", "--output-model", "balanced.pt", "--quiet")
    assert run.code == 0, run.err
    found = {name: values.numpy() for name, values in torch.load("balanced.pt").items()}
    with np.load("train.npz") as data:
        before = outputs({name: values.numpy() for name, values in weights.items()}, data["X"])
        np.testing.assert_allclose(outputs(found, data["X"]), before, rtol=1e-10)
    # Degrees 2 and 1: the least weight decay has |u|² = 2 |v|².
    first, second = (found["0.weight"] ** 2).sum(1), (found["2.weight"] ** 2).sum(0)
    np.testing.assert_allclose(first, 2 * second, rtol=1e-10)


def test_what_the_penalty_would_change_is_said_where_a_gap_stays(certify, model):
    certify("grow", "model.pt", "-o", "grown.pt")
    run = certify("check", "grown.pt", "--relative-gap", "1e-12", "--format", "json")
    assert run.code == 3
    message = json.loads(run.out)["message"]
    assert "--penalty product_of_norms" in message
    assert "degree 3" in message


@pytest.mark.parametrize(
    "penalty",
    ["{product_of_norms: {strength: 1}, matched: true}", "{weight_decay: 1, entry_counts: true, matched: true}"],
)
def test_it_replaces_plain_weight_decay_alone(certify, model, tmp_path, penalty):
    (tmp_path / "model.problem.yaml").write_text(PROBLEM.replace("{weight_decay: 0.4}", penalty))
    run = certify("check", "model.pt")
    assert run.code == 2
    assert "matched" in run.err


def test_a_hidden_bias_of_another_decay_is_refused(certify, model, tmp_path):
    weights = {"0.weight": torch.ones(2, 3), "0.bias": torch.ones(2), "2.weight": torch.ones(1, 2)}
    torch.save(weights, "model.pt")
    decays = '{weight_decay: {"0.bias": 0.1, "*": 0.4}, matched: true}'
    (tmp_path / "model.problem.yaml").write_text(PROBLEM.replace("{weight_decay: 0.4}", decays))
    run = certify("check", "model.pt")
    assert run.code == 4
    assert "give both the same" in run.err
