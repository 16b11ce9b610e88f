"""Degenerate problems: one sample, zero or doubled data, no weight, edges of the targets, extreme λ and scales.

Whatever the verdict, the bound is below the objective of every network that is known, and errors are certify's own.
"""

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from certify.bounds.ladder import trivial_bound
from certify.errors import CertifyError, ExitCode
from certify.growth.cells import cells_of
from certify.models.loading import Problem
from certify.problem import Rows, Slopes, View
from certify.verify import verify_bytes
from certify.workflows.certificate_of import settled_certificate
from certify.workflows.check import CheckOptions, run_check

from ..verify.packing import unpacked
from .ceilings import ceiling, parameters_of
from .sketches import SKETCHES
from .sums import planted_sum
from .test_enumerated_optimum import BIASES, SECONDS
from .torch_sums import problem_of
from .two_layers import TwoLayers, Weights

COUNT, SUM_COUNT = 20, 12
CEILING_ERROR = 1e-9
LOSSES = (
    *("mse", "huber", "binary-cross-entropy", "soft-margin", "squared-hinge", "poisson", "cross-entropy"),
    *("binary-cross-entropy", "cross-entropy"),
)
EDGES = {
    "binary-cross-entropy": (0.0, 1.0, 2.0**-1074, 1 - 2.0**-53, 0.5),
    "soft-margin": (-1.0, 1.0),
    "squared-hinge": (-1.0, 1.0),
    "poisson": (0.0, 1.0, 2.0**-1074, 30.0),
    "cross-entropy": (0.0, 1.0, 2.0**-1074, 0.25),
}


def degenerate(rng, loss, hidden, output):
    """One problem and weights."""
    n, d = (int(v) for v in rng.choice([1, 1, 2, 3, 5], 2))
    c = int(rng.integers(2, 4)) if loss == "cross-entropy" else int(rng.integers(1, 3))
    inputs = rng.standard_normal((n, d))
    match rng.integers(6):
        case 0:
            inputs = 0 * inputs
        case 1:
            inputs = inputs[rng.integers(0, n, n)]
        case 2:
            inputs = inputs * 10.0 ** rng.integers(-12, 13, (1, d))
        case 3:
            inputs = inputs * 10.0 ** rng.integers(-12, 13, (n, 1))
        case 4:
            inputs[rng.random(inputs.shape) < 0.5] = -0.0
    targets = rng.choice(EDGES.get(loss, (0.0, -1.0, 2.0**-1074, 1e3, rng.standard_normal())), (n, c))
    weights = rng.choice([0.0, 2.0**-600, 1e-6, 1.0, 1e6], n) if rng.random() < 0.4 else None
    strength = float(10 ** rng.choice([-12.0, -6.0, -2.0, 0.0, 3.0, 12.0]))
    scale = float(10 ** rng.choice([-6.0, 0.0, 0.0, 6.0]))
    problem = TwoLayers(
        inputs, targets, loss, str(rng.choice(["mean", "sum"])), scale, strength, hidden, output, weights
    )
    r, size = int(rng.integers(1, 4)), float(10 ** rng.choice([-8.0, -1.0, 0.0]))
    shapes = (r, d), (r,), (r, c), (c,)
    first, bias, second, out = (size * rng.standard_normal(shape) for shape in shapes)
    found = Weights(first, bias * (hidden != "absent"), second, out * (output != "absent"))
    return problem, found.scaled(0.0, 0.0) if rng.random() < 0.2 else found


