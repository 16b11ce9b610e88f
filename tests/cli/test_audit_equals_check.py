"""What an audit finds of a model is what a check finds of it, in every field."""

import json

import pytest

from certify.bounds.bilinear import spectral
from certify.models.spec.problem_file import load_problem_file
from certify.workflows.audit_jobs import check_item
from certify.workflows.check import CheckOptions


@pytest.fixture
def randomized(monkeypatch):
    """Every proof of a linear model is a randomized one, so that its failure probability shows in the result."""
    monkeypatch.setattr(spectral, "DENSE_DIMENSION", 1)
    monkeypatch.setattr(spectral, "MATRICES_HELD", 10**12)


@pytest.mark.parametrize("model", ["optimal", "poor"])
def test_an_item_of_an_audit_is_the_check_of_its_model(model, certify, folder, randomized):
    run = certify("check", f"{model}.pt", "--device", "cpu", "--seed", "3", "--format", "json")
    checked = json.loads(run.out)
    content = load_problem_file(f"{model}.problem.yaml").model_dump(mode="json", by_alias=True, exclude_none=True)
    audited = check_item(folder, content, device="cpu", seed=3, threads=None)
    assert checked["proof"] == audited["proof"] == "randomized"
    assert 0 < audited["failure_probability"] <= CheckOptions().failure_probability
    assert 0 < audited["seconds"]["load"] < audited["seconds"]["total"]
    paths = {"seconds": None, "model": None, "data": None, "certificate": None}
    assert audited | paths == checked | paths
    for block in ("model", "data"):
        assert audited[block] | {"path": None} == checked[block] | {"path": None}
