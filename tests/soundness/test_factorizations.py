"""Release gate of factorizations: optima in closed form, and optima of a generic convex solver."""

from collections import Counter

import cvxpy
import numpy as np
import pytest

from certify.growth.descent import descend
from certify.workflows.check import check

from .bases import BOTH, COUNTED, COUNTED_FREE, DECAYED, FREE, PRODUCT
from .factored import FAMILIES, scattered, solved

FEW, PARTS, COUNT = 20, 4, 35
# Relative rounding of the closed form itself.
CLOSED_FORM_ERROR = 1e-12
# Relative accuracy of the solver's optimum, at its own tolerance of 1e-9.
SOLVER_ERROR = 1e-6
PERTURBATION = 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_optima_in_closed_form_are_certified(family):
    rng = np.random.default_rng(70)
    for _ in range(FEW):
        made = solved(rng, family)
        result = check(made.problem.problem(made.tables))
        assert result.objective == pytest.approx(made.optimum, rel=1e-9)
        assert result.lower_bound <= made.optimum * (1 + CLOSED_FORM_ERROR)
        assert result.verdict == "certified"


def noisy(rng, tables, size=PERTURBATION):
    """Noise on every table."""
    return {name: values + size * rng.standard_normal(values.shape) for name, values in tables.items()}


def unbalanced(_, tables):
    """One factor larger and the other smaller: the same function."""
    grown, shrunk = tables["left"] * (1 + PERTURBATION), tables["right"] / (1 + PERTURBATION)
    return tables | {"left": grown, "right": shrunk}


def without_last_term(_, tables):
    """One term less."""
    return tables | {name: tables[name][:, :-1] for name in ("left", "right")}


def too_large(rng, tables):
    """All terms too large."""
    size = 1 + 10 ** rng.uniform(-9, -3)
    return tables | {name: tables[name] * size for name in ("left", "right")}


def untrained(rng, tables):
    """Random tables."""
    return {name: 10 ** rng.uniform(-2, 0.5) * rng.standard_normal(values.shape) for name, values in tables.items()}


# How an optimum is spoiled, and which reasons may be given for it.
SPOILED = {
    noisy: {"not-stationary", "unbalanced"},
    unbalanced: {"unbalanced"},
    without_last_term: {"missing-subnetwork"},
}


@pytest.mark.parametrize("spoil", SPOILED)
@pytest.mark.parametrize("family", FAMILIES)
def test_perturbed_optima_are_improvable_for_the_right_reason(family, spoil):
    rng = np.random.default_rng(71)
    for _ in range(5):
        made = solved(rng, family)
        # Below what any of these perturbations costs.
        spoiled = made.problem.problem(spoil(rng, made.tables), tolerance=1e-12, seconds=2.0)
        result = check(spoiled)
        assert result.verdict == "improvable"
        assert result.reason in SPOILED[spoil]
        assert made.optimum * (1 - CLOSED_FORM_ERROR) <= result.best_known < result.objective


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("family", FAMILIES)
def test_no_bound_exceeds_an_optimum_in_closed_form(family, part):
    rng, verdicts = np.random.default_rng([72, part]), Counter()
    ways = (noisy, unbalanced, without_last_term, too_large, untrained, lambda _, tables: tables)
    for index in range(COUNT):
        made, tolerance = solved(rng, family), float(10 ** rng.uniform(-9, -2))
        tables = ways[index % len(ways)](rng, made.tables)
        result = check(made.problem.problem(tables, tolerance, seconds=2.0))
        slack, truth = CLOSED_FORM_ERROR * made.optimum, result.objective - made.optimum
        verdicts[result.verdict] += 1
        assert result.lower_bound <= made.optimum + slack
        assert result.best_known >= made.optimum - slack
        assert result.gap >= truth - slack
        assert result.verdict != "certified" or truth <= tolerance * result.objective + slack
        assert result.verdict != "improvable" or truth > tolerance * result.objective * (1 - 1e-12) - slack
    print(f"{family}, part {part}: {COUNT} models, {dict(verdicts)}, 0 false certificates")  # noqa: T201


