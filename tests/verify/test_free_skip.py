"""A free linear skip: planted optima are certified, and no certificate proves more than the closed form.

One input x, symmetric about 0, so that x is orthogonal to |x| and to x². The skip absorbs x and the subnetworks see
what is left of the targets, y − x ⟨x, y⟩/|x|²:
    ReLU    a relu(x) + b relu(−x) is (a − b) x/2 + (a + b) |x|/2 and costs λ (|a| + |b|) ≥ 2 λ |g| for g |x|
    square  q x² costs λ |q|
Either way half the squared error plus a multiple of one coefficient's size is least at a soft-thresholded projection.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from flint import ctx

from certify.verify import verify_bytes
from certify.verify.container import read_container
from certify.verify.exact import verify_bytes_exactly
from certify.verify.exact.verification import EXACT
from certify.verify.floating_point import FLOATING_POINT
from certify.verify.statement.certificate import read_certificate
from certify.verify.statement.dual_point import dual_point
from certify.verify.statement.losses import bind_loss

from .building import FAMILIES, LINEAR, RELU, SQUARE, Branch, build, reclaimed
from .handmade import free_skip
from .packing import packed

STRENGTH, SKIP = 0.4, [("inputs", 0.0)]
FREE = [*SKIP, ("ones", 0.0)]


def planted(family, seed=0, error=0.0):
    """The problem at its optimum plus an error in the skip, and the optimum's value."""
    generator = np.random.default_rng(seed)
    half = generator.uniform(0.3, 2, 10)
    x = np.concatenate([half, -half])
    feature, price = (np.abs(x), 2 * STRENGTH) if family == "relu" else (x**2, STRENGTH)
    y = 1.7 * x + 2.0 * feature + 0.3 * generator.standard_normal(20)
    product, size = feature @ y, feature @ feature
    g = math.copysign(max(abs(product) - price, 0.0), product) / size
    slope = x @ y / (x @ x)
    residual = slope * x + g * feature - y
    optimum = 0.5 * np.sum(residual**2) + price * abs(g)
    assert g > 0.1
    root = math.sqrt(g)
    first, second = ([root, -root], [root, root]) if family == "relu" else ([g ** (1 / 3), 0.0], [g ** (1 / 3), 0.0])
    arrays = {"X": x[:, None], "Y": y[:, None], "A": residual[:, None], "C0": np.array([[slope + error]])}
    arrays |= {"F0.0": np.array(first)[:, None], "F0.1": np.array(second)[:, None]}
    layers, kind = (RELU, "cone-tree") if family == "relu" else (SQUARE, "quadratic-form")
    branch = Branch(layers, kind, strengths=(STRENGTH, STRENGTH), width=2)
    shape = {"inputs": (1,), "outputs": 1, "samples": 20}
    return build(branch, **shape, reduction="sum", scale=0.5, outside=SKIP, arrays=arrays), float(optimum)


@pytest.mark.parametrize("family", ["relu", "square"])
@pytest.mark.parametrize("seed", range(5))
def test_a_planted_optimum_is_certified_at_the_closed_form(family, seed):
    built, optimum = planted(family, seed)
    header, arrays = built.made
    header["statement"]["tolerance"]["relative"] = (1e-6).hex()
    for check in (verify_bytes, verify_bytes_exactly):
        verdict = check(packed(header, arrays))
        assert verdict.status == "valid", verdict.message
        assert verdict.certified
        assert verdict.lower <= optimum * (1 + 1e-13)
        assert verdict.lower == pytest.approx(optimum, rel=1e-6)
        assert verdict.upper == pytest.approx(optimum, rel=1e-12)


@pytest.mark.parametrize("family", ["relu", "square"])
def test_a_wrong_skip_is_not_certified(family):
    built, optimum = planted(family, error=0.05)
    header, arrays = built.made
    header["statement"]["tolerance"]["relative"] = (1e-6).hex()
    verdict = verify_bytes(packed(header, arrays))
    assert verdict.status == "valid"
    assert not verdict.certified
    assert verdict.lower <= optimum * (1 + 1e-13)


