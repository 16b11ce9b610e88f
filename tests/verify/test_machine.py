"""The assumptions of docs/explanation/trusted-base.md hold on this machine, and enclosures enclose."""

import math
from decimal import Context, Decimal
from fractions import Fraction

import numpy as np
import pytest

from certify.verify.enclosure import LIBM_ULPS, Enclosure, between
from certify.verify.semidefinite import proves_semidefinite
from certify.verify.verdict import FLOATING_POINT

EXACT = Context(prec=60, Emin=-(10**6), Emax=10**6)


def ulps_off(computed, exact):
    """|computed − exact| in units in the last place of the exact value."""
    spacing = Decimal(math.ulp(float(exact)))
    return abs(EXACT.subtract(Decimal(float(computed)), exact)) / spacing


def samples(low, high, count=2000, seed=0):
    generator = np.random.default_rng(seed)
    return np.concatenate([generator.uniform(low, high, count), np.linspace(low, high, 101)])


def test_rounding_is_to_nearest_even():
    assert np.float64(1.0) + 2.0**-53 == 1.0
    assert np.float64(1.0) + 3 * 2.0**-54 == 1.0 + 2.0**-52
    assert np.float64(1.0) + 2.0**-52 + 2.0**-53 == 1.0 + 2.0**-51
    assert (np.full(9, 1.0) + 2.0**-53 == 1.0).all()


def test_subnormal_numbers_are_not_flushed_to_zero():
    tiny = np.full(16, 2.0**-1074)
    assert (tiny > 0).all()
    assert (tiny + tiny == 2.0**-1073).all()
    assert (np.full(16, 2.0**-1022) / 2 == 2.0**-1023).all()
    assert (tiny[None] @ np.ones((16, 1)))[0, 0] == 16 * 2.0**-1074


def test_division_and_square_root_are_correctly_rounded():
    generator = np.random.default_rng(1)
    a, b = generator.uniform(0.5, 2, 500), generator.uniform(0.5, 2, 500)
    for x, y, quotient, root in zip(a, b, a / b, np.sqrt(a), strict=True):
        exact = Fraction(float(x)) / Fraction(float(y))
        assert abs(Fraction(float(quotient)) - exact) <= Fraction(math.ulp(float(quotient))) / 2
        below, above = (Fraction(float(root)) + s * Fraction(math.ulp(float(root))) / 2 for s in (-1, 1))
        assert below**2 <= Fraction(float(x)) <= above**2


@pytest.mark.parametrize(
    ("function", "reference", "values"),
    [
        (np.exp, lambda t: EXACT.exp(t), samples(-700, 700)),
        (np.exp, lambda t: EXACT.exp(t), samples(-1, 1)),
        (np.log, lambda t: EXACT.ln(t), samples(1e-300, 1e-290)),
        (np.log, lambda t: EXACT.ln(t), samples(0.5, 2)),
        (np.log, lambda t: EXACT.ln(t), samples(0.999, 1.001)),
        (np.log, lambda t: EXACT.ln(t), samples(1e-9, 1e9)),
        (np.log1p, lambda t: EXACT.ln(EXACT.add(Decimal(1), t)), samples(0, 1)),
        (np.log1p, lambda t: EXACT.ln(EXACT.add(Decimal(1), t)), samples(0, 1e-12)),
    ],
)
def test_libm_is_within_its_units_in_the_last_place(function, reference, values):
    for x, computed in zip(values, function(values), strict=True):
        exact = reference(Decimal(float(x)))
        assert exact == computed == 0 or ulps_off(computed, exact) <= LIBM_ULPS, x


def test_dot_products_keep_the_bound_in_any_order():
    generator = np.random.default_rng(2)
    for size in (1, 7, 64, 1000):
        a = generator.standard_normal((3, size)) * 10.0 ** generator.uniform(-6, 6, (3, size))
        product = Enclosure(a) @ a.T
        for i in range(3):
            for j in range(3):
                exact = sum(
                    (Fraction(x) * Fraction(y) for x, y in zip(a[i].tolist(), a[j].tolist(), strict=True)), Fraction(0)
                )
                assert abs(exact - Fraction(float(product.mid[i, j]))) <= Fraction(float(product.rad[i, j]))


