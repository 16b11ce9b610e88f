"""Heads of models: where they are cut, their features and objective against torch, and the models that are written."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from certify.errors import RefusedError, UnsupportedError, UsageError
from certify.models.loading import Problem
from certify.models.spec.overrides import Overrides
from certify.models.spec.problem_file import spec_from_flags

DECAY = 1e-2


def digits(count=300):
    images, labels = load_digits(return_X_y=True)
    return torch.tensor(images[:count] / 16.0).reshape(-1, 1, 8, 8), torch.tensor(labels[:count])


def cnn():
    """A small convolutional network with batch normalization and smooth activations, and a head of two layers."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.GELU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(96, 5),
        nn.Sigmoid(),
        nn.Linear(5, 8),
        nn.ReLU(),
        nn.Linear(8, 10),
    ).double()
    model(digits()[0])
    return model.eval()


class Residual(nn.Module):
    """A head that reads a residual sum, written in functions."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(64, 16), nn.Linear(16, 16)
        self.norm, self.fc1, self.fc2 = nn.LayerNorm(16), nn.Linear(16, 6), nn.Linear(6, 10)

    def forward(self, x):
        hidden = torch.tanh(self.first(x.flatten(1)))
        hidden = self.norm(hidden + torch.nn.functional.silu(self.second(hidden)))
        return self.fc2(torch.relu(self.fc1(hidden)))


def residual():
    torch.manual_seed(1)
    return Residual().double().eval()


def own_objective(model, head, images, labels):
    with torch.no_grad():
        loss = nn.functional.cross_entropy(model(images), labels)
        return float(loss + DECAY / 2 * sum((p**2).sum() for part in head for p in part.parameters()))


def problem_of(model, **settings):
    images, labels = digits()
    return Problem.from_torch(model, images, labels, loss="cross-entropy", weight_decay=DECAY, scope="head", **settings)


@pytest.mark.parametrize(
    ("make", "head", "names"),
    [
        (cnn, lambda model: [model[7], model[9]], ("7", "9")),
        (residual, lambda model: [model.fc1, model.fc2], ("fc1", "fc2")),
    ],
)
def test_the_objective_of_a_head_is_what_torch_computes(make, head, names):
    model = make()
    problem = problem_of(model)
    found = problem.objective.evaluate(problem.network).objective
    assert found == pytest.approx(own_objective(model, head(model), *digits()), rel=1e-12)
    assert problem.source.head.layers == names
    frozen = sum(p.numel() for p in model.parameters()) - sum(
        p.numel() for part in head(model) for p in part.parameters()
    )
    statistics = sum(b.numel() for n, b in model.named_buffers() if "num_batches" not in n)
    assert problem.source.head.frozen_parameters == frozen + statistics


def test_features_are_those_of_torch_and_the_same_for_files_and_live_modules(tmp_path):
    model, (images, labels) = cnn(), digits()
    with torch.no_grad():
        features = model[:7](images)
    live = problem_of(model)
    torch.testing.assert_close(live.inputs, features, rtol=1e-12, atol=1e-12)
    batch = torch.export.Dim("batch")
    exported = torch.export.export(model, (images[:2],), dynamic_shapes=({0: batch},))
    torch.export.save(exported, tmp_path / "cnn.pt2")
    np.savez(tmp_path / "data.npz", X=images.numpy(), y=labels.numpy())
    flags = Overrides(data=str(tmp_path / "data.npz"), loss="cross-entropy", weight_decay=DECAY, scope="head")
    read = Problem.from_files(spec_from_flags(tmp_path / "cnn.pt2", flags))
    assert read.source.head.features_sha256 == live.source.head.features_sha256
    assert read.objective.evaluate(read.network) is not None
    assert read.source.head.frozen_parameters == live.source.head.frozen_parameters


def test_a_written_model_is_the_whole_model_with_another_head(tmp_path):
    model, images = cnn(), digits()[0]
    problem = problem_of(model)
    wider = problem.network
    (stack,) = wider.stacks
    doubled = type(wider)((tuple(torch.cat([f / 2**0.5, f / 2**0.5]) for f in stack),), wider.coefficients)
    problem.write(tmp_path / "wide.pt", doubled)
    state = torch.load(tmp_path / "wide.pt", weights_only=True)
    model[7], model[9] = nn.Linear(5, 16).double(), nn.Linear(16, 10).double()
    with torch.no_grad():
        expected = cnn()(images)
        model.load_state_dict(state)
        torch.testing.assert_close(model(images), expected, rtol=1e-10, atol=1e-10)


def test_a_model_without_layers_before_its_head_is_checked_as_a_whole():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(9, 3, generator=generator), torch.randn(9, 2, generator=generator)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    assert Problem.from_torch(model, x, y, weight_decay=DECAY, scope="head").source.head is None


def test_a_head_may_be_a_convolution_and_what_averages_it():
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    model = nn.Sequential(*layers, nn.Linear(4, 10)).double()
    problem = problem_of(model)
    assert problem.source.head.layers == ("2", "6")
    assert problem.inputs.shape == (300, 3, 6, 6)
    found = problem.objective.evaluate(problem.network).objective
    assert found == pytest.approx(own_objective(model, [model[2], model[6]], *digits()), rel=1e-12)


class Sorted(nn.Module):
    """An operation that certify does not know, before the head."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(64, 5), nn.Linear(5, 10)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(torch.erfinv(x.flatten(1) / 2))))


class Centered(nn.Module):
    """Features that depend on the other samples."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(64, 5), nn.Linear(5, 10)

    def forward(self, x):
        flat = x.flatten(1)
        return self.fc2(torch.relu(self.fc1(torch.softmax(flat, 0))))


@pytest.mark.parametrize(
    ("model", "code", "part"),
    [
        (Sorted(), "unknown-layer", "erfinv"),
        (Centered(), "no-head", "depend on the samples beside it"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Softmax(1)), "not-homogeneous", "Save the model without it"),
        (nn.Sequential(nn.Flatten(), nn.Tanh()), "no-head", "no last layers"),
    ],
)
def test_what_has_no_head_says_why(model, code, part):
    with pytest.raises(UnsupportedError, match=part) as caught:
        problem_of(model.double())
    assert caught.value.code == code


def test_images_of_another_size_and_overflow_are_refused():
    images, labels = digits()
    with pytest.raises(UsageError, match="cannot read inputs of shape") as caught:
        Problem.from_torch(cnn(), images[:, :, :4], labels, weight_decay=DECAY, loss="cross-entropy", scope="head")
    assert caught.value.code == "shape-mismatch"
    layers = [{"linear": "0"}, "exp", {"linear": "2"}, "relu", {"linear": "4"}]
    model = nn.Sequential(nn.Linear(64, 5), nn.Identity(), nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 10)).double()
    with pytest.raises(RefusedError, match="overflow"):
        Problem.from_torch(model, 1e6 * images.flatten(1), labels, weight_decay=DECAY, scope="head", layers=layers)


def test_images_without_a_head_are_refused():
    images, labels = digits()
    model = nn.Sequential(nn.Linear(64, 5), nn.ReLU(), nn.Linear(5, 10)).double()
    with pytest.raises(UsageError, match="flatten what has more axes"):
        Problem.from_torch(model, images, labels, weight_decay=DECAY, layers=[{"linear": "0"}, "relu", {"linear": "2"}])
