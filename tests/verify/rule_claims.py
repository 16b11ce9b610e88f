"""Claims of the checker's rules at the size of a rounding: each function says whether one holds, by exact numbers."""

import math
import operator
from dataclasses import replace
from fractions import Fraction

import numpy as np
from flint import arb, ctx

from certify.verify.container import read_container
from certify.verify.enclosure import Enclosure
from certify.verify.exact import balls
from certify.verify.exact.balls import Balls
from certify.verify.exact.verification import EXACT
from certify.verify.floating_point import FLOATING_POINT
from certify.verify.forms.form import Form
from certify.verify.forms.projection import project
from certify.verify.measure import changed_polars, measure
from certify.verify.proofs.cone_tree import cone_tree_upper
from certify.verify.proofs.least_norms import _feasible_norms
from certify.verify.proofs.norm_products import norm_products_hold
from certify.verify.proofs.power_test import LENGTH_ROOM, STARTS, plan_test, power_test_holds
from certify.verify.proofs.proof import Proof
from certify.verify.proofs.sorting import sorting_holds
from certify.verify.rejection import Rejection
from certify.verify.semidefinite import proves_semidefinite
from certify.verify.statement.activations import IDENTITY, Kink
from certify.verify.statement.certificate import read_certificate
from certify.verify.statement.dual_point import DualPoint
from certify.verify.statement.gate import Gate
from certify.verify.statement.losses import LOSSES, BoundLoss
from certify.verify.statement.penalties import TiedDecay
from certify.verify.verdict import Verdict

from .handmade import handmade, hexadecimal
from .packing import packed

RELU, UNIT = Kink(1.0, 0.0), 2.0**-53
# Operations on these round up as often as down.
VALUES = [float(value) for value in 1 + 1 / np.arange(3.0, 60.0)]
# Squares of the small entries get lost beside the ones, in whatever order they are summed.
SMALL = 0.99 * 2.0**-26.5
LOSSY = np.tile(np.concatenate([np.ones(16), np.full(240, SMALL)]), 4)
ROOT_ONLY = {"splits": np.zeros(4, np.uint8), "tangents": np.ones((4, 1), np.uint8)}


def proof(kind, upper, probability=None, **arrays):
    return Proof(kind, upper, probability, {name: np.asarray(values) for name, values in arrays.items()})


def form(rows, scores, real=Enclosure, free=False):
    return Form(real(np.reshape(rows, (-1, 1))), real(np.reshape(scores, (-1, 1))), RELU, free)


def rejects(check, *given):
    """Whether a check that must not accept does not."""
    try:
        return check(*given) is False
    except Rejection:
        return True


def semidefinite(mid, rad):
    return not proves_semidefinite(Enclosure([[mid]], rad))


def arrow_is_not_proven():
    """[[D I, b], [bᵀ, c]] has the Schur complement c − |b|²/D < 0."""
    diagonal, corner = 1 + 2.0**-52, 64 + 6 * math.ulp(64.0)
    assert Fraction(corner) * Fraction(diagonal) < 64 + 960 * Fraction(SMALL) ** 2
    matrix = np.diag(np.append(np.full(len(LOSSY), diagonal), corner))
    matrix[-1, :-1] = LOSSY
    return not proves_semidefinite(Enclosure(matrix))


def read(made):
    return read_container(packed(*made))


def in_both(numbers, *given):
    """What a function finds in floats, and in balls of many bits."""
    with ctx.workprec(1000):
        return [numbers(*given, arithmetic) for arithmetic in (FLOATING_POINT, EXACT)]


def measured(quantity, end):
    """Ends of the objective and dual value of the zero network, for many targets."""

    def ends(y, arithmetic):
        arrays = {"Y": np.array([[y], [-1 / y]]), "A": np.array([[-y / 3], [1 / y / 3]])}
        return getattr(measure(*read(handmade(arrays=arrays)), arithmetic, proofs=False), quantity)

    pairs = [in_both(ends, y) for y in VALUES]
    return all(found[0] <= exact[0] if end == 0 else found[1] >= exact[1] for found, exact in pairs)


def changed_polar(number):
    """Bounds on the polar, and s times it, where A' − A is not zero."""
    header, arrays = handmade(family="relu", kind="norm-products")
    certificate = read_certificate(*read((header | {"dual": hexadecimal({"scale": 0.3})}, arrays)))

    def bound(value, arithmetic):
        change = arithmetic.real(np.array([[value], [1 / value]]))
        return changed_polars(certificate, DualPoint(change, change), arithmetic)[0][number]

    return all(found >= exact for found, exact in (in_both(bound, value) for value in VALUES))


def norm_products():
    """The polar of one sample is |score| |row|, whether by a sum of products of norms or by Frobenius norms."""
    near = ((value, float(Enclosure(value * value).near)) for value in VALUES)
    return not any(
        norm_products_hold(form(value, value), proof("norm-products", upper), FLOATING_POINT)
        and Fraction(value) ** 2 > Fraction(upper)
        for value, upper in near
    )


def sorting():
    """The polar of two samples with scores ±s is |s (x₂ − x₁)|."""
    for value in VALUES:
        given, upper = form([0.0, value], [value, -value], free=True), proof("sorting", value * value)
        if sorting_holds(given, upper, FLOATING_POINT) and Fraction(value) ** 2 > Fraction(upper.upper):
            return False
    return True


def cone_tree(rule=cone_tree_upper, real=Enclosure):
    """G = 0 leaves all of the polar |score| |row| to the residual."""
    tree = proof("cone-tree", 9.0, frame=[[1.0]], rows=[[0.0]], **ROOT_ONLY)
    return all(Fraction(rule(form(value, value, real), tree)) >= Fraction(value) ** 2 for value in VALUES)


