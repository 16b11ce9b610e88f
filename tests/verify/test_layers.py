"""The vocabulary of layers means what torch computes: outputs, objective, polar, and the rows and readout between."""

import json

import numpy as np
import pytest
import torch
from flint import ctx

from certify.verify import Rejection, measure, verify_bytes
from certify.verify.enclosure import Enclosure
from certify.verify.exact.balls import Balls
from certify.verify.exact.verification import EXACT
from certify.verify.forms.form import form_of
from certify.verify.statement.fields import integers
from certify.verify.statement.layers import read_neuron
from certify.verify.statement.problem import read_problem

from .building import Branch, build
from .networks import random_stack
from .torch_networks import outputs

SEEDS = range(60)


def stack(seed):
    generator = np.random.default_rng([7, seed])
    inputs, layers, positions = random_stack(generator)
    ops = {layer if isinstance(layer, str) else layer[0] for layer in layers}
    kinked = ops & {"relu", "abs", "leaky_relu"}
    kind = "quadratic-form" if "square" in ops else "norm-products" if kinked else "spectral"
    bias = ["absent", "penalized"][generator.integers(2)]
    branch = Branch(layers, kind, bias=bias, width=2, product=bool(generator.integers(2)))
    return branch, inputs, build(branch, inputs=inputs, outputs=positions * 2, samples=5, seed=seed)


def torch_weights(arrays):
    return [torch.as_tensor(arrays[name]) if name in arrays else None for name in ("F0.0", "F0.bias", "F0.1")]


@pytest.mark.parametrize("seed", SEEDS)
def test_objectives_are_those_of_torch(seed):
    branch, inputs, built = stack(seed)
    header, arrays = built.made
    first, bias, second = torch_weights(arrays)
    z = outputs(branch, inputs, arrays["X"], first, bias, second)
    value = float(((z - torch.as_tensor(arrays["Y"])) ** 2).mean())
    penalized = first if bias is None else torch.cat([first, bias[:, None]], 1)
    penalty = branch.stated()["penalty"]
    if penalty["name"] == "weight-decay":
        value += 0.025 * float((penalized**2).sum() + (second**2).sum())
    else:
        value += 0.05 * float((penalized.norm(dim=1) ** penalty["powers"][0] * second.norm(dim=1)).sum())
    floats = measure(header, arrays).objective
    with ctx.workprec(200):
        low, high = measure(header, arrays, EXACT).objective
    assert floats[0] <= low <= high <= floats[1]
    assert low == pytest.approx(value, rel=1e-12)
    assert floats[1] - floats[0] < 1e-10 * abs(value)
    assert verify_bytes(built.data).status == "valid"


@pytest.mark.parametrize("seed", SEEDS)
def test_rows_and_scores_are_those_of_torch(seed):
    """|Sᵀ σ(H u)| is the gradient of <A, φ(u, v)> in v, and its square root of terms never the other way around."""
    branch, inputs, built = stack(seed)
    header, arrays = built.made
    stated = read_problem(header["statement"]).branches[0]
    generator = np.random.default_rng(seed)
    first = torch.as_tensor(generator.standard_normal(arrays["F0.0"].shape[1:]))[None]
    bias = torch.as_tensor(generator.standard_normal(1)) if branch.bias == "penalized" else None
    second = torch.zeros((1, arrays["F0.1"].shape[1]), dtype=torch.float64, requires_grad=True)
    z = outputs(branch, inputs, arrays["X"], first, bias, second)
    (gradient,) = torch.autograd.grad((torch.as_tensor(arrays["A"]) * z).sum(), second)
    u = (first if bias is None else torch.cat([first, bias[None]], 1)).numpy()[0]
    with ctx.workprec(200):
        for real in (Enclosure, Balls.of):
            form = form_of(stated, arrays["X"], real(arrays["A"]), real)
            found = form.scores.T @ form.activation(form.rows @ u[:, None])
            assert found.near[:, 0] == pytest.approx(gradient.numpy()[0], rel=1e-11, abs=1e-12)
            assert float((found.high - found.low).max()) < 1e-9