@pytest.mark.parametrize("family", ["relu", "square"])
def test_no_forged_dual_point_proves_more_than_the_optimum(family):
    """Any A, best claims that the checker's own numbers allow: A is moved to XᵀA = 0, or its proof says nothing."""
    built, optimum = planted(family)
    header, arrays = built.made
    arrays = {name: values for name, values in arrays.items() if not name.startswith("P")}
    generator = np.random.default_rng(1)
    residual, x = arrays["A"], arrays["X"]
    accepted, closest = 0, -math.inf
    for _ in range(300):
        size = 10.0 ** generator.uniform(-16, 0.5)
        along = x if generator.random() < 0.5 else generator.standard_normal(x.shape)
        # Without the constraint the dual value of the residual of y itself would exceed the optimum.
        arrays["A"] = residual + size * generator.choice([-1, 1]) * along
        lengths = np.abs(x[:, 0]) if family == "relu" else x[:, 0] ** 2
        upper = float(np.abs(arrays["A"][:, 0]) @ lengths) * 1.001
        kind = "norm-products" if family == "relu" else "quadratic-form"
        header["proofs"] = [{"steps": [], "kind": kind, "upper": upper.hex()}]
        header["dual"]["scale"] = min(1.0, STRENGTH / upper * generator.choice([0.9, 0.999999])).hex()
        header["claim"]["lower"] = (-1e6).hex()
        loose = verify_bytes(packed(header, arrays))
        if loose.status == "valid":
            header["claim"]["lower"] = loose.dual_value[0].hex()
            verdict = verify_bytes(packed(header, arrays))
            assert verdict.status == "valid"
            assert verdict.lower <= optimum * (1 + 1e-13)
            accepted, closest = accepted + 1, max(closest, verdict.lower)
    assert accepted > 50
    assert closest > 0


def test_a_dual_point_off_the_constraint_is_worth_what_its_projection_is():
    """Residual of y without the skip: its dual value would beat the optimum; of its projection it does not."""
    header, arrays = planted("relu")[0].made
    arrays = {name: values for name, values in arrays.items() if not name.startswith("P")}
    arrays["A"] = -arrays["Y"]
    norm = float(np.abs(arrays["A"][:, 0]) @ np.abs(arrays["X"][:, 0])) * 1.0001
    header["proofs"] = [{"steps": [], "kind": "norm-products", "upper": norm.hex()}]
    header["statement"]["branches"][0]["penalty"]["strengths"] = [(2 * norm).hex()] * 2
    header["dual"]["scale"] = (1.0).hex()
    header["claim"] |= {"upper": (1e4).hex(), "lower": (float((arrays["Y"] ** 2).sum()) / 2 * 0.9).hex()}
    # λ is so large that no subnetwork pays: the optimum is half the squared distance of y from multiples of x.
    x, y = arrays["X"][:, 0], arrays["Y"][:, 0]
    optimum = 0.5 * float(y @ y - (x @ y) ** 2 / (x @ x))
    for check in (verify_bytes, verify_bytes_exactly):
        assert check(packed(header, arrays)).rule in ("polar-scale", "dual-value")
    exact = verify_bytes_exactly(packed(header, arrays))
    assert exact.dual_value is not None
    assert exact.dual_value[0] == pytest.approx(optimum, rel=1e-12)
    assert exact.dual_value[0] <= optimum * (1 + 1e-13)


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "linear"])
@pytest.mark.parametrize("loss", ["mse", "binary-cross-entropy", "huber"])
@pytest.mark.parametrize("outside", [SKIP, FREE])
def test_every_family_is_accepted_at_a_dual_point_off_the_constraint(family, loss, outside):
    """λ is so large that what the change adds to the polar does not matter. Of linear subnetworks nothing is left."""
    layers, kinds = FAMILIES[family]
    branch = Branch(layers, kinds[-1], strengths=(50.0, 50.0))
    built = build(branch, loss=loss, outside=outside, samples=14)
    built = reclaimed(replace(built.content, scale=0.01))
    for check in (verify_bytes, verify_bytes_exactly):
        verdict = check(built.data)
        assert verdict.status == "valid", (verdict.rule, verdict.message)


