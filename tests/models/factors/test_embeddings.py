"""Modules of embeddings are factorizations, live and exported, with torch's own objective."""

import warnings

import numpy as np
import pytest
import torch

from certify import check
from certify.errors import CertifyError, UsageError
from certify.models.factors.factor_model import is_factorization
from certify.models.inspect import inspect_model
from certify.models.loading import Problem
from certify.models.model_file import graph_of_file
from certify.models.spec.overrides import Overrides
from certify.models.spec.problem_file import load_problem_file, spec_from_flags
from tests.models.factors.modules import ITEMS, OTHERS, PAIRS, TABLES, USERS, module

DECAY = 0.3
PLACES = np.argwhere(np.random.default_rng(0).random((USERS, ITEMS)) < 0.8)
VALUES = np.random.default_rng(1).normal(size=len(PLACES))


def arguments(made, name):
    places = torch.from_numpy(PLACES)
    return tuple(places.T.contiguous()) if name in {**PAIRS, **OTHERS} else (places,)


def torch_objective(made, name, used):
    error = made(*arguments(made, name)).reshape(-1) - torch.from_numpy(VALUES)
    decayed = sum(float((p.detach() ** 2).sum()) for n, p in made.named_parameters() if n in used)
    return float((error.detach() ** 2).mean()) + DECAY / 2 * decayed


def exported(made, name, path):
    samples = {0: torch.export.Dim.AUTO}
    given = arguments(made, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(made, given, dynamic_shapes=(samples,) * len(given)), path)


@pytest.mark.parametrize("name", [*PAIRS, *TABLES])
def test_a_live_module_has_its_own_objective(name):
    made = module({**PAIRS, **TABLES}[name])
    rates = {n: DECAY for n, _ in made.named_parameters()}
    problem = Problem.from_torch(made, PLACES, VALUES, weight_decay=rates | unused(made, name))
    found = problem.objective.evaluate(problem.network).objective
    assert found == pytest.approx(torch_objective(made, name, problem.graph.parameters), rel=1e-13)


def unused(made, name):
    """Of parameters that the forward does not read, which weight decay would otherwise reach."""
    outputs = made(*arguments(made, name)).sum()
    gradients = torch.autograd.grad(outputs, list(made.parameters()), allow_unused=True)
    pairs = zip(made.named_parameters(), gradients, strict=True)
    return {n: 0.0 for (n, _), gradient in pairs if gradient is None}


@pytest.mark.parametrize("name", [*PAIRS, *TABLES])
def test_an_exported_module_computes_the_same_on_places(tmp_path, name):
    made = module({**PAIRS, **TABLES}[name])
    exported(made, name, tmp_path / "model.pt2")
    graph = graph_of_file(tmp_path / "model.pt2", None)
    assert is_factorization(graph)
    expected = made(*arguments(made, name)).reshape(-1).detach()
    torch.testing.assert_close(graph.forward(torch.from_numpy(PLACES).double()), expected, rtol=1e-13, atol=1e-13)
    found = inspect_model(tmp_path / "model.pt2")
    assert (found.family, found.degree, found.width, found.problems) == ("matrix-factorization", 2, 3, ())


@pytest.mark.parametrize("name", OTHERS)
def test_what_only_looks_like_a_factorization_is_none(tmp_path, name):
    made = module(OTHERS[name])
    exported(made, name, tmp_path / "model.pt2")
    assert not is_factorization(graph_of_file(tmp_path / "model.pt2", None))
    with pytest.raises(CertifyError):
        Problem.from_torch(made, PLACES, VALUES, weight_decay=DECAY)


def test_frozen_tables_are_not_taken_for_trained_ones():
    made = module(PAIRS["plain"])
    made.item.weight.requires_grad_(False)
    with pytest.raises(CertifyError):
        Problem.from_torch(made, PLACES, VALUES, weight_decay=DECAY)


@pytest.mark.parametrize("data", ["ratings.csv", "pairs.npz", "ratings.npz"])
def test_each_data_file_gives_the_same_objective_as_torch(tmp_path, data):
    made = module(PAIRS["last axis, squeezed, with a mean"])
    exported(made, "plain", tmp_path / "model.pt2")
    rows, columns = PLACES.T
    match data:
        case "ratings.csv":
            lines = [f"{u},{i},{v!r}" for u, i, v in zip(rows, columns, VALUES.tolist(), strict=True)]
            (tmp_path / data).write_text("user,item,rating\n" + "\n".join(lines))
        case "pairs.npz":
            np.savez(tmp_path / data, X=PLACES, y=VALUES)
        case "ratings.npz":
            np.savez(tmp_path / data, rows=rows, cols=columns, values=VALUES, shape=np.array([USERS, ITEMS]))
    rates = {n: DECAY for n, _ in made.named_parameters()} | {"vector": 0.0}
    flags = Overrides(data=str(tmp_path / data), weight_decay=rates)
    problem = Problem.from_files(spec_from_flags(tmp_path / "model.pt2", flags))
    found = problem.objective.evaluate(problem.network).objective
    assert found == pytest.approx(torch_objective(made, "plain", problem.graph.parameters), rel=1e-13)


def test_a_state_dict_of_embeddings_is_asked_about_with_a_suggestion_that_works(tmp_path):
    made = module(PAIRS["last axis, squeezed, with a mean"])
    kept = {n: p.detach() for n, p in made.named_parameters() if n not in ("vector", "mu")}
    torch.save(kept, tmp_path / "model.pt")
    np.savez(tmp_path / "pairs.npz", X=PLACES, y=VALUES)
    with pytest.raises(UsageError, match="factorization") as caught:
        graph_of_file(tmp_path / "model.pt", None)
    start = str(caught.value).index("`model: ") + 1
    section = str(caught.value)[start : str(caught.value).index("`", start)]
    path = tmp_path / "model.problem.yaml"
    rest = "data: {path: pairs.npz}\nloss: {name: mse}\npenalty: {weight_decay: 0.3}\n"
    path.write_text(f"schema: certify.problem/1\n{section}\n{rest}")
    result = check(Problem.from_files(load_problem_file(path)))
    expected = made(*arguments(made, "plain")).detach() - made.mu.detach() - torch.from_numpy(VALUES)
    total = float((expected**2).mean()) + 0.15 * sum(float((p**2).sum()) for p in kept.values())
    assert result.objective == pytest.approx(total, rel=1e-13)


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ({"W": (6, 2), "H": (2, 5)}, "{factorization: {left: W, right: H.T}}"),
        (
            {"item_factors": (5, 2), "user_factors": (6, 2)},
            "{factorization: {left: user_factors, right: item_factors}}",
        ),
        (
            {"U": (6, 2), "V": (5, 2), "bu": (6,), "bi": (5,), "mu": (1,)},
            "{factorization: {left: U, right: V, row_bias: bu, column_bias: bi, global_bias: mu}}",
        ),
        ({"fc1.weight": (6, 2), "fc2.weight": (5, 2)}, None),
        ({"net.0.weight": (6, 3), "net.2.weight": (2, 6)}, None),
    ],
)
def test_arrays_are_suggested_by_name_and_shape(shapes, expected):
    from certify.models.lowering.factor_suggestion import suggested_factorization

    assert suggested_factorization({name: torch.zeros(shape) for name, shape in shapes.items()}) == expected
