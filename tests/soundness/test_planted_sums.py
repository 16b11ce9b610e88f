"""Release gate: every slope, readout and sum of branches that the theory serves, at planted optima and at other models.

The optimum is planted at maximizers of the polars, which enumeration of all faces or a singular value decomposition
finds (`sums`). Objectives are computed layer by layer in numpy, without certify.
"""

from collections import Counter

import numpy as np
import pytest

from certify.verify import verify_bytes
from certify.verify.exact import verify_bytes_exactly
from certify.workflows.check import CheckOptions, check, run_check

from ..verify.packing import unpacked
from .ceilings import Stated, scaled
from .enumerated import FREE_TARGETS, polar_by_faces
from .sketches import SKETCHES
from .sums import planted_sum, polar_of
from .torch_sums import problem_of

COUNT = 45
SECONDS = 0.5
# Rounding of the planted optimum, in units of 1 + |optimum|.
PLANTED_ERROR = 1e-11


def repeated(parameters, shares):
    """Every neuron once for each share, with that share of its output."""
    parts = [scaled(parameters, np.sqrt(share), np.sqrt(share)) for share in shares]
    return {
        n: values if n[0] == "C" else np.concatenate([part[n] for part in parts]) for n, values in parameters.items()
    }


def noisy(rng, parameters, size):
    return {name: values * (1 + size * rng.standard_normal(values.shape)) for name, values in parameters.items()}


def without_a_branch(rng, parameters):
    gone = str(rng.integers(sum(name.endswith(".1") for name in parameters)))
    return {name: values * (not name.startswith(f"F{gone}.")) for name, values in parameters.items()}


MODELS = {
    "optimal": lambda rng, p: p,
    "near miss": lambda rng, p: scaled(p, *[1 + 10 ** rng.uniform(-9, -3)] * 2),
    "perturbed": lambda rng, p: noisy(rng, p, 10 ** rng.uniform(-9, -1)),
    "unbalanced": lambda rng, p: scaled(p, *(lambda factor: (factor, 1 / factor))(1 + rng.uniform(0, 0.1))),
    "misscaled": lambda rng, p: scaled(p, 10 ** rng.uniform(-1, 0.5), 1.0),
    "split": lambda rng, p: repeated(p, (0.3, 0.7)),
    "doubled, with dead neurons": lambda rng, p: repeated(p, (1.0, 1.0, 0.0)),
    "without a branch": without_a_branch,
    "zero": lambda rng, p: scaled(p, 0.0, 0.0),
    "untrained": lambda rng, p: {
        name: 10 ** rng.uniform(-2, 0.5) * rng.standard_normal(values.shape) for name, values in p.items()
    },
}


def instance(rng, name, index):
    """One planted problem; the loss changes with the index."""
    sketch = SKETCHES[name]()
    losses = [loss for loss in FREE_TARGETS if loss != "cross-entropy" or max(sketch.outputs) > 1]
    return planted_sum(rng, sketch, losses[index % len(losses)])


@pytest.mark.slow
@pytest.mark.parametrize("name", SKETCHES)
def test_no_bound_exceeds_the_optimum_of_a_planted_sum(name):
    rng, verdicts = np.random.default_rng([90, *name.encode()]), Counter()
    for index in range(COUNT):
        made = instance(rng, name, index)
        model = list(MODELS)[index % len(MODELS)]
        parameters, tolerance = MODELS[model](rng, made.parameters), float(10 ** rng.uniform(-5, -2))
        objective = made.objective(parameters)
        result = check(problem_of(made, parameters, tolerance, SECONDS))
        verdicts[result.verdict] += 1
        slack = PLANTED_ERROR * (1 + abs(made.optimum) + 1e-2 * abs(objective))
        assert result.objective == pytest.approx(objective, rel=1e-10, abs=slack)
        assert result.lower_bound <= made.optimum + slack, (model, made)
        assert result.best_known >= made.optimum - slack, (model, made)
        allowed = tolerance * abs(result.objective)
        assert result.verdict != "certified" or objective - made.optimum <= allowed + slack, (model, made)
        assert result.verdict != "improvable" or objective - made.optimum > allowed - slack, (model, made)
    print(f"{name}, planted: {COUNT} models, {dict(verdicts)}, 0 false certificates")  # noqa: T201