@pytest.mark.parametrize("loss", ["mse", "squared-hinge", "cross-entropy"])
@pytest.mark.parametrize("settings", [{}, {"weighted": True, "outside": FREE}, {"masked": True, "seed": 1}])
def test_the_enclosed_dual_point_holds_the_exact_one_which_is_orthogonal(loss, settings):
    if loss == "cross-entropy" and settings:
        return
    settings = {"outside": SKIP} | settings
    zeros = {"A": np.zeros((14, 3 if loss == "cross-entropy" else 2))}
    built = build(Branch(LINEAR, "zero"), loss=loss, samples=14, arrays=zeros, **settings)
    certificate = read_certificate(*read_container(built.data))
    generator = np.random.default_rng(4)
    for size in (1e-14, 1e-6, 1.0):
        inputs = certificate.arrays["X"] * np.array([1e-5, 1.0, 300.0])
        raw = generator.standard_normal(certificate.arrays["A"].shape)
        raw[:3] = 0
        raw *= certificate.arrays.get("mask", np.ones(1))
        if loss == "cross-entropy":
            raw -= raw.mean(1, keepdims=True) * (raw != 0)
        kept = raw - inputs @ np.linalg.lstsq(inputs, raw, rcond=None)[0]
        dual = np.where(raw == 0, 0.0, kept + size * raw)
        moved = replace(certificate, arrays=certificate.arrays | {"A": dual, "X": inputs})
        wide = dual_point(moved, bind_loss(moved, FLOATING_POINT.real), FLOATING_POINT)
        with ctx.workprec(400):
            tight = dual_point(moved, bind_loss(moved, EXACT.real), EXACT)
            assert (wide.values.low <= tight.values.low).all()
            assert (tight.values.high <= wide.values.high).all()
            assert (tight.change.is_zero == (dual == 0)).all() or loss == "cross-entropy"
            moments = EXACT.real(inputs.T) @ tight.values
            assert float(moments.absolute().high.max()) < 1e-90
            if loss == "cross-entropy":
                rows = (tight.change.sum(1)).absolute()
                assert float(rows.high.max()) <= 1e-90 + float(np.abs(dual.sum(1)).max()) * 2


@pytest.mark.parametrize("check", [verify_bytes, verify_bytes_exactly])
def test_inputs_that_depend_on_each_other_are_rejected(check):
    header, arrays = free_skip()
    assert check(packed(header, arrays)).status == "valid"
    arrays["X"][:, 1] = arrays["X"][:, 0]
    assert check(packed(header, arrays)).rule == "free-skip-rank"


@pytest.mark.parametrize("check", [verify_bytes, verify_bytes_exactly])
def test_what_the_change_adds_to_the_polar_counts(check):
    """A = (0.2, 0.3) moves to (¼, ¼), |A' − A| |x| summed is 0.1, and λ leaves room for U alone."""
    header, arrays = free_skip()
    arrays["A"] = np.array([[0.2], [0.3]])
    header["proofs"][0]["upper"] = (0.11).hex()
    header["dual"]["scale"] = (1.0).hex()

    def with_strength(value):
        header["statement"]["branches"][0]["penalty"]["strengths"] = [value.hex()] * 2
        return check(packed(header, arrays))

    assert with_strength(0.3).status == "valid"
    assert with_strength(0.15).rule == "polar-scale"


def test_a_dual_point_without_room_in_the_domain_is_rejected():
    """Huber at |sA| = ω: the change may leave the domain, and nothing is known of the conjugate there."""
    header, arrays = build(Branch(LINEAR, "spectral"), loss="huber", outside=SKIP, reduction="sum", samples=14).made
    arrays["A"][0, 0] = 1.0
    header["dual"]["scale"] = (1.0).hex()
    assert verify_bytes(packed(header, arrays)).rule == "dual-domain"
