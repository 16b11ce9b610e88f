"""`certify inspect` and `check` on models other than plain two-layer networks."""

import json

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from certify.bounds.costs import expected_bounds
from certify.bounds.methods import METHODS
from certify.models.model_file import SMALL


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    np.savez("train.npz", X=rng.normal(size=(12, 6)), y=rng.normal(size=(12, 2)))
    return tmp_path


def saved(*layers):
    torch.save(nn.Sequential(*layers), "net.pt")


def inspection(certify, path="net.pt"):
    return json.loads(certify("inspect", path, "--format", "json").out)


def test_subnetworks_without_a_bound_are_shown_with_what_to_do(certify):
    saved(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16 * 9, 10))
    run = certify("inspect", "net.pt")
    assert run.code == 4
    assert "16 parallel conv-relu-max-pool subnetworks of degree 2: no certificate as it is" in run.out
    assert "obstacle  [no-bound-yet]" in run.out
    assert "remedy  Bounds exist for" in run.out
    (kind,) = inspection(certify)["subnetworks"]
    assert (kind["width"], kind["degree"]) == (16, 2)
    assert kind["weights"] == {"0.weight": [1, 1, 3, 3], "0.bias": [1], "4.weight": [10, 9]}


@pytest.mark.parametrize(
    ("layers", "code", "words"),
    [
        ((nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2, bias=False), nn.ReLU()), "no-bound-yet",
         "linear-relu-linear-relu"),
        ((nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)), "deep-bias", "'2.bias'"),
        ((nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2), nn.Softmax(1)), "not-homogeneous", "loss cross-entropy"),
    ],
)  # fmt: skip
def test_check_and_inspect_agree_on_what_is_in_the_way(certify, layers, code, words):
    saved(*layers)
    run = certify("check", "net.pt", "--data", "train.npz", "--weight-decay", "0.1")
    assert run.code == 4
    assert f"[{code}]" in run.err
    assert words in run.err
    assert inspection(certify)["problems"][0]["code"] == code


def test_batch_norm_is_folded_and_the_penalty_is_that_of_the_folded_weights(certify):
    norm = nn.BatchNorm1d(4, eps=0.0)
    with torch.no_grad():
        norm.weight.fill_(3.0)
        norm.running_var.fill_(4.0)
    saved(nn.Linear(6, 4, bias=False), norm, nn.ReLU(), nn.Linear(4, 2, bias=False))
    found = inspection(certify)
    assert [row["remark"] for row in found["layers"]] == ["", "folded", "", ""]
    assert any("penalty is that of the folded weights" in note for note in found["notes"])
    run = certify("check", "net.pt", "--data", "train.npz", "--weight-decay", "0.5", "--format", "json")
    assert run.code in (0, 1, 3)
    first, last = (tensor.double() for tensor in (torch.load("net.pt", weights_only=False)[i].weight for i in (0, 3)))
    with np.load("train.npz") as data:
        inputs, targets = (torch.from_numpy(data[key]) for key in "Xy")
    # γ/√σ² = 3/2 on every row of the first weight.
    outputs = torch.relu(inputs @ (1.5 * first).T) @ last.T
    objective = ((outputs - targets) ** 2).mean() + 0.25 * ((1.5 * first).square().sum() + last.square().sum())
    assert json.loads(run.out)["objective"] == pytest.approx(float(objective.detach()), rel=1e-12)


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_of_a_large_file_only_names_and_shapes_are_read(certify, suffix):
    wide = SMALL // 4 // 1000 + 1
    weights = {"fc1.weight": torch.full((wide, 1000), torch.nan), "fc2.weight": torch.ones(3, wide)}
    path = f"large.{suffix}"
    (torch.save if suffix == "pt" else safetensors.torch.save_file)(weights, path)
    found = inspection(certify, path)
    assert (found["family"], found["width"]) == ("relu", wide)
    assert found["parameters"] == {"fc1.weight": [wide, 1000], "fc2.weight": [3, wide]}
    assert any("its values were not" in note for note in found["notes"])
    # What a certificate would rest on is read, and refused.
    np.savez("train.npz", X=np.ones((4, 1000)), y=np.ones((4, 3)))
    assert certify("check", path, "--data", "train.npz", "--weight-decay", "0.1").code == 5


def test_bounds_and_their_cost_are_shown(certify):
    def applying(inputs, outputs):
        saved(nn.Linear(inputs, 4), nn.ReLU(), nn.Linear(4, outputs))
        return {bound["method"] for bound in inspection(certify)["bounds"] if bound["applies"] and bound["cost"]}

    assert {"norm-products", "scaled-norms", "hubs", "cones", "surrogate"} <= applying(6, 1)
    assert applying(6, 1) - applying(60, 1) == {"cones"}
    assert applying(6, 1) - applying(6, 2) == {"scaled-norms", "hubs", "signs", "surrogate"}


@pytest.mark.parametrize("form", METHODS, ids=lambda form: form.__name__)
def test_every_method_of_a_form_is_expected_with_its_cost(form):
    found = expected_bounds(form, ("any",), (2, 1), alone=True)
    assert {bound.method for bound in found} == {m.name for m in METHODS[form] if not m.for_factor_norms}
    assert all(bound.applies and bound.cost for bound in found)


def test_the_degree_of_the_outputs_in_a_weight_is_shown_where_it_is_not_one(certify, folder):
    saved(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    assert "(degree" not in certify("inspect", "net.pt").out
    torch.save(nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)).state_dict(), "net.pt")
    (folder / "net.problem.yaml").write_text(
        "schema: certify.problem/1\nmodel: {path: net.pt, layers: [{linear: 0}, square, {linear: 2}]}\n"
        "data: {path: train.npz}\npenalty: {weight_decay: 1e-3}\n"
    )
    assert "0.weight 4×6 (degree 2), 0.bias 4 (degree 2)" in certify("inspect", "net.pt").out


def test_parameters_with_a_weight_decay_of_zero_are_not_shown_as_penalized(certify, folder):
    saved(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    assert inspection(certify)["penalized"] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    problem = "schema: certify.problem/1\nmodel: {path: net.pt}\ndata: {path: train.npz}\npenalty: {weight_decay: WD}\n"
    mapping = '{"*.weight": 1e-3, 0.bias: 1e-3, "*": 0}'
    for decay, free in (("1e-3", []), (mapping, ["2.bias"])):
        (folder / "net.problem.yaml").write_text(problem.replace("WD", decay))
        found = inspection(certify)
        assert [name for name in found["parameters"] if name not in found["penalized"]] == free


def test_init_leaves_out_the_layers_that_a_file_holds_itself(certify, folder):
    saved(nn.Linear(6, 4, bias=False), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2, bias=False))
    assert certify("init", "net.pt", "--data", "train.npz").code == 0
    text = (folder / "net.problem.yaml").read_text()
    assert "layers:" not in text
    # The shift of the batch normalization is a hidden bias once it is folded.
    assert "biases: {hidden: penalized, output: absent}" in text
    assert certify("check", "net.pt", "--budget", "5s").code in (0, 1, 3)