@pytest.mark.parametrize("name", SKETCHES)
def test_a_planted_sum_is_certified_and_its_certificate_holds_exactly(name):
    """The bounds reach the planted optimum, which shows that it is one; a bound that is merely small would not."""
    rng = np.random.default_rng([91, *name.encode()])
    for index in range(2):
        made = instance(rng, name, index)
        outcome = run_check(problem_of(made, made.parameters, 1e-2, 10.0), CheckOptions())
        assert outcome.result.verdict == "certified"
        for verify in (verify_bytes, verify_bytes_exactly):
            verdict = verify(outcome.certificate)
            assert verdict.status == "valid"
            assert verdict.certified
            assert verdict.lower <= made.optimum + PLANTED_ERROR * (1 + abs(made.optimum))
        header, arrays = unpacked(outcome.certificate)
        own = {key: values for key, values in arrays.items() if key[0] in "FC"}
        stated = Stated(header["statement"], arrays).objective(own)
        assert stated == pytest.approx(made.optimum, rel=1e-12, abs=PLANTED_ERROR)


@pytest.mark.parametrize("name", SKETCHES)
def test_near_misses_of_planted_sums_are_never_certified_below_their_excess(name):
    rng = np.random.default_rng([92, *name.encode()])
    for excess in (1e-3, 1e-9):
        made = instance(rng, name, 0)
        parameters = scaled(made.parameters, *[1 + np.sqrt(excess)] * 2)
        result = check(problem_of(made, parameters, 1e-2, SECONDS))
        slack = PLANTED_ERROR * (1 + abs(made.optimum))
        assert result.lower_bound <= made.optimum + slack
        assert result.gap >= made.objective(parameters) - made.optimum - slack


@pytest.mark.parametrize("name", SKETCHES)
def test_planted_polars_are_attained_and_no_random_direction_exceeds_them(name):
    """Forward passes, layer by layer, of unit neurons against Q."""
    rng = np.random.default_rng([93, *name.encode()])
    made = planted_sum(rng, SKETCHES[name](), "mse")
    stated = Stated(made.statement, made.arrays)
    scores = stated.omega * 2 * (made.arrays["Y"] - stated.outputs(made.parameters))
    for index, branch in enumerate(stated.branches):
        size = made.parameters[f"F{index}.1"].shape[1]
        value, unit, second = polar_of(branch, stated.inputs, scores, size)
        forward = branch.layers.forward(stated.inputs, *unit, second[None])
        assert (scores * forward).sum() == pytest.approx(value, rel=1e-9)
        assert value <= branch.strength * (1 + 1e-9)
        for _ in range(200):
            first, bias = branch.unit(
                _normed(rng.standard_normal(unit[0].shape[1] + (branch.bias != "absent")), branch)
            )
            response = branch.layers.forward(stated.inputs, first, bias, _normed(rng.standard_normal(size), None)[None])
            assert (scores * response).sum() <= value * (1 + 1e-9)


def _normed(direction, branch):
    """Of length 1; a free bias aside."""
    free = branch is not None and branch.bias == "free"
    return direction / np.linalg.norm(direction[:-1] if free else direction)


@pytest.mark.parametrize("slopes", [(1.0, 0.1), (1.0, -0.3), (1.0, 1.7), (1.0, -1.0)])
def test_faces_are_as_good_as_many_directions_for_any_slopes(slopes):
    rng = np.random.default_rng(94)
    for _ in range(10):
        n, d, c = (int(rng.integers(*ends)) for ends in ((2, 7), (1, 4), (1, 4)))
        inputs, scores = rng.standard_normal((n, d)), rng.standard_normal((n, c))
        value, direction = polar_by_faces(inputs, scores, slopes)
        sampled = rng.standard_normal((20_000, d))
        sampled /= np.linalg.norm(sampled, axis=1, keepdims=True)
        tried = np.concatenate([sampled, direction[None]]) @ inputs.T
        values = np.linalg.norm((slopes[0] * np.maximum(tried, 0) + slopes[1] * np.minimum(tried, 0)) @ scores, axis=1)
        assert values[:-1].max() <= value * (1 + 1e-12)
        assert values[-1] == pytest.approx(value, rel=1e-10)
