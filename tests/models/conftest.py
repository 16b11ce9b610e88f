"""Small models and data, written by the libraries that users write them with."""

import numpy as np
import pytest
import torch

PROBLEM = """\
schema: certify.problem/1
model: {{path: {model}{layers}}}
data: {{path: {data}, inputs: X, targets: y}}
penalty: {penalty}
biases: {biases}
"""


@pytest.fixture
def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return rng.normal(size=(20, 3)), rng.normal(size=(20, 2))


@pytest.fixture
def model_file(tmp_path, network):
    path = tmp_path / "model.pt"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture
def data_file(tmp_path, arrays):
    path = tmp_path / "train.npz"
    np.savez(path, X=arrays[0], y=arrays[1])
    return path


@pytest.fixture
def write_problem(tmp_path):
    def write(model="model.pt", data="train.npz", layers=None, penalty="{weight_decay: 1e-3}", biases="{}"):
        path = tmp_path / "model.problem.yaml"
        given = "" if layers is None else f", layers: {layers}"
        path.write_text(PROBLEM.format(model=model, data=data, layers=given, penalty=penalty, biases=biases))
        return path

    return write
