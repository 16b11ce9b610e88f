"""Factorizations at the command line: what is shown of them, drafted for them, and linked to certificates."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from certify.cli.main import cli

RNG = np.random.default_rng(0)
U, V = RNG.normal(size=(6, 2)), RNG.normal(size=(5, 2))
PLACES = np.argwhere(RNG.random((6, 5)) < 0.8)
VALUES = RNG.normal(size=len(PLACES))
WHOLE = RNG.normal(size=(6, 5))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("model.npz", user_factors=U, item_factors=V, factors=np.array(2))
    return tmp_path


def run(*words, code=0):
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == code, result.output
    return result.stdout


def data(form):
    match form:
        case "train.csv":
            rows = [f"{i},{j},{v!r}" for (i, j), v in zip(PLACES, VALUES.tolist(), strict=True)]
            with open(form, "w") as file:
                file.write("user,item,rating\n" + "\n".join(rows))
        case "coordinates.npz":
            np.savez(form, rows=PLACES[:, 0], cols=PLACES[:, 1], values=VALUES, shape=np.array([6, 5]))
        case "places.npz":
            np.savez(form, X=PLACES, y=VALUES)
        case "whole.npz":
            np.savez(form, X=np.eye(6), y=WHOLE, confidence=1 + WHOLE**2)
    return form


FORMS = ["train.csv", "coordinates.npz", "places.npz", "whole.npz"]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("form", FORMS)
def test_what_init_drafts_can_be_checked_verified_and_linked(form):
    name = data(form)
    run("init", "model.npz", "--data", name)
    found = json.loads(run("check", "model.npz", "--certificate", "model.cert", "--format", "json", code=1))
    seen = tuple(PLACES.T) if form != "whole.npz" else ...
    targets, weights = (VALUES, 1.0) if form != "whole.npz" else (WHOLE, 1 + WHOLE**2)
    # The draft has weight decay 0.001 and the mean of torch.
    expected = (weights * ((U @ V.T)[seen] - targets) ** 2).mean() + 0.0005 * ((U**2).sum() + (V**2).sum())
    assert found["objective"] == pytest.approx(expected, rel=1e-12)
    verified = json.loads(run("verify", "model.cert", "--model", "model.npz", "--data", name, "--format", "json"))
    assert verified["status"] == "valid"
    assert verified["model_compared"]


@pytest.mark.usefixtures("folder")
def test_other_factors_are_not_those_of_the_certificate():
    name = data("places.npz")
    run("init", "model.npz", "--data", name)
    run("check", "model.npz", "--certificate", "model.cert", code=1)
    np.savez("other.npz", user_factors=U, item_factors=V + 1e-9, factors=np.array(2))
    assert "model-digest" in run("verify", "model.cert", "--model", "other.npz", code=1)


@pytest.mark.usefixtures("folder")
def test_inspect_shows_terms_and_their_bound():
    run("init", "model.npz", "--data", data("places.npz"))
    found = json.loads(run("inspect", "model.npz", "--format", "json"))
    assert (found["family"], found["degree"], found["width"]) == ("matrix-factorization", 2, 2)
    assert [row["op"] for row in found["layers"]] == ["select", "select", "look_up", "look_up", "mul", "sum"]
    assert [bound["method"] for bound in found["bounds"]] == ["spectral"]


@pytest.mark.usefixtures("folder")
def test_inspect_says_which_penalty_a_tensor_needs():
    torch.save({name: torch.ones(3, 2) for name in "ABC"}, "model.pt")
    with open("model.problem.yaml", "w") as file:
        file.write(
            "schema: certify.problem/1\nmodel: {path: model.pt, layers: [{cp: [A, B, C]}]}\ndata: {path: t.npz}\n"
            "penalty: {weight_decay: 1.0}\n"
        )
    assert "(powers [1, 1, 1])" in " ".join(run("inspect", "model.pt").split())
    assert "weight decay has degree 2" not in run("inspect", "model.pt", "--penalty", "product_of_norms")
    with open("model.problem.yaml") as file:
        text = file.read()
    product = "{product_of_norms: {strength: 1.0, norms: [2, 2, 2], powers: [1, 1, 1]}}"
    with open("model.problem.yaml", "w") as file:
        file.write(text.replace("{weight_decay: 1.0}", product))
    found = json.loads(run("inspect", "model.pt", "--format", "json"))
    assert (found["family"], found["degree"]) == ("cp-factorization", 3)
    assert "spectral" not in [bound["method"] for bound in found["bounds"]]