def solver_optimum(problem):
    """The optimum by a generic solver, over a matrix W with W_ij = √(counts) Z_ij and over biases."""
    m, n = problem.shape
    rows, columns = problem.places.T
    counted = problem.penalty.get("entry_counts", False)
    counts = [np.bincount(index, minlength=extent) for index, extent in ((rows, m), (columns, n))]
    weights = np.ones(len(rows)) if problem.weights is None else problem.weights
    share = len(rows) if problem.settings.get("reduction") == "mean" else 1
    matrix = cvxpy.Variable((m, n))
    scale = problem.settings.get("factor", 1.0) / (np.sqrt(counts[0][rows] * counts[1][columns]) if counted else 1.0)
    outputs = cvxpy.multiply(np.ones(len(rows)) * scale, cvxpy.vec(matrix, order="C")[rows * n + columns])
    level, decays = strengths_of(problem)
    penalty = level * cvxpy.normNuc(matrix)
    indices = {"row_bias": rows, "column_bias": columns, "global_bias": np.zeros(len(rows), int)}
    for name, extent in problem.extents().items():
        bias = cvxpy.Variable(extent)
        outputs = outputs + bias[indices[name]]
        often = counts[BOTH.index(name)] if counted and name in BOTH else np.ones(extent)
        penalty = penalty + decays[name] / 2 * cvxpy.sum(cvxpy.multiply(often, bias**2))
    y = problem.values
    losses = {
        "mse": lambda: (outputs - y) ** 2,
        "huber": lambda: cvxpy.huber(outputs - y) / 2,
        "poisson": lambda: cvxpy.exp(outputs) - cvxpy.multiply(y, outputs),
        "binary-cross-entropy": lambda: cvxpy.logistic(outputs) - cvxpy.multiply(y, outputs),
    }
    total = cvxpy.sum(cvxpy.multiply(weights / share, losses[problem.loss]()))
    if "unobserved" in problem.settings:
        unseen = np.ones((m, n))
        unseen[rows, columns] = 0
        total = total + problem.settings["unobserved"] * cvxpy.sum_squares(cvxpy.multiply(unseen, matrix))
    return cvxpy.Problem(cvxpy.Minimize(total + penalty)).solve(cvxpy.CLARABEL)


def strengths_of(problem):
    """λ, and the decay of every bias."""
    if "product_of_norms" in problem.penalty:
        return problem.penalty["product_of_norms"]["strength"], dict.fromkeys(problem.biases, 0.0)
    decays = problem.penalty["weight_decay"]
    decays = decays if isinstance(decays, dict) else dict.fromkeys(("left", "right", *problem.biases), decays)
    return np.sqrt(decays["left"] * decays["right"]), {n: decays.get(n, decays.get("*_bias")) for n in problem.biases}


ALL = (*BOTH, "global_bias")
WEIGHTED = {"weights": np.array([0, 0.5, 1, 2, 0.1]), "settings": {"reduction": "mean", "factor": -1.5}}
UNEVEN = {"weight_decay": {"left": 0.1, "right": 0.6}}
UNOBSERVED = {"penalty": UNEVEN, "weights": np.array([3, 0.5, 9]), "settings": {"unobserved": 1.0}}
CASES = {
    "some entries": ("mse", {}),
    "weighted": ("mse", {"penalty": {"weight_decay": 0.03}} | WEIGHTED),
    "product of norms": ("mse", {"penalty": PRODUCT}),
    "unobserved": ("mse", {"settings": {"unobserved": 0.3}}),
    "unobserved, weighted, uneven decays": ("mse", UNOBSERVED),
    "unobserved, heavier than observed": ("mse", {"weights": np.array([0, 0.5, 1]), "settings": {"unobserved": 5.0}}),
    "free biases": ("mse", {"penalty": FREE, "biases": BOTH}),
    "decayed biases": ("mse", {"penalty": DECAYED, "biases": ALL}),
    "counted": ("mse", {"penalty": COUNTED, "biases": BOTH}),
    "counted, a free bias": ("huber", {"penalty": COUNTED_FREE, "biases": ("row_bias",)}),
    "huber": ("huber", {"penalty": FREE, "biases": BOTH}),
    "poisson": ("poisson", {"penalty": DECAYED, "biases": ALL}),
    "binary-cross-entropy": ("binary-cross-entropy", {"penalty": DECAYED, "biases": ALL}),
}


def require_solvers_optimum(rng, name):
    """A descended model is certified at the optimum of the solver, and an untrained one has a bound below it."""
    loss, given = CASES[name]
    optimum, slack = 0.0, SOLVER_ERROR
    # Where biases alone fit the entries, no relative tolerance is met.
    while abs(optimum) < slack:
        shape = int(rng.integers(3, 8)), int(rng.integers(3, 7))
        made = scattered(rng, shape, rng.uniform(0.4, 0.9), loss, **given)
        optimum = solver_optimum(made)
    start = made.problem(made.random_tables(rng, min(shape), 0.5), tolerance=1e-4)
    early = check(start)
    assert early.lower_bound <= optimum + slack * (1 + abs(optimum))
    trained = start.with_network(descend(start.objective, start.network, np.inf, 1000))
    result = check(trained)
    assert result.verdict == "certified"
    assert result.objective == pytest.approx(optimum, rel=1e-4, abs=1e-5)
    assert result.lower_bound <= optimum + slack * (1 + abs(optimum))
    assert result.objective >= optimum - slack * (1 + abs(optimum))


@pytest.mark.parametrize("name", CASES)
def test_a_trained_factorization_is_certified_at_the_optimum_of_a_convex_solver(name):
    rng = np.random.default_rng(73)
    for _ in range(2):
        require_solvers_optimum(rng, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_many_factorizations_have_the_optimum_of_a_convex_solver(name):
    rng = np.random.default_rng(74)
    for _ in range(15):
        require_solvers_optimum(rng, name)
