"""`penalty.factor_norms` in problem files, and the weights that it refuses."""

import pytest
import torch

import certify
from certify.errors import CertifyError
from certify.problem import FactorNorms, SideNorm

LAYERS = [{"linear": "0"}, {"linear": "1"}]


def problem(first=((1.0, 2), (0.5, 0)), second=((1.0, -1), (2, 0.25)), layers=LAYERS, **factors):
    model = torch.nn.Sequential(*(torch.nn.Linear(2, 2, bias=False).double() for _ in range(2)))
    with torch.no_grad():
        for layer, weights in zip(model, (first, second), strict=True):
            layer.weight.copy_(torch.tensor(weights))
    x = torch.eye(2).double()
    penalty = {"factor_norms": {"strength": 0.5, **factors}}
    return certify.Problem.from_torch(model, x, x, penalty=penalty, layers=layers)


def penalty_of(found):
    return found.objective.branches[0].penalty


def test_norms_have_names_weights_and_cones():
    found = penalty_of(problem(left={"l1": 0.5, "l2": 2.0}, right="linf", nonnegative=["left"]))
    assert found == FactorNorms(0.5, (SideNorm(l1=0.5, l2=2.0, nonnegative=True), SideNorm(linf=1.0)))
    assert penalty_of(problem()) == FactorNorms(0.5, (SideNorm(l2=1.0), SideNorm(l2=1.0)))


def test_the_penalty_is_the_product_of_norms():
    """u = (1, 2) and (1/2, 0); v = (1, 2) and (−1, 1/4), the columns of the second weight."""
    found = problem(left={"l1": 0.5, "l2": 2.0}, right="linf")
    expected = 0.5 * ((0.5 * 3 + 2 * 5**0.5) * 2 + (0.25 + 1.0) * 1)
    assert found.objective.evaluate(found.network).penalty == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    "factors",
    [
        {"left": "l3"},
        {"left": {"l1": 1.0}},
        {"left": {"l1": 1.0, "l2": 0.0}},
        {"left": {"l1": 1.0, "linf": 1.0}},
        {"nonnegative": ["both"]},
        {"strength": 0.0},
        {"middle": "l2"},
    ],
    ids=str,
)
def test_what_is_no_norm_is_refused(factors):
    with pytest.raises(CertifyError) as error:
        problem(**factors)
    assert error.value.code == "problem-file"


@pytest.mark.parametrize(("side", "shown"), [("left", "'0.weight'"), ("right", "'1.weight'")])
def test_weights_outside_their_cone_are_refused(side, shown):
    with pytest.raises(CertifyError, match=shown) as error:
        problem(first=((1.0, -2), (0.5, 0)), nonnegative=[side])
    assert error.value.code == "outside-cone"


def test_a_free_hidden_bias_under_nonnegative_second_weights_is_refused():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2, bias=False)).double()
    for parameter in model.parameters():
        parameter.data.abs_()
    x = torch.eye(2).double()
    penalty = {"factor_norms": {"strength": 0.5, "nonnegative": ["right"]}}
    with pytest.raises(CertifyError, match="constant") as error:
        certify.Problem.from_torch(model, x, x, penalty=penalty, layers=LAYERS, biases={"hidden": "free"})
    assert error.value.code == "unsupported-penalty"


def test_other_subnetworks_have_no_such_penalty():
    layers = [LAYERS[0], "relu", LAYERS[1]]
    with pytest.raises(CertifyError, match="factor_norms") as error:
        problem(layers=layers)
    assert error.value.code == "unsupported-penalty"