OPERATIONS = {
    "add": (lambda x, y: x + y, lambda a, b: a + b),
    "subtract": (lambda x, y: x - y, lambda a, b: a - b),
    "multiply": (lambda x, y: x * y, lambda a, b: a * b),
    "divide": (lambda x, y: x / y, lambda a, b: a / b),
    "maximum": (Enclosure.maximum, max),
    "absolute": (lambda x, y: x.absolute(), lambda a, b: abs(a)),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_enclose_the_exact_results(name):
    enclosed, exact = OPERATIONS[name]
    generator = np.random.default_rng(3)
    mids = generator.standard_normal((2, 400)) * 10.0 ** generator.uniform(-12, 12, (2, 400))
    rads = np.abs(mids) * 10.0 ** generator.uniform(-18, -1, (2, 400)) * generator.integers(0, 2, (2, 400))
    result = enclosed(Enclosure(mids[0], rads[0]), Enclosure(mids[1], rads[1]))
    for k in range(400):
        for s, t in ((-1, -1), (-1, 1), (1, -1), (1, 1), (0, 0)):
            a = Fraction(float(mids[0, k])) + s * Fraction(float(rads[0, k]))
            b = Fraction(float(mids[1, k])) + t * Fraction(float(rads[1, k]))
            value = exact(a, b)
            assert abs(value - Fraction(float(result.mid[k]))) <= Fraction(float(result.rad[k])), (name, k)


FUNCTIONS = {
    "exp": (Enclosure.exponential, lambda t: EXACT.exp(t), (-30, 30)),
    "log": (Enclosure.logarithm, lambda t: EXACT.ln(t), (1e-6, 50)),
    "sqrt": (Enclosure.square_root, lambda t: EXACT.sqrt(t), (0, 50)),
    "softplus": (Enclosure.softplus, lambda t: EXACT.ln(EXACT.add(Decimal(1), EXACT.exp(t))), (-60, 60)),
    "entropy": (Enclosure.entropy, lambda t: EXACT.multiply(t, EXACT.ln(t)) if t > 0 else Decimal(0), (0, 3)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_enclose_the_exact_results(name):
    enclosed, exact, (low, high) = FUNCTIONS[name]
    generator = np.random.default_rng(4)
    mids = np.append(generator.uniform(low, high, 500), [low, high])
    rads = mids * 0 + np.where(mids > low, np.minimum(mids - low, 10.0 ** generator.uniform(-17, -2, 502)), 0)
    result = enclosed(Enclosure(mids, rads))
    for k, (mid, rad) in enumerate(zip(mids, rads, strict=True)):
        for share in (-1, -0.5, 0, 0.5, 1):
            point = EXACT.add(Decimal(float(mid)), EXACT.multiply(Decimal(float(rad)), Decimal(share)))
            value = exact(max(point, Decimal(low)))
            distance = abs(EXACT.subtract(value, Decimal(float(result.mid[k]))))
            assert distance <= Decimal(float(result.rad[k])), (name, mid, rad, share)


def test_sums_and_norms_enclose_the_exact_results():
    generator = np.random.default_rng(5)
    values = generator.standard_normal((20, 30)) * 10.0 ** generator.uniform(-8, 8, (20, 30))
    total, rows, norms = Enclosure(values).sum(), Enclosure(values).sum(1), Enclosure(values).row_norms()
    exact = [sum(map(Fraction, row), Fraction(0)) for row in values.tolist()]
    assert abs(sum(exact) - Fraction(float(total.mid))) <= Fraction(float(total.rad))
    for k, row in enumerate(values.tolist()):
        assert abs(exact[k] - Fraction(float(rows.mid[k]))) <= Fraction(float(rows.rad[k]))
        square = sum((Fraction(v) ** 2 for v in row), Fraction(0))
        assert Fraction(float(norms.low[k])) ** 2 <= square <= Fraction(float(norms.high[k])) ** 2


def test_an_interval_is_enclosed():
    low, high = np.array([1.0, -3.0, 0.1]), np.array([2.0, -1.0, 0.1])
    both = between(low, high)
    assert (both.low <= low).all()
    assert (both.high >= high).all()


def test_what_is_not_a_number_grants_nothing():
    poisoned = Enclosure(np.array([np.nan]))
    assert not (poisoned.low >= 0).any()
    assert not (poisoned.high <= 0).any()
    assert not proves_semidefinite(Enclosure(np.full((2, 2), np.nan)))
    assert not proves_semidefinite(Enclosure(np.eye(2), np.inf))
    assert not FLOATING_POINT.dominates(Enclosure(np.nan), Enclosure(np.eye(2)))


def test_cholesky_accepts_no_indefinite_integer_matrix():
    """Gram matrices B Bᵀ − D with determinant exactly negative: proven indefinite by Fractions."""
    generator = np.random.default_rng(6)
    indefinite = 0
    for _ in range(2000):
        n = int(generator.integers(2, 5))
        b = generator.integers(-(2**20), 2**20, (n, n - 1)).astype(np.float64)
        matrix = b @ b.T
        matrix[0, 0] -= 1.0
        if determinant(matrix) < 0:
            indefinite += 1
            assert not proves_semidefinite(Enclosure(matrix))
    assert indefinite > 500


def determinant(matrix):
    rows = [[Fraction(int(v)) for v in row] for row in matrix]
    result = Fraction(1)
    for i in range(len(rows)):
        pivot = next((k for k in range(i, len(rows)) if rows[k][i] != 0), None)
        if pivot is None:
            return Fraction(0)
        if pivot != i:
            rows[i], rows[pivot] = rows[pivot], rows[i]
            result = -result
        result *= rows[i][i]
        for k in range(i + 1, len(rows)):
            factor = rows[k][i] / rows[i][i]
            rows[k] = [x - factor * y for x, y in zip(rows[k], rows[i], strict=True)]
    return result
