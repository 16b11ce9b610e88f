"""No accepted bound on a polar lies below what a search finds: every kind of proof, activation, bias and layer.

The search knows neither rows nor scores: it ascends |∂<A, φ(u, v)>/∂v| over |u| ≤ 1 by torch's gradients.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from certify.verify import measure
from certify.verify.exact.verification import EXACT

from .building import FAMILIES, Branch, build
from .torch_networks import outputs

STARTS, STEPS = 24, 40
LEAKY, STEEP = ("leaky_relu", {"slope": 0.3}), ("leaky_relu", {"slope": -1.75})


def searched(branch, inputs, arrays):
    """The largest |∂<A, φ>/∂v| that ascent finds, u and a penalized bias in the norm, a free one outside."""
    x, dual = torch.as_tensor(arrays["X"]), torch.as_tensor(arrays["A"])
    ratio = math.sqrt((branch.bias_decay or branch.strengths[0]) / branch.strengths[0])
    entries, m = arrays["F0.0"].shape[1], arrays["F0.1"].shape[1]
    generator = torch.Generator().manual_seed(0)
    largest = 0.0
    for _ in range(STARTS):
        point = torch.randn(entries + 1, dtype=torch.float64, generator=generator)
        for _ in range(STEPS):
            u = point.detach().requires_grad_()
            second = torch.zeros((1, m), dtype=torch.float64, requires_grad=True)
            first, shift = on_sphere(u, branch, ratio)
            inner = (dual * outputs(branch, inputs, x, first[None], shift, second)).sum()
            (moved,) = torch.autograd.grad(inner, second, create_graph=True)
            value = moved.norm()
            largest = max(largest, float(value.detach()))
            (slope,) = torch.autograd.grad(value, u)
            point = u.detach() + slope * u.detach().norm() / slope.norm().clamp_min(1e-300)
            point = point / point.norm() if branch.bias != "free" else point
    return largest


def on_sphere(u, branch, ratio):
    if branch.bias == "penalized":
        whole = u / u.norm()
        return whole[:-1], whole[-1:] / ratio
    first = u[:-1] / u[:-1].norm()
    return first, u[-1:] if branch.bias == "free" else None


def least_accepted(built, arithmetic=None):
    """The least U that the checker accepts, by bisection."""
    content = built.content
    header, arrays = content.header(), content.arrays
    high, low = content.proofs[0]["upper"], 0.0
    for _ in range(40):
        middle = (low + high) / 2
        header["proofs"][0]["upper"] = middle.hex()
        shown = measure(header, arrays, *([arithmetic] if arithmetic else [])).polars[0].shown
        low, high = (low, middle) if shown <= middle else (middle, high)
    return high


CASES = [
    (layers, kind, bias, outputs)
    for layers, kinds in FAMILIES.values()
    for kind in kinds
    if kind not in ("zero", "randomized")
    for bias in ("absent", "penalized", "free")
    for outputs in (1, 2)
    if not (bias == "free" and "square" in layers)
]
CASES += [
    (layers, "signs", bias, 1)
    for layers, kinds in FAMILIES.values()
    if "cone-tree" in kinds
    for bias in ("absent", "penalized", "free")
]


@pytest.mark.parametrize(("layers", "kind", "bias", "outputs"), CASES)
def test_no_accepted_bound_is_below_the_search(layers, kind, bias, outputs):
    branch = Branch(layers, kind, bias=bias)
    built = build(branch, outputs=outputs, samples=8, seed=outputs)
    found, least = searched(branch, (3,), built.content.arrays), least_accepted(built)
    assert least >= found * (1 - 1e-12)
    if kind in ("spectral", "quadratic-form") and outputs == 1:
        assert least == pytest.approx(found, rel=0.02)


@pytest.mark.parametrize("activation", ["relu", "abs", LEAKY, STEEP])
@pytest.mark.parametrize("outputs", [1, 2])
def test_sorting_is_the_polar_of_one_input(activation, outputs):
    branch = Branch(("linear", activation, "linear"), "sorting", bias="free")
    built = build(branch, inputs=(1,), outputs=outputs, samples=9)
    found, least = searched(branch, (1,), built.content.arrays), least_accepted(built)
    assert least >= found * (1 - 1e-12)
    assert least == pytest.approx(built.content.proofs[0]["upper"], rel=1e-8)


CONVOLUTION = ("convolution", {"kernel": [2, 2], "stride": [1, 1], "padding": [1, 0], "dilation": [1, 1]})
POOL = ("average_pool", {"kernel": [2, 2], "stride": [1, 1], "padding": [1, 1], "counts_padding": False})
SECOND = ("convolution", {"kernel": [2, 1], "stride": [1, 1], "padding": [0, 0], "dilation": [1, 1]})
ONE_AXIS = ("convolution", {"kernel": [2], "stride": [1], "padding": [0], "dilation": [1]})
THREE = ("average_pool", {"kernel": [3], "stride": [1], "padding": [1], "counts_padding": True})
STACKS = {
    "flattened": ((1, 3, 3), (CONVOLUTION, "relu", "linear"), 2),
    "pooled": ((1, 3, 3), (CONVOLUTION, LEAKY, POOL, "linear"), 2),
    "averaged over the outputs": ((1, 3, 3), (CONVOLUTION, "abs", SECOND, POOL), 12),
    "steep": ((1, 3, 3), (CONVOLUTION, STEEP, POOL, SECOND), 12),
    "by threes": ((1, 4), (ONE_AXIS, "relu", THREE, "linear"), 2),
    "selected": ((2, 2), (("select", {"columns": [1, 2]}), "linear", LEAKY, "linear"), 2),
}


@pytest.mark.parametrize("bias", ["absent", "penalized"])
@pytest.mark.parametrize("kind", ["norm-products", "cone-tree", "majorant"])
@pytest.mark.parametrize("stack", STACKS)
def test_no_accepted_bound_of_positions_is_below_the_search(stack, kind, bias):
    inputs, layers, outputs = STACKS[stack]
    branch = Branch(layers, kind, bias=bias, bias_decay=0.2 if bias == "penalized" else None)
    built = build(branch, inputs=inputs, outputs=outputs, samples=3)
    assert least_accepted(built) >= searched(branch, inputs, built.content.arrays) * (1 - 1e-12)


@pytest.mark.parametrize("bias", ["absent", "penalized"])
@pytest.mark.parametrize(
    "layers", [("linear", "times_inputs", "linear"), (CONVOLUTION, POOL, SECOND), (CONVOLUTION, "linear")]
)
def test_the_spectral_norm_is_the_polar_without_an_activation(layers, bias):
    inputs = (1, 3, 3)
    outputs = 12 if SECOND in layers else 2
    branch = Branch(layers, "spectral", bias=bias, bias_decay=0.01 if bias == "penalized" else None)
    built = build(branch, inputs=inputs, outputs=outputs, samples=5)
    found, least = searched(branch, inputs, built.content.arrays), least_accepted(built)
    assert found * (1 - 1e-12) <= least <= found * 1.05


@pytest.mark.parametrize(
    "layers", [(CONVOLUTION, "square", POOL, "linear"), (("select", {"columns": [0, 4]}), "linear", "square", "linear")]
)
def test_squares_at_positions_are_bounded(layers):
    branch = Branch(layers, "quadratic-form", bias="penalized")
    built = build(branch, inputs=(1, 3, 3), outputs=1, samples=5)
    found, least = searched(branch, (1, 3, 3), built.content.arrays), least_accepted(built)
    assert least >= found * (1 - 1e-12)


@pytest.mark.parametrize("activation", [LEAKY, STEEP, "abs"])
@pytest.mark.parametrize("bias", ["absent", "free"])
def test_the_least_bounds_of_balls_are_not_above_those_of_floats(activation, bias):
    for kind in ("norm-products", "cone-tree", "majorant"):
        for count in (1, 2):
            branch = Branch(("linear", activation, "linear"), kind, bias=bias)
            built = build(branch, inputs=(2,), samples=5, outputs=count)
            floats = least_accepted(built)
            tighter = replace(built.content, proofs=[built.content.proofs[0] | {"upper": floats}])
            shown = measure(tighter.header(), tighter.arrays, EXACT).polars[0].shown
            assert shown <= floats
            assert least_accepted(built, EXACT) >= floats * (1 - 1e-6)


def test_a_steeper_slope_on_the_other_side_is_a_steeper_polar():
    """σ(t) = −1.75 t below 0: one sample at x = −1 with A = 1 has the polar 1.75."""
    arrays = {"X": np.array([[-1.0]]), "A": np.array([[1.0]])}
    for kind in ("norm-products", "cone-tree", "majorant"):
        built = build(Branch(("linear", STEEP, "linear"), kind), inputs=(1,), outputs=1, samples=1, arrays=arrays)
        least = least_accepted(built)
        assert least >= 1.75
        if kind != "majorant":
            assert least == pytest.approx(1.75, rel=1e-9)
