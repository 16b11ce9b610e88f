"""Gates in certificates: against torch and numpy, samples on the border, and forgeries."""

import copy
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from flint import ctx

from certify.verify import measure, verify_bytes
from certify.verify.enclosure import Enclosure
from certify.verify.exact import verify_bytes_exactly
from certify.verify.exact.balls import Balls
from certify.verify.exact.verification import EXACT
from certify.verify.statement import gate as gates
from certify.verify.statement.gate import Gate

from .building import Branch, build
from .forging import array, entry
from .handmade import LINEAR, bytes_of, handmade
from .packing import packed
from .torch_networks import outputs

LAYER = "statement.branches.0.layers"
both = pytest.mark.parametrize("verify", [verify_bytes, verify_bytes_exactly])


def gate(weights, bias=0.0):
    return {"op": "gate", "weights": weights, "bias": bias}


def gated(weight=-1.0, bias=0.0, **settings):
    """x = ±1 with A = (−1.5, 0.5): the polar is 0.5 behind the gate −x > 0, 1.5 behind x > 0, and 2 without one."""
    layers = [gate([weight], bias), LINEAR, LINEAR]
    uneven = {"A": np.array([[-1.5], [0.5]])}
    return handmade(**({"layers": layers, "arrays": uneven, "upper": 0.625} | settings))


def active(second):
    """u = 1, v = ±1 behind x > 0, so that Z = (±1, 0): loss 1/2 or 5/2, and penalty 3."""
    weights = {"F0.0": np.ones((1, 1)), "F0.1": np.full((1, 1), second)}
    header, arrays = gated(1.0, arrays=weights, upper=2.5)
    header["claim"]["upper"] = (4.5 - second + 2.0**-40).hex()
    return header, arrays


def right():
    return active(1.0)


def wrong():
    """Without a gate both samples are wrong, and the loss is 4."""
    return active(-1.0)


def drawn(seed, bias="absent", sigma=()):
    """A certificate with three gates on random data, each with two units."""
    generator = np.random.default_rng(seed)
    pairs = [(generator.standard_normal(3).tolist(), generator.standard_normal()) for _ in range(3)]
    steps = [{"weights": weights, "bias": bias} for weights, bias in pairs]
    kind = "norm-products" if sigma else "spectral"
    branches = [Branch((("gate", step), "linear", *sigma, "linear"), kind, bias, width=2) for step in steps]
    return branches, steps, build(*branches, seed=seed)


@pytest.mark.parametrize("bias", ["absent", "penalized"])
@pytest.mark.parametrize("sigma", [(), ("relu",), ("abs",)])
@pytest.mark.parametrize("seed", range(4))
def test_objectives_are_those_of_torch(seed, bias, sigma):
    branches, steps, built = drawn(seed, bias, sigma)
    header, arrays = built.made
    z, penalty = 0.0, 0.0
    for place, (branch, step) in enumerate(zip(branches, steps, strict=True)):
        first, shift, second = [
            torch.as_tensor(arrays[f"F{place}.{role}"]) if f"F{place}.{role}" in arrays else None
            for role in ("0", "bias", "1")
        ]
        plain = replace(branch, layers=branch.layers[1:])
        opened = arrays["X"] @ np.array(step["weights"]) + step["bias"] > 0
        z = z + torch.as_tensor(opened[:, None]) * outputs(plain, (3,), arrays["X"], first, shift, second)
        penalty += 0.025 * sum(float((t**2).sum()) for t in (first, shift, second) if t is not None)
    value = float(((z - torch.as_tensor(arrays["Y"])) ** 2).mean()) + penalty
    with ctx.workprec(200):
        for low, high in (measure(header, arrays).objective, measure(header, arrays, EXACT).objective):
            assert low <= high
            assert low == pytest.approx(value, rel=1e-12)
            assert high == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("bias", ["absent", "penalized"])
@pytest.mark.parametrize("seed", range(4))
def test_a_polar_below_the_singular_value_of_the_rows_that_pass_is_rejected(seed, bias):
    branches, steps, built = drawn(seed, bias)
    header, arrays = built.made
    assert verify_bytes(built.data).status == "valid"
    for place, step in enumerate(steps):
        opened = arrays["X"] @ np.array(step["weights"]) + step["bias"] > 0
        rows = arrays["X"] if bias == "absent" else np.pad(arrays["X"], ((0, 0), (0, 1)), constant_values=1.0)
        polar = np.linalg.norm((rows * opened[:, None]).T @ arrays["A"], 2)
        changed = copy.deepcopy(header)
        changed["proofs"][place]["upper"] = float(polar * (1 + 1e-9) + 1e-12).hex()
        assert measure(changed, arrays).polars[place].shown < np.inf
        changed["proofs"][place]["upper"] = float(polar * (1 - 1e-9) - 1e-12).hex()
        assert verify_bytes(packed(changed, arrays)).rule == "polar"


