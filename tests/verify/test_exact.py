"""`--exact`: float enclosures lie on the safe side of exact ones, and lies of the size of a rounding are found."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from flint import arb, ctx

from certify.verify.container import read_container
from certify.verify.enclosure import Enclosure
from certify.verify.exact import verify_bytes_exactly
from certify.verify.exact.balls import Balls
from certify.verify.exact.semidefinite import proves_semidefinite
from certify.verify.exact.verification import EXACT
from certify.verify.floating_point import FLOATING_POINT
from certify.verify.rejection import Rejection
from certify.verify.semidefinite import proves_semidefinite as proves_in_floats
from certify.verify.statement.activations import IDENTITY
from certify.verify.statement.certificate import read_certificate
from certify.verify.statement.dual_point import dual_point
from certify.verify.statement.duality import dual_value, require_dual_point
from certify.verify.statement.losses import bind_loss
from certify.verify.statement.objective import objective
from certify.verify.statement.penalties import ProductOfNorms
from certify.verify.verdict import verify_bytes

from .building import FAMILIES, LOSSES, Branch, build
from .packing import packed, unpacked
from .test_polars import CONVOLUTION, POOL, SECOND


@pytest.fixture(autouse=True)
def _precise():
    with ctx.workprec(512):
        yield


def settled(family, loss="mse", *, kind, bias="absent", product=False, **settings):
    return build(Branch(FAMILIES[family][0], kind, bias=bias, product=product), loss=loss, **settings).data


def read(data):
    return read_certificate(*read_container(data))


def hard(template, generator):
    """The certificate with random arrays: scales from 1e-12 to 1e6, huge common parts that cancel, exact ties."""
    arrays, certificate = dict(template.arrays), template
    spread = 10.0 ** generator.uniform(-6, 3)

    def wild(shape):
        return generator.standard_normal(shape) * spread * 10.0 ** generator.uniform(-6, 2, shape)

    arrays["X"] = wild(arrays["X"].shape) + generator.choice([0.0, 1e3, 1e6])
    for name in template.problem.parameters:
        arrays[name] = wild(arrays[name].shape) * generator.choice([0.01, 1.0])
    if generator.random() < 0.7:
        # Pairs of hidden units that all but cancel in the outputs: what is left is rounding, unless it is counted.
        activation = template.problem.branches[0].neuron.activation
        sign = -1.0 if activation == IDENTITY else 1.0
        for name in {"F0.0", "F0.bias"} & set(arrays):
            arrays[name][0::2] = sign * arrays[name][1::2]
        arrays["F0.1"][0::2] = -sign * arrays["F0.1"][1::2] * (1 + generator.choice([0.0, 2.0**-50, 2.0**-40]))
    omega = bind_loss(certificate, Enclosure).omega.near
    share, y = generator.random(arrays["Y"].shape) ** 3, arrays["Y"]
    inside = {
        "mse": wild(y.shape),
        "huber": omega * (2 * share - 1),
        "binary-cross-entropy": omega * (share - y),
        "soft-margin": -omega * y * share,
        "squared-hinge": -y * np.abs(wild(y.shape)),
        "poisson": omega * (10.0 ** generator.uniform(-9, 3, y.shape) - y),
        "cross-entropy": omega * (share * 0.9 / share.sum(1, keepdims=True) - y),
    }[template.problem.loss.name]
    arrays["A"] = inside
    scale = float(generator.choice([1.0, 1 - 2.0**-40, 0.3, 1e-9]))
    # Under a tiny penalty the loss, and in the dual value the moments, are what counts.
    strength = float(generator.choice([2.0**-80, 0.05]))
    return replace(certificate, arrays=arrays, dual_scale=scale, problem=penalized(template.problem, strength))


def penalized(problem, strength):
    """The problem with other strengths, unequal ones where they may be."""

    def changed(penalty):
        if isinstance(penalty, ProductOfNorms):
            return replace(penalty, level=strength)
        bias = None if penalty.bias is None else strength * 0.3
        return replace(penalty, strengths=(strength, strength * 0.7), bias=bias)

    branches = tuple(replace(branch, penalty=changed(branch.penalty)) for branch in problem.branches)
    outside = tuple(replace(block, decay=strength if block.decay else 0.0) for block in problem.outside)
    return replace(problem, branches=branches, outside=outside)


def valued(certificate, loss, arithmetic):
    return dual_value(certificate, loss, dual_point(certificate, loss, arithmetic))


SETTINGS = {
    "linear": {"bias": "penalized", "outside": [("ones", 0.05), ("inputs", 0.05)], "offset": "array"},
    "relu": {"bias": "free", "outside": [("ones", 0.0)], "weighted": True},
    "leaky": {"bias": "penalized"},
    "square": {"bias": "penalized", "outside": [("inputs", 0.05)]},
}


@pytest.mark.parametrize("family", SETTINGS)
@pytest.mark.parametrize("loss", LOSSES)
def test_float_ends_are_on_the_safe_side_of_the_exact_ones(family, loss):
    settings = SETTINGS[family] | ({"masked": True} if family == "leaky" and loss != "cross-entropy" else {})
    kind = {"linear": "spectral", "square": "quadratic-form"}.get(family, "norm-products")
    # Two classes of the same size: rows and columns of the dual point sum to zero in binary.
    settings |= {"weighted": False, "outputs": 2} if loss == "cross-entropy" else {}
    require_safe(read(settled(family, loss, kind=kind, samples=4, **settings)), len(loss) * 7 + len(family))


STACKS = {
    "pooled": ((CONVOLUTION, "relu", POOL, "linear"), 2),
    "convolved": ((CONVOLUTION, ("leaky_relu", {"slope": -1.75}), SECOND, POOL), 12),
    "times the inputs": (("linear", "times_inputs", "linear"), 2),
}


@pytest.mark.parametrize("stack", STACKS)
def test_float_ends_of_positions_are_on_the_safe_side_of_the_exact_ones(stack):
    layers, outputs = STACKS[stack]
    kind = "spectral" if "times_inputs" in layers else "norm-products"
    branch = Branch(layers, kind, bias="penalized")
    built = build(branch, inputs=(1, 3, 3), outputs=outputs, samples=2)
    require_safe(read(built.data), outputs)


def require_safe(template, seed):
    generator = np.random.default_rng(seed)
    finite = 0
    for _ in range(40):
        certificate = hard(template, generator)
        with np.errstate(all="ignore"):
            floats, exact = bind_loss(certificate, Enclosure), bind_loss(certificate, Balls.of)
            pairs = (
                (objective(certificate, floats), objective(certificate, exact)),
                (valued(certificate, floats, FLOATING_POINT), valued(certificate, exact, EXACT)),
            )
            for wide, tight in pairs:
                if np.isfinite(wide.high):
                    finite += 1
                    assert wide.low <= tight.low <= tight.high <= wide.high
                    assert tight.high <= math.nextafter(float(tight.low), math.inf)
    assert finite >= 30


@pytest.mark.parametrize("family", ["linear", "square"])
def test_exact_objective_and_dual_value_are_those_of_fractions(family):
    """Squared loss without biases: everything is rational but the norms of products, which a perfect square avoids."""
    kind = "spectral" if family == "linear" else "quadratic-form"
    certificate = hard(read(settled(family, kind=kind, samples=4)), np.random.default_rng(3))
    arrays, problem = certificate.arrays, certificate.problem
    arrays["F0.1"][:, 1:] = 0
    x, y, first, second, a = (
        [[Fraction(v) for v in row] for row in arrays[name].tolist()] for name in ("X", "Y", "F0.0", "F0.1", "A")
    )
    degree = 2 if family == "square" else 1
    hidden = [[sum(p * q for p, q in zip(row, u, strict=True)) ** degree for u in first] for row in x]
    z = [[sum(h * v[j] for h, v in zip(row, second, strict=True)) for j in range(2)] for row in hidden]
    omega, s = Fraction(problem.loss.scale) / (len(y) * len(y[0])), Fraction(certificate.dual_scale)
    entries = [(i, j) for i in range(len(y)) for j in range(len(y[0]))]
    value = sum(omega * (z[i][j] - y[i][j]) ** 2 for i, j in entries)
    norms = [sum(p * p for p in u) for u in first]
    penalty = problem.branches[0].penalty
    if family == "square":
        value += Fraction(penalty.level) * sum(norm * abs(v[0]) for norm, v in zip(norms, second, strict=True))
    else:
        one, other = (Fraction(strength) for strength in penalty.strengths)
        value += (one * sum(norms) + other * sum(v * v for row in second for v in row)) / 2
    dual = -sum((s * a[i][j]) ** 2 / (4 * omega) + s * a[i][j] * y[i][j] for i, j in entries)
    loss = bind_loss(certificate, Balls.of)
    for found, expected in ((objective(certificate, loss), value), (valued(certificate, loss, EXACT), dual)):
        assert Fraction(float(found.low)) <= expected <= Fraction(float(found.high))
        assert float(found.high) <= math.nextafter(float(found.low), math.inf)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_family_loss_and_kind_of_proof_is_accepted(family, loss):
    for kind in FAMILIES[family][1]:
        c = 3 if loss == "cross-entropy" else 2
        data = settled(family, loss, kind=kind, arrays={"A": np.zeros((12, c))} if kind == "zero" else None)
        verdict, floats = verify_bytes_exactly(data), verify_bytes(data)
        assert verdict.status == "valid", (kind, verdict.rule, verdict.message)
        assert floats.status == "valid", (kind, floats.rule, floats.message)
        assert verdict.arithmetic == "exact"
        assert floats.objective[0] <= verdict.objective[0] <= verdict.objective[1] <= floats.objective[1]
        assert floats.dual_value[0] <= verdict.dual_value[0] <= verdict.dual_value[1] <= floats.dual_value[1]


@pytest.mark.parametrize(("bias", "outputs"), [("free", 1), ("free", 2), ("penalized", 1), ("penalized", 3)])
def test_biases_and_numbers_of_outputs_are_accepted(bias, outputs):
    for family in ("relu", "leaky"):
        for kind in ("norm-products", "cone-tree", "majorant"):
            data = settled(family, kind=kind, bias=bias, outside=[("ones", 0.0)], outputs=outputs)
            assert verify_bytes_exactly(data).status == "valid", kind


def edited(data, change):
    header, arrays = unpacked(data)
    change(header, arrays)
    return packed(header, arrays)


def claim(**values):
    return lambda header, arrays: header["claim"].update({name: value.hex() for name, value in values.items()})


@pytest.mark.parametrize(("family", "loss"), [(f, loss) for f in FAMILIES for loss in LOSSES])
def test_claims_one_unit_beyond_the_exact_value_are_rejected(family, loss):
    kind = FAMILIES[family][1][-1] if family == "square" else FAMILIES[family][1][-2]
    data = settled(family, loss, kind=kind, weighted=loss != "cross-entropy")
    found = verify_bytes_exactly(data)
    (low, high), (bottom, top) = found.objective, found.dual_value
    tightest = edited(data, claim(upper=high, lower=bottom))
    assert verify_bytes_exactly(tightest).status == "valid"
    assert verify_bytes_exactly(edited(data, claim(upper=math.nextafter(low, -math.inf)))).rule == "objective"
    assert verify_bytes_exactly(edited(data, claim(lower=math.nextafter(top, math.inf)))).rule == "dual-value"
    if low < high:  # the exact value is not a float: the float below it is a lie
        assert verify_bytes_exactly(edited(data, claim(upper=low))).rule == "objective"
    if bottom < top:
        assert verify_bytes_exactly(edited(data, claim(lower=top))).rule == "dual-value"


def test_a_sum_that_is_zero_only_in_floats_is_rejected():
    data = settled("linear", kind="spectral", outside=[("ones", 0.0)])

    def hide(header, arrays):
        arrays["A"][:, 0] = 0
        arrays["A"][:3, 0] = [2.0**60, 2.0**-60, -(2.0**60)]

    assert np.sum([2.0**60, 2.0**-60, -(2.0**60)]) == 0
    assert verify_bytes_exactly(edited(data, hide)).rule == "dual-column-sums"


def test_the_end_of_the_domain_is_decided_exactly():
    """Huber with ω = 1: |s A| ≤ 1 holds at 1, and fails one unit above."""
    template = read(settled("linear", "huber", kind="spectral", reduction="sum"))

    def at(value):
        certificate = replace(template, arrays=template.arrays | {"A": np.full((12, 2), value)}, dual_scale=1.0)
        loss = bind_loss(certificate, Balls.of)
        return certificate, loss, dual_point(certificate, loss, EXACT)

    require_dual_point(*at(1.0))
    require_dual_point(*at(-1.0))
    with pytest.raises(Rejection, match="leaves the domain"):
        require_dual_point(*at(math.nextafter(1.0, 2.0)))


def test_a_polar_one_unit_too_small_is_rejected():
    """X = I and A = diag(3, 1): the spectral norm is 3, and 3 itself cannot be shown by a strict test."""
    data = settled("linear", kind="spectral", samples=3)

    def planted(upper):
        def change(header, arrays):
            arrays["X"], arrays["A"] = np.eye(3), np.array([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
            header["proofs"][0]["upper"] = upper.hex()
            header["dual"]["scale"] = (2.0**-20).hex()
            header["claim"] = header["claim"] | {"upper": (1e6).hex(), "lower": (-1e6).hex()}

        return verify_bytes_exactly(edited(data, change))

    assert planted(math.nextafter(3.0, 4.0)).status == "valid"
    assert planted(math.nextafter(3.0, 0.0)).rule == "polar"


def test_a_scale_one_unit_too_large_is_rejected():
    data = settled("linear", kind="spectral")
    header, _ = unpacked(data)
    upper, strength = float.fromhex(header["proofs"][0]["upper"]), 0.05
    scale = strength / upper
    while Fraction(scale) * Fraction(upper) <= Fraction(strength):
        scale = math.nextafter(scale, math.inf)
    change = lambda value: lambda h, a: h["dual"].update(scale=value.hex()) or claim(lower=-1e6)(h, a)  # noqa: E731
    assert verify_bytes_exactly(edited(data, change(scale))).rule == "polar-scale"
    assert verify_bytes_exactly(edited(data, change(math.nextafter(scale, 0)))).status == "valid"


@pytest.mark.parametrize("decays", [(2.0, 0.5), (0.1, 0.7)])
def test_the_strength_of_unequal_decays_is_their_geometric_mean(decays):
    """s Ω° = λ = √(s₀ s₁) holds one unit below, and fails one unit above."""
    built = build(Branch(FAMILIES["linear"][0], "spectral", strengths=decays))
    header, arrays = built.made
    upper, least = Fraction(built.content.proofs[0]["upper"]), Fraction(decays[0]) * Fraction(decays[1])
    scale = math.sqrt(decays[0] * decays[1]) / float(upper)
    while (Fraction(scale) * upper) ** 2 <= least:
        scale = math.nextafter(scale, math.inf)
    header["claim"]["lower"] = (-1e6).hex()
    for check, room in ((verify_bytes, 2.0**-49), (verify_bytes_exactly, 2.0**-51)):
        for value, valid in ((scale, False), (scale * (1 - room), True)):
            header["dual"]["scale"] = value.hex()
            assert (check(packed(header, arrays)).status == "valid") is valid


def test_semidefinite_in_floats_is_definite_in_balls_and_indefinite_is_never_shown():
    generator = np.random.default_rng(0)
    shown = 0
    for trial in range(300):
        n = int(generator.integers(1, 9))
        root = generator.standard_normal((n, n)) * 10.0 ** generator.uniform(-4, 4, (n, 1))
        matrix = root @ np.diag(10.0 ** generator.uniform(-19, 0, n)) @ root.T
        matrix = (matrix + matrix.T) / 2
        if proves_in_floats(Enclosure(matrix)):
            shown += 1
            assert proves_semidefinite(Balls.of(matrix)), trial
        # x·Mx < 0 for some x, exactly.
        direction = generator.standard_normal(n)
        lowered = (
            matrix
            - np.outer(direction, direction) * 1.001 * (direction @ matrix @ direction) / (direction @ direction) ** 2
        )
        values = [[Fraction(v) for v in row] for row in np.tril(lowered).tolist()]
        x = [Fraction(v) for v in direction.tolist()]
        form = sum(values[max(i, j)][min(i, j)] * x[i] * x[j] for i in range(n) for j in range(n))
        if form < 0:
            assert not proves_semidefinite(Balls.of(lowered))
    assert shown > 50


def test_balls_of_any_precision_enclose_those_of_more():
    generator = np.random.default_rng(1)
    values = generator.standard_normal((40, 3)) * 10.0 ** generator.uniform(-20, 20, (40, 3))
    operations = {
        "product": lambda x: (x @ values.T).sum(),
        "softplus": lambda x: x.softplus().sum(),
        "entropy": lambda x: (x.absolute() - x.absolute() * (1 - 2.0**-40)).entropy().sum(),
        "logarithm": lambda x: (x.absolute() + 1e-30).logarithm().sum(),
        "norms": lambda x: x.row_norms().maximum(1.0).sum(),
    }
    for name, operation in operations.items():
        with ctx.workprec(40):
            coarse = operation(Balls.of(values))
        with ctx.workprec(1000):
            fine = operation(Balls.of(values))
            assert coarse.values[()].contains(fine.values[()]), name
            assert float(coarse.low) <= float(fine.low) <= float(fine.high) <= float(coarse.high)


def test_ends_are_the_nearest_floats_outside():
    with ctx.workprec(300):
        third = Balls.of(1.0) / 3.0
        assert Fraction(float(third.low)) < Fraction(1, 3) < Fraction(float(third.high))
        assert float(third.high) == math.nextafter(float(third.low), 1.0)
        assert float(Balls.of(0.1).low) == 0.1 == float(Balls.of(0.1).high)
        huge = Balls(arb(10) ** 400)
        assert (float(huge.high), float(huge.low)) == (math.inf, float(np.finfo(float).max))
        nothing = Balls(arb.nan())
        assert (float(nothing.low), float(nothing.high)) == (-math.inf, math.inf)


def test_arithmetics_do_not_mix():
    with pytest.raises(TypeError):
        Balls.of(1.0) + Enclosure(1.0)
    with pytest.raises(TypeError):
        Enclosure(1.0) * Balls.of(1.0)
