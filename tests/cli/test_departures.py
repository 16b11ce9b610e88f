"""Where the objective is not the one that torch computes, the first lines say so, with -q too."""

import json

import numpy as np
import pytest
import torch
from torch import nn


@pytest.fixture
def folded(tmp_path, monkeypatch):
    """A module with a batch norm after its first layer, saved whole."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 1)).eval()
    torch.save(model, "model.pt")
    rng = np.random.default_rng(0)
    np.savez("data.npz", X=rng.normal(size=(12, 3)), y=rng.normal(size=(12, 1)))
    return ("--data", "data.npz", "--weight-decay", "0.1", "--budget", "2s")


def test_a_folded_batch_norm_is_said_in_the_first_lines(certify, folded):
    first, second, *_ = certify("check", "model.pt", *folded).out.splitlines()
    assert first.endswith("model.pt")
    assert second.split()[0] == "differs"
    assert "the penalty is that of" in second
    quiet = certify("check", "model.pt", *folded, "-q").out.splitlines()
    assert len(quiet) == 1
    assert "the penalty is that of the folded weights" in quiet[0]
    assert "folded" in json.loads(certify("check", "model.pt", *folded, "--format", "json").out)["notes"][0]


def test_the_certificate_states_it_and_verify_shows_it(certify, folded):
    certify("check", "model.pt", *folded, "--certificate", "m.certificate")
    lines = certify("verify", "m.certificate").out.splitlines()
    assert any(line.split()[0] == "differs" and "folded weights" in line for line in lines)
    shown = json.loads(certify("verify", "m.certificate", "--format", "json").out)
    assert "folded weights" in shown["departures"][0]