def test_a_bias_is_behind_the_gate():
    """Only x = −1 passes: with a constant 1 beside it the polar at A = (−1.5, 0.5) is √2/2, not √(0.5² + 1²)."""
    for upper, rule in ((0.7072, ""), (0.7071, "polar")):
        assert verify_bytes(bytes_of(gated(hidden_bias="penalized", upper=upper))).rule == rule


FORGERIES = {
    "another gate opens more": ("polar", *entry(gated, f"{LAYER}.0.bias", 2.0)),
    "its sign is flipped": ("polar", *entry(gated, f"{LAYER}.0.weights", [1.0])),
    "it is dropped": ("polar", *entry(gated, LAYER, [LINEAR, LINEAR])),
    "it is dropped for the network": ("objective", *entry(wrong, LAYER, [LINEAR, LINEAR])),
    "it closes for the network": ("objective", *entry(right, f"{LAYER}.0.bias", -1.0)),
    "other inputs pass": ("polar", *array(gated, X=np.array([[-1.0], [-1.0]]))),
    "its weights are not those of a sample": ("layers", *entry(gated, f"{LAYER}.0.weights", [1.0, 0.0])),
    "it has no weights": ("schema", *entry(gated, f"{LAYER}.0.weights", 0)),
    "a weight is no number": ("schema", *entry(gated, f"{LAYER}.0.weights", ["nan"])),
    "its bias is missing": ("schema", *entry(gated, f"{LAYER}.0", {"op": "gate", "weights": [1.0]})),
    "it stands twice": ("layers", *entry(gated, LAYER, [gate([1.0]), gate([1.0]), LINEAR, LINEAR])),
    "it stands after the first weight": ("layers", *entry(gated, LAYER, [LINEAR, gate([1.0]), LINEAR])),
    "it stands before a convolution": (
        "layers",
        *entry(
            lambda: gated(inputs=[1, 1]),
            LAYER,
            [gate([1.0]), {"op": "convolution", "kernel": [1], "stride": [1], "padding": [0], "dilation": [1]}, LINEAR],
        ),
    ),
}


@both
@pytest.mark.parametrize("name", FORGERIES)
def test_a_certificate_is_not_valid_when(name, verify):
    rule, base, forge = FORGERIES[name]
    honest = verify(bytes_of(base()))
    assert honest.status == "valid", honest.message
    assert verify(forge(base())).rule == rule


@both
def test_a_free_bias_behind_a_gate_is_not_bounded(verify):
    balanced = {"A": np.array([[-0.5], [0.5]])}
    assert verify(bytes_of(gated(hidden_bias="penalized", arrays=balanced, upper=0.75))).status == "valid"
    header, arrays = gated(hidden_bias="free", arrays=balanced, upper=0.75)
    assert verify(packed(header, arrays)).rule == "unbounded-polar"


@both
@pytest.mark.parametrize(("bias", "upper"), [(-1.0, 0.0), (np.nextafter(-1.0, 0), 1.5)])
def test_a_sample_on_the_border_does_not_pass_and_the_next_one_does(bias, upper, verify):
    assert verify(bytes_of(gated(1.0, float(bias), upper=upper + 1e-6))).status == "valid"
    if upper:
        assert verify(bytes_of(gated(1.0, float(bias), upper=upper - 1e-6))).rule == "polar"


@pytest.mark.parametrize("real", [Enclosure, Balls.of])
def test_signs_are_those_of_rational_numbers(real):
    """Sums that cancel but for a last bit, or entirely."""
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((200, 4)).round(1)
    inputs[::2, 3] = -(inputs[::2, :3] @ np.array([0.1, 0.2, 0.3]))
    weights = np.array([0.1, 0.2, 0.3, 1.0])
    for bias in (0.0, 2.0**-60, -(2.0**-54)):
        exact = [sum(map(Fraction.__mul__, map(Fraction, x), map(Fraction, weights))) + Fraction(bias) for x in inputs]
        assert Gate(weights, bias).opened(inputs, real).tolist() == [value > 0 for value in exact]


def test_too_many_samples_on_the_border_are_rejected(monkeypatch):
    data = bytes_of(gated(1.0, -1.0))
    assert verify_bytes(data).status == "valid"
    monkeypatch.setattr(gates, "EXACT_PRODUCTS", 0)
    assert verify_bytes(data).rule == "gate-sign"


def test_gates_are_told_apart_in_words():
    one, other = (verify_bytes(bytes_of(gated(weight))).problem for weight in (-1.0, -2.0))
    assert "gate (SHA-256" in one
    assert one != other
