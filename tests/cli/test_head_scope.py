"""`--scope head` from the command line: check, the model written, its certificate, and growth."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from sklearn.datasets import load_diabetes
from torch import nn

from certify.cli.main import cli
from certify.verify import verify_bytes

DECAY = 0.05


def sigmoid_network(width):
    return nn.Sequential(nn.Linear(10, 3), nn.Sigmoid(), nn.Linear(3, width), nn.ReLU(), nn.Linear(width, 1)).double()


def objective_of(state, x, y):
    model = sigmoid_network(len(state["2.weight"]))
    model.load_state_dict(state)
    with torch.no_grad():
        loss = nn.functional.mse_loss(model(x), y)
        return float(loss + DECAY / 2 * sum((p**2).sum() for layer in (model[2], model[4]) for p in layer.parameters()))


@pytest.fixture
def folder(tmp_path):
    x, y = load_diabetes(return_X_y=True)
    x, y = 10 * x[:60], (y[:60, None] - y[:60].mean()) / y[:60].std()
    np.savez(tmp_path / "data.npz", X=x, y=y)
    torch.manual_seed(0)
    model = sigmoid_network(4)
    with torch.no_grad():
        model[0].weight.mul_(4)
    torch.save(model.state_dict(), tmp_path / "model.pt")
    layers = "[{linear: '0'}, sigmoid, {linear: '2'}, relu, {linear: '4'}]"
    (tmp_path / "model.problem.yaml").write_text(
        "schema: certify.problem/1\n"
        f"model: {{path: model.pt, layers: {layers}}}\n"
        "data: {path: data.npz}\n"
        f"penalty: {{weight_decay: {DECAY}}}\n"
        "tolerance: {relative_gap: 1.0e-2}\n"
    )
    return tmp_path, torch.from_numpy(x), torch.from_numpy(y)


def run(*arguments):
    done = CliRunner().invoke(cli, [*map(str, arguments), "--device", "cpu", "--threads", "1"], standalone_mode=False)
    assert done.exception is None, done.exception
    return done.return_value, done.stdout


def test_an_untrained_head_is_improvable_and_the_written_model_is_better_in_torch(folder):
    place, x, y = folder
    arguments = ("--scope", "head", "--budget", "10s", "--format", "json", "--output-model", place / "better.pt")
    code, text = run("check", place / "model.pt", *arguments)
    result = json.loads(text)
    assert (code, result["verdict"], result["scope"]) == (1, "improvable", "head")
    assert result["head"]["layers"] == ["2", "4"]
    assert result["message"].startswith("head, given the features of the frozen layers before it")
    before = objective_of(torch.load(place / "model.pt"), x, y)
    after = objective_of(torch.load(place / "better.pt"), x, y)
    assert result["objective"] == pytest.approx(before, rel=1e-12)
    assert result["descent"]["objective_after"] == pytest.approx(after, rel=1e-12)
    assert after < before
    kept = torch.load(place / "better.pt")
    assert all(torch.equal(kept[name], torch.load(place / "model.pt")[name]) for name in ("0.weight", "0.bias"))


def test_a_grown_head_is_certified_and_its_certificate_links_to_the_files(folder):
    place, x, y = folder
    grown, proof = place / "grown.pt", place / "grown.cert"
    code, text = run(
        "grow", place / "model.pt", "--scope", "head", "-o", grown, "--certificate", proof, "--budget", "30s"
    )
    assert code == 0, text
    code, text = run("check", grown, "--format", "json")
    result = json.loads(text)
    assert (code, result["verdict"], result["scope"]) == (0, "certified", "head")
    assert result["objective"] == pytest.approx(objective_of(torch.load(grown), x, y), rel=1e-12)
    verdict = verify_bytes(proof.read_bytes(), grown.read_bytes(), ((place / "data.npz").read_bytes(),))
    assert verdict.certified, verdict.message
    assert (verdict.model_linked, verdict.data_linked) == (True, True)
    assert verdict.features == result["head"]["features_sha256"]


def test_reports_for_people_say_that_the_claim_is_about_the_head(folder):
    place = folder[0]
    paths = {kind: place / f"report.{kind}" for kind in ("markdown", "html", "junit", "csv", "sarif", "github")}
    outputs = [argument for kind, path in paths.items() for argument in ("--output", f"{kind}={path}")]
    _, text = run("check", place / "model.pt", "--scope", "head", "--budget", "2s", *outputs)
    for shown in (text, *(path.read_text() for path in paths.values())):
        assert "head, given the features of the frozen layers" in " ".join(shown.split())
