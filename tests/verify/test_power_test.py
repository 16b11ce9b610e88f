"""The randomized test: true bounds pass, false ones fail, and no more often than stated does a false one pass."""

import numpy as np
import pytest

from certify.verify.proofs.power_test import PowerTest, plan_test, random_starts

STATED, DRAWS = 1e-2, 3000


def with_values(rng, values, rows=None, top=None):
    """A matrix with given singular values, largest first; `top` may fix the first right singular vector."""
    size = len(values)
    left = np.linalg.qr(rng.standard_normal((rows or size, size)))[0]
    first = rng.standard_normal((size, size))
    if top is not None:
        first[:, 0] = top
    right = np.linalg.qr(first)[0]
    return (left * values) @ right.T


def spectra(rng, size):
    yield "one", np.r_[1.0, np.zeros(size - 1)]
    yield "multiple", np.r_[np.ones(size // 2), 0.3 * np.ones(size - size // 2)]
    yield "tiny gap", np.r_[1.0, (1 - 1e-9) * np.ones(size - 1)]
    yield "spread", np.sort(rng.random(size))[::-1]
    yield "decay", 0.7 ** np.arange(size)


@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
def test_true_bounds_pass_whatever_the_spectrum(scale):
    rng = np.random.default_rng(0)
    for _, values in spectra(rng, 60):
        matrix = scale * with_values(rng, values, rows=80)
        edge = scale * values[0] * (1 + 1e-9)
        for room in (1e-5, 1e-3, 0.1):
            test = plan_test(matrix, edge * (1 + room), edge, 1e-12)
            assert isinstance(test, PowerTest)
            assert test.passes(random_starts(60))


def test_false_bounds_fail_even_where_the_top_vector_is_orthogonal_to_simple_ones():
    rng = np.random.default_rng(1)
    for _ in range(20):
        for _, values in spectra(rng, 40):
            top = rng.standard_normal(40)
            top[:5] = 0
            top -= np.r_[np.zeros(5), np.full(35, top.sum() / 35)]
            matrix = with_values(rng, values, top=top)
            upper = values[0] * (1 - 1e-3)
            test = plan_test(matrix, upper, upper / (1 + 1e-3), 1e-12)
            assert isinstance(test, PowerTest)
            assert not test.passes(random_starts(40))


def errors(test, size):
    return sum(test.passes(random_starts(size)) for _ in range(DRAWS))


def test_a_false_bound_passes_no_more_often_than_stated():
    """A bound just below the only nonzero value, where the rest of the spectrum helps to detect nothing."""
    matrix = np.diag(np.r_[1.0, np.zeros(29)])
    upper = 1 - 1e-9
    test = plan_test(matrix, upper, upper / 1.02, STATED)
    assert isinstance(test, PowerTest)
    assert errors(test, 30) <= DRAWS * STATED + 4 * (DRAWS * STATED) ** 0.5
    shorter = PowerTest(test.matrix, test.factor, test.length, test.degree // 3)
    assert errors(shorter, 30) > DRAWS * STATED


def test_what_cannot_be_tested_is_said():
    matrix = with_values(np.random.default_rng(2), np.linspace(1, 0, 30))
    assert "rounding alone" in plan_test(matrix, 1.01, 1.0, 1e-100)
    assert "edge" in plan_test(matrix, 1.0, 1.0, 1e-12)
    assert "edge" in plan_test(matrix, 1.0, -1.0, 1e-12)
    assert "times the edge" in plan_test(matrix, 1 + 1e-12, 1.0, 1e-12)
    for edge in (5e-324, 1e-300, 1e-40):
        assert "far from" in plan_test(matrix, 1.0, edge, 1e-12)
    assert "far from" in plan_test(matrix, 1e60, 1.0, 1e-12)
    assert "matrix is 0" in plan_test(np.full((2, 2), 5e-324), 1.0, 0.5, 1e-12)
    assert "0" in plan_test(np.zeros((3, 3)), 1.0, 0.5, 1e-12)


def test_a_smaller_probability_or_less_room_takes_more_steps():
    matrix = with_values(np.random.default_rng(3), np.linspace(1, 0, 30))
    degrees = [plan_test(matrix, 1 + room, 1.0, p).degree for room, p in ((0.1, 1e-3), (0.1, 1e-12), (1e-3, 1e-12))]
    assert degrees == sorted(degrees)
    assert degrees[0] < degrees[1] < degrees[2]
