"""CP problems whose optimum is known: it is certified, found from nothing, and never exceeded by a bound."""

from dataclasses import replace

import numpy as np
import pytest

from certify.verify import verify_bytes
from certify.verify.exact import verify_bytes_exactly
from certify.workflows.check import CheckOptions, check, run_check
from certify.workflows.grow import grow

from .planted_tensors import FAMILIES, orthogonal

FEW, MANY = 20, 300
# Relative rounding of the closed form itself.
CLOSED_FORM_ERROR = 1e-11


def require_certified(family, made, folder):
    """The optimum as it was planted, by both checkers."""
    outcome = run_check(made.problem(folder), CheckOptions())
    result = outcome.result
    assert result.objective == pytest.approx(made.optimum, rel=1e-9)
    assert result.lower_bound <= made.optimum * (1 + CLOSED_FORM_ERROR)
    assert result.verdict == "certified", family
    return outcome


@pytest.mark.parametrize("family", FAMILIES)
def test_planted_optima_are_certified(family, tmp_path):
    rng = np.random.default_rng(70)
    for _ in range(FEW):
        require_certified(family, FAMILIES[family](rng), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_many_planted_optima_are_certified(family, tmp_path):
    rng = np.random.default_rng(71)
    for _ in range(MANY):
        require_certified(family, FAMILIES[family](rng), tmp_path)


@pytest.mark.parametrize("family", FAMILIES)
def test_optima_are_found_from_nothing(family, tmp_path):
    rng = np.random.default_rng(72)
    for _ in range(3):
        made = FAMILIES[family](rng)
        nothing = tuple(factor[:, :0] for factor in made.factors)
        grown = grow(made.problem(tmp_path, nothing, tolerance=1e-5))
        assert grown.result.verdict == "certified"
        assert made.optimum * (1 - CLOSED_FORM_ERROR) <= grown.result.objective <= made.optimum * (1 + 2e-5)
        assert verify_bytes(grown.certificate).status == "valid"
        assert verify_bytes_exactly(grown.certificate).status == "valid"


def test_a_tensor_without_terms_is_linked_to_its_files(tmp_path):
    made = replace(orthogonal(np.random.default_rng(76), 3), strength=1e3)
    nothing = tuple(factor[:, :0] for factor in made.factors)
    outcome = run_check(made.problem(tmp_path, nothing), CheckOptions())
    assert outcome.result.verdict == "certified"
    files = [(tmp_path / name).read_bytes() for name in ("model.pt", "entries.npz")]
    verdict = verify_bytes(outcome.certificate, files[0], tuple(files[1:]))
    assert verdict.status == "valid", verdict.message


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_no_untrained_tensor_is_certified(family, tmp_path):
    rng = np.random.default_rng(73)
    for _ in range(MANY // 3):
        made = FAMILIES[family](rng)
        width = int(rng.integers(0, 5))
        drawn = tuple(rng.standard_normal((len(factor), width)) * 0.5 for factor in made.factors)
        result = check(made.problem(tmp_path, drawn, tolerance=1e-3))
        slack = CLOSED_FORM_ERROR * made.optimum
        assert result.lower_bound <= made.optimum + slack
        assert result.best_known >= made.optimum - slack
        within = result.objective - made.optimum <= 1e-3 * result.objective + slack
        assert result.verdict != "certified" or within


@pytest.mark.parametrize("family", FAMILIES)
def test_optima_moved_a_little_are_improvable(family, tmp_path):
    rng = np.random.default_rng(74)
    for _ in range(5):
        made = FAMILIES[family](rng)
        moved = tuple(factor * (1 + 1e-2) for factor in made.factors)
        problem = made.problem(tmp_path, moved, tolerance=1e-9)
        excess = problem.objective.evaluate(problem.network).objective - made.optimum
        assert excess > 1e-6 * made.optimum
        result = check(problem)
        assert result.verdict == "improvable"
        assert result.gap >= excess - CLOSED_FORM_ERROR * made.optimum