@pytest.mark.parametrize("seed", range(12))
def test_padding_is_the_zero_of_every_row_and_positions_stand_in_order(seed):
    """Rows against torch's unfold, which knows nothing of weights."""
    generator = np.random.default_rng(seed)
    kernel, stride = generator.integers(1, 4, 2).tolist(), generator.integers(1, 3, 2).tolist()
    padding, dilation = generator.integers(0, 3, 2).tolist(), generator.integers(1, 3, 2).tolist()
    layer = {"op": "convolution", "kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    neuron = read_neuron([layer, {"op": "linear"}], (2, 6, 7), "here")
    x = generator.standard_normal((3, 84))
    unfolded = torch.nn.functional.unfold(
        torch.as_tensor(x).reshape(3, 2, 6, 7), kernel, dilation=dilation, padding=padding, stride=stride
    )
    expected = unfolded.permute(0, 2, 1).reshape(-1, unfolded.shape[1]).numpy()
    assert (neuron.rows(x) == expected).all()


def test_without_pooling_scores_are_the_dual_point_itself():
    """No rounding enters where nothing is averaged: zeros and values are exact."""
    layer = {"op": "convolution", "kernel": [2], "stride": [1], "padding": [0], "dilation": [1]}
    neuron = read_neuron([layer, {"op": "relu"}, {"op": "linear"}], (1, 4), "here")
    dual = np.array([[0.1, 0.2]])
    scores = neuron.readout.scores(Enclosure(dual), np.zeros((1, 4)))
    assert not scores.rad.any()
    # Position p reads entry p of the second weight: (p, (j, k)) is A_j where k = p.
    assert (scores.mid == np.einsum("j,pk->pjk", dual[0], np.eye(3)).reshape(3, 6)).all()


CONVOLUTION = {"op": "convolution", "kernel": [2, 2], "stride": [1, 1], "padding": [0, 0], "dilation": [1, 1]}
POOL = {"op": "average_pool", "kernel": [2, 2], "stride": [2, 2], "padding": [0, 0], "counts_padding": True}
LINEAR, RELU = {"op": "linear"}, {"op": "relu"}


@pytest.mark.parametrize(
    ("rule", "layers"),
    [
        ("layers", []),
        ("layers", [LINEAR]),
        ("layers", [LINEAR, RELU]),
        ("layers", [RELU, LINEAR, LINEAR]),
        ("layers", [LINEAR, RELU, RELU, LINEAR]),
        ("layers", [LINEAR, LINEAR, RELU]),
        ("layers", [LINEAR, {"op": "square"}, LINEAR, LINEAR]),
        ("layers", [LINEAR, RELU, LINEAR, {"op": "square"}, LINEAR]),
        ("layers", [LINEAR, LINEAR, {"op": "times_inputs"}, LINEAR]),
        ("layers", [LINEAR, RELU, POOL, LINEAR, RELU, LINEAR]),
        ("layers", [LINEAR, {"op": "sigmoid"}, LINEAR]),
        ("layers", ["linear", LINEAR]),
        ("layers", [{"kind": "linear"}, LINEAR]),
        ("schema", [LINEAR | {"bias": True}, LINEAR]),
        ("schema", [LINEAR, {"op": "leaky_relu"}, LINEAR]),
        ("schema", [LINEAR, {"op": "leaky_relu", "slope": 0.5}, LINEAR]),
        ("schema", [LINEAR, {"op": "leaky_relu", "slope": "0.5"}, LINEAR]),
        ("layers", [LINEAR, POOL, LINEAR]),
        ("layers", [LINEAR, RELU, {"op": "times_inputs"}, LINEAR]),
        ("layers", [LINEAR, {"op": "leaky_relu", "slope": (1.0).hex()}, {"op": "times_inputs"}, LINEAR]),
        ("layers", [LINEAR, {"op": "times_inputs"}, {"op": "times_inputs"}, LINEAR]),
        ("layers", [CONVOLUTION, {"op": "times_inputs"}, LINEAR]),
        ("layers", [{"op": "select", "columns": [0]}, CONVOLUTION, LINEAR]),
        ("layers", [{"op": "select", "columns": [32]}, LINEAR, LINEAR]),
        ("schema", [{"op": "select", "columns": [-1]}, LINEAR, LINEAR]),
        ("schema", [{"op": "select", "columns": []}, LINEAR, LINEAR]),
        ("schema", [{"op": "select", "columns": [True]}, LINEAR, LINEAR]),
        ("layers", [CONVOLUTION | {"kernel": [5, 2]}, LINEAR]),
        ("layers", [CONVOLUTION | {"dilation": [4, 1]}, LINEAR]),
        ("layers", [CONVOLUTION | {"kernel": [2]}, LINEAR]),
        ("layers", [CONVOLUTION | {"stride": [1]}, LINEAR]),
        ("schema", [CONVOLUTION | {"stride": [0, 1]}, LINEAR]),
        ("schema", [CONVOLUTION | {"kernel": [0, 1]}, LINEAR]),
        ("schema", [CONVOLUTION | {"padding": [-1, 0]}, LINEAR]),
        ("schema", [CONVOLUTION | {"kernel": 2}, LINEAR]),
        ("layers", [CONVOLUTION, POOL | {"padding": [2, 0]}, LINEAR]),
        ("layers", [CONVOLUTION, POOL | {"kernel": [4, 2]}, LINEAR]),
        ("schema", [CONVOLUTION, POOL | {"counts_padding": 1}, LINEAR]),
        ("layers", [CONVOLUTION, LINEAR, POOL]),
        ("layers", [CONVOLUTION, CONVOLUTION | {"kernel": [9, 9]}, LINEAR]),
        ("layers", [CONVOLUTION, LINEAR, CONVOLUTION, LINEAR]),
        ("size-limit", [CONVOLUTION | {"padding": [2**15, 2**15]}, LINEAR]),
        ("size-limit", [CONVOLUTION | {"padding": [2**30, 2**30], "stride": [2**10, 2**10]}, LINEAR]),
        ("size-limit", [CONVOLUTION | {"padding": [50, 50]}, LINEAR]),
    ],
)
def test_other_layers_and_orders_are_refused(rule, layers):
    with pytest.raises(Rejection) as found:
        read_neuron(json.loads(json.dumps(layers)), (2, 4, 4), "here")
    assert found.value.rule == rule
    assert found.value.refused


def test_sizes_of_pools_that_have_no_common_measure_are_refused():
    pool = {"op": "average_pool", "kernel": [64], "stride": [1], "padding": [32], "counts_padding": False}
    first = CONVOLUTION | {"kernel": [1], "stride": [1], "padding": [0], "dilation": [1]}
    with pytest.raises(Rejection, match="units of"):
        read_neuron([first, pool, LINEAR], (1, 64), "here")


def test_integers_beyond_31_bits_are_refused():
    with pytest.raises(Rejection):
        integers([2**31], "here")
