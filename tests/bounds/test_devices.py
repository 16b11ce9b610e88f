"""Bounds on rows keep to the device of the inputs, as far as a processor alone can tell."""

import numpy as np
import pytest
import torch

from certify.bounds.methods import METHODS, SEARCHES
from certify.bounds.rows.relaxations.doubly_nonnegative.product_method import products
from certify.bounds.rows.relaxations.doubly_nonnegative.product_search import FEW_ROWS
from certify.bounds.stated_proof import stated
from certify.problem import ConvexPart, LossSpec, Objective, Rows

from .objectives import KINDS, branch_of, instance, task_at, task_of
from .one_device import MixedDevicesError, OneDevice, on_host

METHODS_OF_ROWS = {method.proves: method for method in METHODS[Rows]}.values()


def eye_moved(values):
    return torch.eye(len(values)).to(values) + values


@pytest.mark.parametrize(
    "call",
    [
        lambda values: torch.eye(len(values)) + values,
        lambda values: torch.cat([values, torch.zeros(1, len(values), dtype=torch.float64)]),
        lambda values: values @ torch.from_numpy(np.ones((2, 2))),
        lambda values: torch.where(values > 0, torch.arange(2), values),
        lambda values: values + torch.tensor([1.0, 2.0]),
        lambda values: values.numpy(),
        lambda values: np.asarray(values),
        lambda values: (2 * torch.ones(2, 2)).double() - values[:, :1],
    ],
)
def test_what_an_accelerator_would_refuse_is_refused(call):
    values = torch.ones(2, 2, dtype=torch.float64)
    with pytest.raises(MixedDevicesError), OneDevice():
        call(values)


@pytest.mark.parametrize(
    "call",
    [
        eye_moved,
        lambda values: torch.tensor(2.0) * values,
        lambda values: values[torch.arange(2)],
        lambda values: torch.arange(2, device=values.device) + values,
        lambda values: values.new_zeros(2) + torch.zeros_like(values),
        lambda values: torch.from_numpy(values.cpu().numpy()).to(values) + values,
        lambda values: torch.from_numpy(np.ones(2)).to(values.device) + values,
    ],
)
def test_what_an_accelerator_would_do_is_done(call):
    values = torch.ones(2, 2, dtype=torch.float64)
    with OneDevice():
        assert not on_host(call(values))


@pytest.mark.parametrize("free", [0, 1])
@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("kind", ["relu", "leaky -0.3"])
@pytest.mark.parametrize("method", METHODS_OF_ROWS, ids=lambda method: method.name)
def test_methods_of_rows_keep_to_the_device(method, kind, outputs, free):
    if outputs > method.most_sizes[1]:
        pytest.skip("one output only")
    rows, dual = instance(1, free, outputs=outputs)
    rows = rows[:, -method.most_sizes[0] :] if method.most_sizes[0] < 3 else rows
    task = task_of(branch_of(KINDS[kind], rows, free), dual, seconds=0.5)
    if not method.serves(task):
        pytest.skip("not for these rows")
    with OneDevice():
        for point, bound in method.run(task):
            assert stated(task.branch, point, bound, 2.0**-30).upper >= bound.upper


@pytest.mark.parametrize("outputs", [1, 2])
def test_searches_keep_to_the_device(outputs):
    rows, dual = instance(1, outputs=outputs)
    with OneDevice():
        assert SEARCHES[Rows](task_of(branch_of(KINDS["relu"], rows), dual, seconds=0.5)).value > 0


@pytest.mark.parametrize("outputs", [1, 2])
def test_single_precision_and_convex_parts_keep_to_the_device(outputs):
    """More rows than double precision starts with, and few enough products for some rounds of them."""
    rows, targets = (torch.randn(FEW_ROWS + 12, k, dtype=torch.float64) for k in (3, outputs))
    convex = ConvexPart(torch.ones_like(rows[:, :1]), rows.new_ones(1))
    objective = Objective((branch_of(KINDS["relu"], rows),), convex, LossSpec("mse").bind(targets, outputs))
    with OneDevice():
        assert products(task_at(objective, objective.loss.gradient(torch.zeros_like(targets)), 2.0))
