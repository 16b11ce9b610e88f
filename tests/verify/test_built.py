"""Certificates of every loss, convex part and offset are accepted, and claim what torch and closed forms say."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from certify.verify import Rejection, measure, verify_bytes
from certify.verify.exact import verify_bytes_exactly
from certify.verify.exact.verification import EXACT

from .building import LINEAR, LOSSES, RELU, Branch, build
from .packing import packed
from .torch_networks import outputs

FREE, RIDGE = ("ones", 0.0), ("ones", 0.05)


def torch_objective(built, branches, inputs):
    """By torch.nn.functional, not by the checker's own losses, penalties and layers."""
    header, arrays = built.made
    stated, t = header["statement"], {name: torch.as_tensor(values) for name, values in arrays.items()}
    x, y = t["X"], t["Y"]
    z, penalty = torch.zeros_like(y), 0.0
    for index, branch in enumerate(branches):
        first, bias, second = (t.get(f"F{index}.{name}") for name in ("0", "bias", "1"))
        z = z + outputs(branch, inputs, x, first, bias, second)
        decays = branch.strengths[0] * (first**2).sum() + branch.strengths[1] * (second**2).sum()
        if branch.bias == "penalized":
            decays = decays + (branch.bias_decay or branch.strengths[0]) * (bias**2).sum()
        penalty = penalty + float(decays) / 2
    for index, block in enumerate(stated["outside"]):
        features = torch.ones(len(x), 1, dtype=torch.float64) if block["features"] == "ones" else x
        z = z + features @ t[f"C{index}"]
        penalty += float.fromhex(block["decay"]) / 2 * float((t[f"C{index}"] ** 2).sum())
    z = z + {None: 0.0, "inputs": x, "array": t.get("offset")}[stated["offset"]]
    loss = stated["loss"]
    entries = {
        "mse": lambda: functional.mse_loss(z, y, reduction="none"),
        "huber": lambda: functional.huber_loss(z, y, reduction="none"),
        "binary-cross-entropy": lambda: functional.binary_cross_entropy_with_logits(z, y, reduction="none"),
        "soft-margin": lambda: functional.soft_margin_loss(z, y, reduction="none"),
        "squared-hinge": lambda: (1 - y * z).clamp_min(0) ** 2,
        "poisson": lambda: functional.poisson_nll_loss(z, y, reduction="none"),
        "cross-entropy": lambda: functional.cross_entropy(z, y.argmax(1), reduction="none")[:, None],
    }[loss["name"]]()
    mask = t.get("mask", torch.ones_like(entries))
    count = float(mask.sum()) if loss["reduction"] == "mean" else 1.0
    weights = t.get("sample_weights", torch.ones(len(x), dtype=torch.float64))
    return float.fromhex(loss["scale"]) * float((mask * entries * weights[:, None]).sum()) / count + penalty


def require_right(*branches, inputs=(3,), **settings):
    built = build(*branches, inputs=inputs, **settings)
    for check in (verify_bytes, verify_bytes_exactly):
        verdict = check(built.data)
        assert verdict.status == "valid", (verdict.rule, verdict.message)
    expected = torch_objective(built, branches, inputs)
    assert verdict.objective[0] == pytest.approx(expected, rel=1e-11)
    assert verdict.lower <= verdict.upper
    return verdict


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_losses_are_those_of_torch(loss, reduction):
    branch = Branch(RELU, "norm-products", bias="penalized")
    require_right(branch, loss=loss, reduction=reduction, scale=0.7, weighted=True, masked=loss != "cross-entropy")


@pytest.mark.parametrize("bias", ["absent", "free", "penalized"])
@pytest.mark.parametrize(
    "outside", [(), (RIDGE,), (FREE,), (RIDGE, ("inputs", 0.02)), (("inputs", 0.1),), (FREE, FREE)]
)
def test_convex_parts_and_biases_are_accepted(bias, outside):
    require_right(Branch(RELU, "norm-products", bias=bias), outside=outside)
    require_right(Branch(LINEAR, "spectral", bias=bias), outside=outside)


@pytest.mark.parametrize(("offset", "inputs", "c"), [("array", (3,), 2), ("inputs", (3,), 3), ("inputs", (1, 2), 2)])
def test_offsets_are_accepted(offset, inputs, c):
    require_right(Branch(RELU, "norm-products"), offset=offset, inputs=inputs, outputs=c, outside=[RIDGE])


def test_a_linear_model_alone_is_ridge_regression():
    """½|XC − Y|² + μ/2 |C|²: at the optimum the gap is closed."""
    generator = np.random.default_rng(2)
    x, y, decay = generator.standard_normal((9, 3)), generator.standard_normal((9, 2)), 0.3
    weights = np.linalg.solve(x.T @ x + decay * np.eye(3), x.T @ y)
    residual = x @ weights - y
    optimum = 0.5 * float((residual**2).sum() + decay * (weights**2).sum())
    arrays = {"X": x, "Y": y, "C0": weights, "A": residual}
    settings = {"samples": 9, "outside": [("inputs", decay)], "reduction": "sum", "scale": 0.5}
    verdict = require_right(arrays=arrays, **settings)
    assert verdict.lower <= optimum <= verdict.upper
    assert verdict.upper - verdict.lower < 1e-9 * optimum
    assert verdict.kind == ""
    assert verdict.polar_upper == ()


