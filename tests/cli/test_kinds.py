"""Every kind of subnetwork on the command line: shown, grown from a narrow start, audited."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from certify.models.loading import Problem
from certify.models.spec.problem_file import load_problem_file
from certify.problem import ParallelNetwork
from tests.reference_objective import objective_of_file

CERTIFIED = Path(__file__).parents[2] / "fixtures" / "certified"
# Family, number of branches, and a method that proves a bound for it.
KINDS = {
    "diabetes-leaky-relu": ("leaky-relu", 1, "cones"),
    "diabetes-absolute-value": ("abs", 1, "cones"),
    "diabetes-relu-weight-decay-by-name": ("relu", 1, "cones"),
    "linnerud-identity-skip": ("relu", 1, "cones"),
    "iris-relu-and-absolute-value": ("relu + abs", 2, "cones"),
    "diabetes-additive": ("one-input relu", 10, "cones"),
    "diabetes-additive-free-biases": ("one-input relu", 4, "sorting"),
    "digits-convolution-average-pool": ("conv-relu-avg-pool", 1, "cones"),
    "digits-linear-convolution": ("conv", 1, "spectral"),
    "diabetes-bilinear-form": ("bilinear", 1, "spectral"),
}


def model_in(name):
    return next(path for path in (CERTIFIED / name).glob("model.pt*"))


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", KINDS)
def test_inspect_shows_the_kind_and_what_bounds_it(name, certify):
    family, branches, method = KINDS[name]
    run = certify("inspect", model_in(name), "--format", "json")
    found = json.loads(run.out)
    assert (run.code, found["family"], len(found["subnetworks"])) == (0, family, branches)
    applying = {bound["method"] for bound in found["bounds"] if bound["applies"]}
    assert method in applying
    assert ("surrogate" in applying) == (method == "cones" and branches == 1 and name != "linnerud-identity-skip")
    assert {name for bound in found["bounds"] for name in bound["families"]} == set(family.split(" + "))
    assert "a certificate is possible" in certify("inspect", model_in(name)).out


@pytest.mark.parametrize("name", KINDS)
def test_grow_leads_from_one_unit_in_every_branch_to_the_optimum(name, certify, workplace):
    source = model_in(name)
    problem = Problem.from_files(load_problem_file(CERTIFIED / name / "model.problem.yaml"))
    stacks = tuple(tuple(factor[:1] for factor in stack) for stack in problem.network.stacks)
    suffix = source.suffix
    problem.write(workplace / f"narrow{suffix}", ParallelNetwork(stacks, problem.network.coefficients))
    shutil.copy(CERTIFIED / name / "train.npz", workplace)
    content = yaml.safe_load((CERTIFIED / name / "model.problem.yaml").read_text(encoding="utf-8"))
    content["model"]["path"] = f"narrow{suffix}"
    (workplace / "narrow.problem.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    run = certify("grow", f"narrow{suffix}", "-o", f"grown{suffix}", "--certificate", "grown.cert", "--format", "json")
    result = json.loads(run.out)
    assert (run.code, result["verdict"], result["model"]["family"]) == (0, "certified", KINDS[name][0])
    # The fixture's own model is certified to be within a thousandth of the optimum.
    grown = objective_of_file(workplace / "grown.problem.yaml")
    assert grown == pytest.approx(objective_of_file(CERTIFIED / name / "model.problem.yaml"), rel=2e-3)
    assert grown == pytest.approx(result["objective"], rel=1e-9)
    link = ["--model", f"grown{suffix}"] if suffix == ".pt" else []
    verified = certify("verify", "grown.cert", "--data", "train.npz", *link, "--format", "json")
    assert (verified.code, json.loads(verified.out)["model_compared"]) == (0, suffix == ".pt")


def test_an_audit_of_a_folder_certifies_every_kind(certify, workplace):
    for name in KINDS:
        shutil.copytree(CERTIFIED / name, workplace / "models" / name)
    (workplace / "audit.yaml").write_text("schema: certify.audit/1\nmodels:\n  - path: models/*/model.pt*\n")
    run = certify("audit", "audit.yaml", "--format", "json", "--jobs", "2")
    document = json.loads(run.out)
    assert run.code == 0, document["summary"]
    assert [entry["verdict"] for entry in document["results"]] == ["certified"] * len(KINDS)
    assert {entry["model"]["family"] for entry in document["results"]} == {family for family, *_ in KINDS.values()}


def test_a_whole_module_with_a_leaky_relu_is_certified_as_it_was_saved(certify, workplace):
    module = nn.Sequential(nn.Linear(4, 1), nn.LeakyReLU(0.1), nn.Linear(1, 1)).double()
    weights = torch.load(model_in("diabetes-leaky-relu"), weights_only=True)
    for name, tensor in weights.items():
        setattr(module[int(name[0])], name[2:], nn.Parameter(tensor))
    torch.save(module, "whole.pt")
    shutil.copy(CERTIFIED / "diabetes-leaky-relu" / "train.npz", workplace)
    arguments = ["whole.pt", "--data", "train.npz", "--loss", "mse", "--scale", "0.5", "--weight-decay", "0.1"]
    run = certify("check", *arguments, "--output-bias", "free", "--format", "json")
    assert (run.code, json.loads(run.out)["model"]["family"]) == (0, "leaky-relu")
