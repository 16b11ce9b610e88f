"""Single linear layers, alone or as the head of a frozen network: convex problems, certified exactly."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import nn

from certify.errors import UsageError
from certify.models.loading import Problem
from certify.verify import verify_bytes
from certify.verify.exact import verify_bytes_exactly
from certify.workflows.check import CheckOptions, run_check

DECAY = 1e-2


def digits(count=250):
    images, labels = load_digits(return_X_y=True)
    return torch.tensor(images[:count] / 16.0).reshape(-1, 1, 8, 8), torch.tensor(labels[:count])


def cnn():
    """Convolutions with batch normalization, and one linear layer on their features."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.SiLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 12),
        nn.Tanh(),
        nn.Linear(12, 10),
    ).double()
    model(digits()[0])
    return model.eval()


def trained_head(model):
    """The last layer solved by L-BFGS in torch."""
    images, labels = digits()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    head = model[-1].requires_grad_(True)
    search = torch.optim.LBFGS(head.parameters(), max_iter=2000, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def closure():
        search.zero_grad()
        penalty = DECAY / 2 * sum((p**2).sum() for p in head.parameters())
        value = nn.functional.cross_entropy(model(images), labels) + penalty
        value.backward()
        return value

    search.step(closure)
    return model


def checked(model, **settings):
    images, labels = digits()
    options = {"loss": "cross-entropy", "weight_decay": DECAY, "scope": "head", "relative_gap": 1e-6}
    problem = Problem.from_torch(model, images, labels, **options | settings)
    return problem, run_check(problem, CheckOptions())


def own_objective(model):
    images, labels = digits()
    with torch.no_grad():
        penalty = DECAY / 2 * sum((p**2).sum() for p in model[-1].parameters())
        return float(nn.functional.cross_entropy(model(images), labels) + penalty)


def test_a_linear_head_solved_by_another_solver_is_certified():
    model = trained_head(cnn())
    problem, outcome = checked(model)
    result = outcome.result
    assert (result.verdict, result.model.family, result.scope) == ("certified", "single-layer", "head")
    assert result.head.layers == ("7",)
    assert result.objective == pytest.approx(own_objective(model), rel=1e-12)
    assert result.relative_gap <= 1e-6
    for verify in (verify_bytes, verify_bytes_exactly):
        assert verify(outcome.certificate).certified
    assert problem.source.parameters == 130


def test_an_untrained_linear_head_is_improved_to_the_optimum_of_the_other_solver(tmp_path):
    model = cnn()
    problem, outcome = checked(model)
    assert outcome.result.verdict == "improvable"
    problem.write(tmp_path / "better.pt", outcome.best)
    best = own_objective(trained_head(cnn()))
    model.load_state_dict(torch.load(tmp_path / "better.pt"))
    assert own_objective(model) == pytest.approx(best, rel=1e-6)
    assert outcome.result.lower_bound <= best


@pytest.mark.parametrize("bias", ["penalized", "free", "absent"])
def test_ridge_regression_has_the_optimum_of_its_normal_equations(bias):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(30, 4, generator=generator, dtype=torch.float64)
    y = torch.randn(30, 2, generator=generator, dtype=torch.float64)
    features = x if bias == "absent" else torch.cat([x, torch.ones(30, 1)], 1)
    ridge = torch.full((features.shape[1],), 0.3, dtype=torch.float64)
    ridge[4:] = 0.0 if bias == "free" else 0.3
    best = torch.linalg.solve(features.T @ features + torch.diag(ridge), features.T @ y)
    optimum = float(((features @ best - y) ** 2).sum() / 2 + (ridge[:, None] * best**2).sum() / 2)
    model = nn.Linear(4, 2, bias=bias != "absent").double()
    with torch.no_grad():
        model.weight.copy_(best[:4].T)
        if bias != "absent":
            model.bias.copy_(best[4])
    settings = {"reduction": "sum", "scale": 0.5, "weight_decay": 0.3, "biases": {"output": bias}, "relative_gap": 1e-9}
    result = run_check(Problem.from_torch(model, x, y, **settings), CheckOptions()).result
    assert result.verdict == "certified", result.message
    assert result.objective == pytest.approx(optimum, rel=1e-12)
    assert result.lower_bound == pytest.approx(optimum, rel=1e-9)
    assert result.message.startswith("no weights of this linear layer have an objective below")


def test_logistic_regression_of_scikit_learn_is_certified():
    images, labels = digits()
    x, even = images.flatten(1), (labels % 2 == 0).double()
    strength = 2.0
    found = LogisticRegression(C=1 / strength, tol=1e-10, max_iter=5000).fit(x.numpy(), even.numpy())
    model = nn.Linear(64, 1).double()
    with torch.no_grad():
        model.weight.copy_(torch.from_numpy(found.coef_))
        model.bias.copy_(torch.from_numpy(found.intercept_))
    settings = {"loss": "binary-cross-entropy", "reduction": "sum", "weight_decay": strength}
    problem = Problem.from_torch(model, x, even, biases={"output": "free"}, relative_gap=1e-6, **settings)
    result = run_check(problem, CheckOptions()).result
    assert result.verdict == "certified", result.message
    assert np.isfinite(result.lower_bound)


def test_a_single_layer_needs_weight_decay():
    images, labels = digits()
    product = {"product_of_norms": {"strength": 0.1, "norms": [2, 2], "powers": [1, 1]}}
    with pytest.raises(UsageError, match="penalized by weight_decay"):
        Problem.from_torch(nn.Linear(64, 10), images.flatten(1), labels, loss="cross-entropy", penalty=product)
