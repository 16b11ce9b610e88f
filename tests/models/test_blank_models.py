"""Networks of width zero from layers alone, and what is grown from them, against torch."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from certify.errors import UsageError
from certify.models.loading import Problem
from certify.models.lowering.layer_inference import layers_needed
from certify.models.spec.problem_file import load_problem_file
from certify.problem.kinds import Absolute, LeakyReLU, Linear, Quadratic, ReLU
from tests.models.writers.widened import widened, written

DECAY = "{weight_decay: 0.1}"
PRODUCT = "{product_of_norms: {strength: 0.1, powers: [2, 1]}}"
KINDS = [
    ("", Linear(), DECAY, lambda t: t),
    ("relu, ", ReLU(), DECAY, torch.relu),
    ("{leaky_relu: 0.1}, ", LeakyReLU(0.1), DECAY, lambda t: functional.leaky_relu(t, 0.1)),
    # As the command line has it.
    ("{leaky_relu: '-0.5'}, ", LeakyReLU(-0.5), DECAY, lambda t: functional.leaky_relu(t, -0.5)),
    ("abs, ", Absolute(), DECAY, torch.abs),
    ("square, ", Quadratic(), PRODUCT, torch.square),
]


def spec_of(write_problem, between, penalty, biases="{output: free}"):
    layers = f"[{{linear: fc1}}, {between}{{linear: fc2}}]"
    return load_problem_file(write_problem("none.pt", layers=layers, penalty=penalty, biases=biases))


@pytest.mark.parametrize(("between", "kind", "penalty", "activation"), KINDS)
def test_growth_starts_from_width_zero_with_any_kind(
    tmp_path, data_file, arrays, write_problem, between, kind, penalty, activation
):
    spec = spec_of(write_problem, between, penalty)
    problem = Problem.from_scratch(spec)
    assert [branch.kind for branch in problem.objective.branches] == [kind]
    assert problem.network.widths == (0,)
    zeros = functional.mse_loss(torch.zeros(20, 2, dtype=torch.float64), torch.from_numpy(arrays[1]))
    assert problem.objective.evaluate(problem.network).objective == pytest.approx(float(zeros), rel=1e-14)

    network = widened(problem)
    out = tmp_path / "grown.pt"
    _, again = written(spec, problem, network, out)
    assert [branch.kind for branch in again.objective.branches] == [kind]
    state = torch.load(out, weights_only=True)
    hidden = activation(functional.linear(torch.from_numpy(arrays[0]), state["fc1.weight"], state["fc1.bias"]))
    expected = functional.linear(hidden, state["fc2.weight"], state["fc2.bias"])
    torch.testing.assert_close(again.objective.forward(again.network), expected, rtol=1e-12, atol=1e-12)


def test_biases_that_are_absent_are_not_made(data_file, write_problem):
    problem = Problem.from_scratch(spec_of(write_problem, "abs, ", DECAY, "{hidden: absent, output: absent}"))
    assert list(problem.graph.parameters) == ["fc1.weight", "fc2.weight"]


@pytest.mark.parametrize("layers", ["[{linear: fc1}, relu]", "[{linear: a}, abs, {linear: b}, abs, {linear: c}]"])
def test_other_lists_are_told_what_may_stand_between(data_file, write_problem, layers):
    with pytest.raises(UsageError, match="nothing, relu, leaky_relu, abs or square between them") as caught:
        Problem.from_scratch(load_problem_file(write_problem("none.pt", layers=layers)))
    assert caught.value.code == "layers-needed"


def test_the_lines_to_paste_say_what_may_stand_between():
    error = layers_needed("m.pt", {f"{name}.weight": torch.zeros(3, 3) for name in "ab"}, "no order")
    assert "(relu, leaky_relu: SLOPE, abs, square, or nothing between)" in str(error)


RATED = np.argwhere(np.random.default_rng(0).random((6, 5)) < 0.8)
RATINGS = np.random.default_rng(1).normal(size=len(RATED))


@pytest.mark.parametrize("form", ["csv", "places", "coordinates", "whole"])
def test_a_factorization_starts_from_the_extents_of_its_data(tmp_path, form):
    path = tmp_path / ("train.csv" if form == "csv" else "train.npz")
    match form:
        case "csv":
            lines = [f"{i},{j},{v!r}" for (i, j), v in zip(RATED, RATINGS.tolist(), strict=True)]
            path.write_text("user,item,rating\n" + "\n".join(lines))
        case "places":
            np.savez(path, X=RATED, y=RATINGS)
        case "coordinates":
            np.savez(path, rows=RATED[:, 0], cols=RATED[:, 1], values=RATINGS, shape=np.array([6, 5]))
        case "whole":
            whole = np.full((6, 5), np.nan)
            whole[tuple(RATED.T)] = RATINGS
            np.savez(path, y=whole)
    problem_file = tmp_path / "blank.problem.yaml"
    problem_file.write_text(
        "schema: certify.problem/1\n"
        "model: {path: blank.pt, layers: [{factorization: {left: U, right: V.T, row_bias: b, global_bias: mu}}]}\n"
        f"data: {{path: {path.name}}}\nloss: {{name: mse, reduction: sum}}\npenalty: {{weight_decay: 1.0}}\n"
    )
    problem = Problem.from_scratch(load_problem_file(problem_file))
    shapes = {name: tuple(tensor.shape) for name, tensor in problem.graph.parameters.items()}
    assert shapes == {"U": (6, 0), "V": (0, 5), "b": (6, 1), "mu": (1,)}
    assert problem.objective.evaluate(problem.network).objective == pytest.approx(float((RATINGS**2).sum()), rel=1e-13)