def cone_tree_that_cancels():
    """At u = 1 the ones cancel, and the polar is the sum of what is lost beside them."""
    scores, lost = np.concatenate([LOSSY**2, -np.ones(64)]), 960 * Fraction(SMALL**2)
    rows = np.ones((len(scores), 1))
    tree = proof("cone-tree", 1.0, frame=[[1.0]], rows=rows, **ROOT_ONLY)
    return Fraction(cone_tree_upper(form(rows, scores), tree)) >= lost


def gain():
    """|F|₂² of one column is the sum of its squares."""
    frame = np.concatenate([np.ones((32, 1)), np.full((4064, 1), SMALL)])
    given = Form(Enclosure(0 * frame.T), Enclosure([[1.0]]), RELU, False)
    found = project(given, proof("", 1.0, frame=frame, rows=[[0.0]]))
    return Fraction(float(found.gain.high)) ** 2 >= 32 + 4064 * Fraction(SMALL) ** 2


def least_norms():
    """No a ≥ 0 has a·val > N |Σ a_k v_k|: two generators all but opposite, and w all but across both."""
    for value in VALUES:
        first, across = np.array([0.4, 0.3, 0.3]) / value, np.array([0.7, -0.8, -0.13]) / value
        v, guess = np.stack([first, across * 2.0**-12 - first]), np.full((1, 2), 2.0**12)
        w = (guess @ v)[0]
        values = v @ (w / np.abs(w).max()) * np.array([1.0, 1 + 32 * UNIT])
        norm = float(_feasible_norms(v[None], values[None], guess)[0])
        if norm < math.inf and _refuted(v, values, norm):
            return False
    return True


def _refuted(v, values, norm):
    """At the a for which Σ a_k v_k has all products val."""
    one, other = ([Fraction(x) for x in row] for row in v.tolist())
    p, q = map(Fraction, values.tolist())
    squares, cross = [sum(x * x for x in row) for row in (one, other)], sum(map(operator.mul, one, other))
    a = squares[1] * p - cross * q, squares[0] * q - cross * p
    reached, length = a[0] * p + a[1] * q, sum((a[0] * x + a[1] * y) ** 2 for x, y in zip(one, other, strict=True))
    return min(a) >= 0 and reached > 0 and reached**2 > Fraction(norm) ** 2 * length


class InOrder:
    """A matrix whose products are summed one term after another."""

    def __init__(self, values):
        self.values = values

    @property
    def T(self):  # noqa: N802
        return InOrder(self.values.T)

    def __matmul__(self, other):
        return np.cumsum(self.values[:, :, None] * other[None], axis=1)[:, -1]


def far_starts_fail():
    """G = (½, …, ½): starts with |<g, v>| > δ must end longer than R; here G g is rounded to 0."""
    size, delta = 8192, 50 * UNIT
    length, norm = math.sqrt(size) + LENGTH_ROOM, math.sqrt(size)
    start = np.full((size, STARTS), 0.99 * 2.0**-47)
    start[0], start[-1] = 64.5, -64.5
    assert (size - 2) * 0.98 * 2.0**-47 / norm > delta * length
    upper = norm / 2 * (1 - 2.0**-20)
    test = plan_test(np.full((1, size), 0.5), upper, upper / 2, (delta * length * math.sqrt(2 / math.pi)) ** STARTS)
    return isinstance(test, str) or not replace(test, matrix=InOrder(test.matrix)).passes(start)


def power_test(size):
    """G = size (1 ± ½) has singular values beyond 1.2 size."""
    given = Form(Enclosure([[1.0]]), Enclosure([[size]], size / 2), IDENTITY, False)
    return rejects(power_test_holds, given, proof("randomized", 1.2 * size, 1e-2, edge=[size]), FLOATING_POINT)


def leaves_domain(y, mid):
    """Binary cross-entropy: [−y, 1 − y] does not hold mid ± 1/8 whole."""
    one, live = Enclosure([[1.0]]), np.array([[True]])
    loss = BoundLoss(LOSSES["binary-cross-entropy"], np.array([[y]]), one, live, Enclosure)
    return rejects(loss.require_domain, Enclosure([[mid]], 0.125), 1.0)


def half_strength():
    """Half of the strength of tied weights, where floats have no more digits."""
    given = 3 * 2.0**-1074
    return Fraction(TiedDecay(given, None).strength(Enclosure)) <= Fraction(given) / 2


def gate():
    """The sign of x·g + b, where b all but cancels the rest."""
    for value in VALUES:
        sample = value / np.arange(1.0, 40.0)[None]
        total = float(sample.sum())
        for bias in (-total, -math.nextafter(total, 0.0), -math.nextafter(total, math.inf)):
            opened = Gate(np.ones(39), bias).opened(sample, Enclosure)
            if bool(opened[0]) != (sum(map(Fraction, sample[0].tolist())) + Fraction(bias) > 0):
                return False
    return True


def gap():
    return Fraction(Verdict("valid", upper=1.0, lower=-(2.0**-60)).gap) >= 1 + Fraction(2.0**-60)


def ends_of_balls():
    with ctx.workprec(200):
        ends = [float((Balls.of(1.0) / value).low) for value in VALUES]
    return all(
        end == -math.inf or Fraction(end) * Fraction(value) <= 1 for end, value in zip(ends, VALUES, strict=True)
    )


def entropy_of_ball(upper):
    """T log t over [0, upper] reaches −1/e."""
    with ctx.workprec(200):
        return bool(balls._entropy(arb(upper / 2, upper / 2)).contains(-arb(-1).exp()))