@pytest.mark.parametrize("decays", [(0.5, 2.0), (3.0, 0.1)])
def test_unequal_decays_cost_what_their_geometric_mean_costs(decays):
    """X = I, ½|Z − Y|² + √(s₀ s₁) |Z|_*, at the optimum with factors in the ratio √(s₁/s₀)."""
    y = np.random.default_rng(1).standard_normal((4, 3))
    strength = np.sqrt(decays[0] * decays[1])
    left, values, right = np.linalg.svd(y, full_matrices=False)
    kept = np.maximum(values - strength, 0)
    optimum = float(((values - kept) ** 2).sum() / 2 + strength * kept.sum())
    ratio = (decays[1] / decays[0]) ** 0.25
    arrays = {"X": np.eye(4), "Y": y, "A": -(left * (values - kept)) @ right}
    arrays |= {"F0.0": ratio * (left * np.sqrt(kept)).T, "F0.1": np.sqrt(kept)[:, None] * right / ratio}
    branch = Branch(LINEAR, "spectral", strengths=decays, width=3)
    settings = {"inputs": (4,), "outputs": 3, "samples": 4, "reduction": "sum", "scale": 0.5, "arrays": arrays}
    verdict = require_right(branch, **settings)
    assert verdict.lower <= optimum * (1 + 1e-13)
    assert verdict.upper - verdict.lower < 1e-8


def test_an_unequal_decay_of_the_bias_is_one_more_input_of_another_size():
    """One sample x = 0: only the bias speaks, ½ (b v − y)² + (s_b b² + s₁ v²)/2, least at b v = y − √(s_b s₁)."""
    y, first, second, own = 2.0, 0.7, 0.5, 0.2
    strength = np.sqrt(own * second)
    kept, optimum = y - strength, strength * y - own * second / 2
    b = np.sqrt(kept * np.sqrt(second / own))
    arrays = {"X": np.zeros((1, 1)), "Y": np.full((1, 1), y), "A": np.full((1, 1), -strength), "F0.0": np.zeros((1, 1))}
    arrays |= {"F0.bias": np.array([b]), "F0.1": np.array([[kept / b]])}
    branch = Branch(LINEAR, "spectral", bias="penalized", strengths=(first, second), bias_decay=own, width=1)
    settings = {"inputs": (1,), "outputs": 1, "samples": 1, "reduction": "sum", "scale": 0.5, "arrays": arrays}
    verdict = require_right(branch, **settings)
    assert verdict.lower <= optimum * (1 + 1e-13)
    assert verdict.upper - verdict.lower < 1e-8


def test_the_polar_of_every_branch_counts():
    """Two linear branches of strengths λ and μ > λ are one of strength λ: the second's polar leaves room."""
    one, other = Branch(LINEAR, "spectral"), Branch(LINEAR, "spectral", strengths=(0.1, 0.1))
    built = build(one, other)
    alone = build(one).content
    assert built.content.scale == pytest.approx(alone.scale, rel=1e-12)
    measured = measure(built.content.header(), built.content.arrays).polars
    assert [polar.strength for polar in measured] == [0.05, 0.1]
    for polar in measured:
        assert polar.scaled <= polar.strength
        assert polar.shown <= polar.changed
    assert built.content.lower == pytest.approx(alone.lower, rel=1e-9)


def test_randomized_proofs_share_the_probability():
    built = build(Branch(LINEAR, "randomized"), Branch(LINEAR, "spectral"), Branch(LINEAR, "randomized"))
    verdict = verify_bytes(built.data)
    assert (verdict.status, verdict.kind) == ("valid", "randomized, spectral, randomized")
    assert verdict.failure_probability == 1e-12


@pytest.mark.parametrize("kind", ["norm-products", "cone-tree", "majorant"])
def test_measured_numbers_are_those_of_the_verdict(kind):
    built = build(Branch(RELU, kind, bias="free"), outside=[FREE])
    verdict = verify_bytes(built.data)
    measured = measure(built.content.header(), built.content.arrays)
    assert (measured.objective, measured.dual_value) == (verdict.objective, verdict.dual_value)
    assert tuple(polar.shown for polar in measured.polars) == verdict.polar_upper
    unproven = measure(built.content.header(), built.content.arrays, proofs=False)
    assert [polar.shown for polar in unproven.polars] == [None]
    with pytest.raises(Rejection):
        measure(replace(built.content, scale=-1.0).header(), built.content.arrays, EXACT)


def test_the_problem_is_said_in_words():
    branches = (
        Branch((("select", {"columns": [0]}), "linear", ("leaky_relu", {"slope": 0.5}), "linear"), bias="free"),
        Branch(("linear", "square", "linear"), "quadratic-form", strengths=(0.3, 0.3)),
        Branch(LINEAR, "spectral", bias="penalized", strengths=(0.3, 0.1), bias_decay=0.2),
    )
    problem = verify_bytes(build(*branches, outside=[FREE, ("inputs", 0.02)], offset="array").data).problem
    for words in (
        "select (columns [0]), linear, leaky_relu (slope 0.5), linear], weight-decay 0.05, hidden bias free",
        "product-of-norms 0.3 with powers [2, 1]",
        "weight-decay 0.3 and 0.1, of the bias 0.2, hidden bias penalized",
        "output bias free",
        "linear skip with weight decay 0.02",
        "a fixed offset",
        "mse (mean, scale 1), 12 samples, 2 outputs",
    ):
        assert words in problem


@pytest.mark.parametrize(("first", "second"), [(-1.0, -1.0), (0.0, 1.0), (1.0, 0.0)])
def test_strengths_are_positive(first, second):
    header, arrays = build(Branch(LINEAR, "spectral")).made
    header["statement"]["branches"][0]["penalty"]["strengths"] = [first.hex(), second.hex()]
    assert verify_bytes(packed(header, arrays)).rule == "strength"