@pytest.mark.slow
@pytest.mark.parametrize(("hidden", "output"), BIASES)
@pytest.mark.parametrize("part", range(2))
def test_bounds_on_degenerate_problems_stay_below_known_networks(part, hidden, output):
    rng, found = np.random.default_rng([70, part, *map(len, (hidden, output))]), Counter()
    for loss, _ in itertools.product(LOSSES, range(COUNT // len(LOSSES) + 1)):
        problem, weights = degenerate(rng, loss, hidden, output)
        size = float((problem.omega() * (np.abs(problem.targets) + 1) ** 2).sum())
        found[outcome_of(lambda p=problem, w=weights: p.problem(w, 1e-3, SECONDS), size)] += 1
    print(f"degenerate, {hidden} and {output}, part {part}: {sum(found.values())} models, {dict(found)}")  # noqa: T201


def times(penalty, key, factor):
    """A penalty with some of its numbers times a factor."""
    return penalty | {key: [factor * value for value in penalty[key]]}


def outcome_of(make, size):
    """The verdict, or the code of certify's own error; the bound is below every known network."""
    try:
        outcome = run_check(make(), CheckOptions())
    except CertifyError as error:
        return error.code
    result = outcome.result
    assert result.lower_bound <= result.best_known <= result.objective
    assert result.verdict != "certified" or outcome.certificate is not None
    if outcome.certificate is not None:
        assert verify_bytes(outcome.certificate).status == "valid"
        header, arrays = unpacked(outcome.certificate)
        top = ceiling(header["statement"], arrays, parameters_of(arrays))
        assert result.lower_bound <= top + CEILING_ERROR * (abs(top) + size), header["statement"]
    return result.verdict


@pytest.mark.slow
@pytest.mark.parametrize("name", SKETCHES)
def test_bounds_on_degenerate_sums_stay_below_known_networks(name):
    """Inputs and decays of a planted sum made degenerate; what was optimal is some network."""
    rng, found = np.random.default_rng([72, *name.encode()]), Counter()
    for index in range(SUM_COUNT):
        made = planted_sum(rng, SKETCHES[name](), ("mse", "binary-cross-entropy", "huber")[index % 3])
        inputs = made.arrays["X"]
        change = {
            0: lambda x: 0 * x,
            1: lambda x: x[rng.integers(0, len(x), len(x))],
            2: lambda x: x * 10.0 ** rng.integers(-12, 13, (1, x.shape[1])),
            3: lambda x: x * 10.0 ** rng.integers(-12, 13, (len(x), 1)),
            4: lambda x: np.where(rng.random(x.shape) < 0.5, -0.0, x),
            5: lambda x: x,
        }[index % 6]
        factor = float(10 ** rng.choice([-12.0, -3.0, 0.0, 3.0])) if index % 6 == 5 else 1.0
        branches = [
            branch | {"penalty": times(branch["penalty"], "strengths", factor)} for branch in made.statement["branches"]
        ]
        statement = made.statement | {"branches": branches}
        other = replace(made, statement=statement, arrays=made.arrays | {"X": change(inputs)})
        parameters = made.parameters if rng.random() < 0.8 else {n: 0 * v for n, v in made.parameters.items()}
        size = float((np.abs(made.arrays["Y"]) + 1).sum() ** 2)
        found[outcome_of(lambda o=other, p=parameters: problem_of(o, p, 1e-3, SECONDS), size)] += 1
    print(f"degenerate, {name}: {SUM_COUNT} models, {dict(found)}")  # noqa: T201


def test_a_branch_that_sees_zeros_alone_has_a_cell_without_walls():
    """What `certify check` ends in for three branches on inputs of zeros, one of them without a hidden bias."""
    one = torch.ones(1, 1, dtype=torch.float64)
    assert cells_of(Rows(View(0 * one), Slopes(1.0, 0.0)), (one, one), one[0]).walls.shape == (0, 1)


def test_a_dual_point_of_zero_is_certified_behind_a_pool():
    """The dual value of A = 0 is inf l, which needs no polar."""
    layers = torch.nn.Conv1d(1, 1, 1, bias=False), torch.nn.ReLU(), torch.nn.AvgPool1d(2), torch.nn.Flatten()
    model = torch.nn.Sequential(*layers, torch.nn.Linear(1, 1, bias=False)).double()
    problem = Problem.from_torch(model, np.ones((3, 1, 2)), np.ones((3, 1)), weight_decay=0.01)
    assert settled_certificate(problem, trivial_bound(problem.objective)).verdict.status == "valid"


def test_a_problem_without_any_weight_has_optimum_zero():
    """All sample weights zero: the loss is 0, and so is the optimum."""
    zero = np.zeros(2)
    problem = TwoLayers(np.ones((2, 1)), np.ones((2, 1)), "mse", "mean", 1.0, 1.0, "absent", "absent", zero)
    weights = Weights(np.ones((1, 1)), np.zeros(1), np.ones((1, 1)), np.zeros(1))
    for chosen, verdict in ((weights, "improvable"), (replace(weights, second=0 * weights.second).scaled(0, 0), None)):
        try:
            result = run_check(problem.problem(chosen, 1e-3, SECONDS), CheckOptions()).result
        except CertifyError:
            continue
        assert result.lower_bound <= 0
        assert verdict in (None, result.verdict)


@pytest.mark.parametrize("rest", [0.0, 1e6])
def test_samples_without_any_observed_target_do_not_change_the_optimum(rest):
    """X = I and rows that the mask hides: the optimum is that of the other rows, the soft-thresholded SVD."""
    rng = np.random.default_rng(71)
    targets = rng.standard_normal((5, 3))
    left, values, right = np.linalg.svd(targets[:3], full_matrices=False)
    strength = float(values[1])
    kept = np.maximum(values - strength, 0)[:1]
    optimum = float((np.minimum(values, strength) ** 2).sum() / 2 + strength * kept.sum())
    targets[3:] = rest
    model = torch.nn.Sequential(torch.nn.Linear(5, 1, bias=False), torch.nn.Linear(1, 3, bias=False)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.from_numpy(np.append(left[:, 0] * np.sqrt(kept), [0.0, 0.0])[None]))
        model[1].weight.copy_(torch.from_numpy(right[0][:, None] * np.sqrt(kept)))
    problem = Problem.from_torch(
        model,
        np.eye(5),
        targets,
        weight_decay=strength,
        reduction="sum",
        scale=0.5,
        layers=[{"linear": "0"}, {"linear": "1"}],
        mask=np.repeat([[True], [True], [True], [False], [False]], 3, 1),
    )
    result = run_check(problem, CheckOptions()).result
    assert result.verdict == "certified"
    assert result.objective == pytest.approx(optimum, rel=1e-12)
    assert optimum * (1 - 1e-6) <= result.lower_bound <= optimum * (1 + 1e-12)


EXPONENTS = (-300, -150, -20, 0, 0, 0, 20, 150, 300)


def extreme(rng, loss, hidden, output):
    """A degenerate problem with inputs, targets, weights, loss or penalty of any size that float64 has."""
    problem, weights = degenerate(rng, loss, hidden, output)
    x, y, scale, strength, size = (10.0 ** rng.choice(EXPONENTS, 5)).tolist()
    targets = problem.targets if loss in EDGES else problem.targets / (np.abs(problem.targets).max() or 1) * y
    inputs = problem.inputs / (np.abs(problem.inputs).max() or 1) * x
    changed = replace(problem, inputs=inputs, targets=targets, scale=scale, strength=strength)
    return changed, Weights(*(size * part for part in (weights.first, weights.hidden, weights.second, weights.output)))


def settled(problem):
    """The verdict, or the code of certify's own error other than an internal one."""
    try:
        outcome = run_check(problem(), CheckOptions())
    except CertifyError as error:
        assert error.exit_code != ExitCode.INTERNAL, error  # noqa: PT017
        return error.code
    if outcome.certificate is not None:
        assert verify_bytes(outcome.certificate).status == "valid"
    return outcome.result.verdict


@pytest.mark.slow
@pytest.mark.parametrize(("hidden", "output"), BIASES)
def test_problems_of_any_size_end_in_a_verdict_or_an_error(hidden, output):
    rng, found = np.random.default_rng([73, *map(len, (hidden, output))]), Counter()
    for loss, _ in itertools.product(LOSSES, range(COUNT)):
        with np.errstate(over="ignore", invalid="ignore"):
            problem, weights = extreme(rng, loss, hidden, output)
        found[settled(lambda p=problem, w=weights: p.problem(w, 1e-3, 0.2))] += 1
    print(f"extreme, {hidden} and {output}: {sum(found.values())} models, {dict(found)}")  # noqa: T201


HUGE = {
    # Each ended in another traceback: a decomposition of what overflows, sums of infinities, powers, empty networks.
    "a free output bias": {"x": 1e150, "y": 1e150, "hidden": "absent", "output": "free"},
    "inputs whose squares overflow": {"x": 1e200, "y": 1.0, "hidden": "free", "output": "absent"},
    "a loss that overflows": {"x": 1.0, "y": 1e200, "hidden": "absent", "output": "absent"},
    "a penalty whose square overflows": {"x": 1.0, "y": 1.0, "strength": 1e300, "hidden": "free", "output": "free"},
    "a scale that overflows": {"x": 1.0, "y": 1e9, "scale": 1e300, "hidden": "penalized", "output": "absent"},
    "what underflows": {"x": 1e-200, "y": 1e-200, "strength": 1e-300, "hidden": "penalized", "output": "free"},
}


@pytest.mark.parametrize("loss", ["mse", "poisson", "cross-entropy"])
@pytest.mark.parametrize("case", HUGE.values(), ids=HUGE)
def test_numbers_near_the_ends_of_float64_end_in_a_verdict_or_an_error(case, loss):
    rng = np.random.default_rng(74)
    targets = np.eye(2)[[0, 1, 1, 0]] * (1.0 if loss in EDGES else case["y"])
    sizes = case.get("scale", 1.0), case.get("strength", 1.0)
    inputs = rng.standard_normal((4, 3)) * case["x"]
    problem = TwoLayers(inputs, targets, loss, "mean", *sizes, case["hidden"], case["output"])
    weights = Weights(np.ones((2, 3)), np.zeros(2), np.ones((2, 2)), np.zeros(2))
    assert settled(lambda: problem.problem(weights, 1e-3, 0.2))


@pytest.mark.parametrize("hidden", [1, 3])
@pytest.mark.parametrize("middle", [torch.nn.ReLU(), torch.nn.Identity()])
def test_moments_that_overflow_leave_the_verdict_open_or_improvable(middle, hidden):
    layers = torch.nn.Linear(2, hidden, bias=False), middle, torch.nn.Linear(hidden, 2, bias=False)
    model = torch.nn.Sequential(*layers).double()
    inputs, targets = np.array([[1e160, 1.0], [3.0, 1e160]]), np.array([[1e150, 0.0], [1.0, 1e150]])
    found = settled(lambda: Problem.from_torch(model, inputs, targets, weight_decay=1.0, budget_seconds=0.2))
    assert found != "certified"


def test_a_steep_slope_is_no_defect():
    """Rounding of σ(t) = 1e12 t where t < 0 is 1e12 times that of t."""
    layers = torch.nn.Linear(3, 4), torch.nn.LeakyReLU(1e12), torch.nn.Linear(4, 1)
    rng = np.random.default_rng(75)
    model = torch.nn.Sequential(*layers).double()
    inputs, targets = rng.standard_normal((9, 3)), rng.standard_normal(9)
    assert settled(lambda: Problem.from_torch(model, inputs, targets, weight_decay=1.0, budget_seconds=0.2))
