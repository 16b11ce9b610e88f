"""Factors in `.npz` files: read as they are, settings beside them left out, and written back."""

import shutil

import numpy as np
import pytest

from certify.errors import RefusedError, UsageError
from certify.models.loading import Problem
from certify.models.model_file import graph_of_file, read_model_file
from certify.models.readers.weight_file import WeightFile
from certify.models.spec.problem_file import load_problem_file
from certify.verify.links.model_file import read_model
from tests.models.writers.widened import written

RNG = np.random.default_rng(0)
# Exact in 32 bits.
U, V = (RNG.integers(-9, 9, (extent, 3)) / 8 for extent in (6, 5))
MU = np.array(0.25)
LIKED = (RNG.random((6, 5)) < 0.4).astype(float)
CONFIDENCE = 1 + 4 * LIKED * RNG.random((6, 5))
# As `implicit` saves them beside the factors.
SETTINGS = {"regularization": np.array(0.5), "factors": np.array(3), "use_cg": np.array(True), "dtype": "float64"}
PROBLEM = """
schema: certify.problem/1
model: {path: MODEL, layers: [{factorization: {left: user_factors, right: item_factorsBIAS}}]}
data: {path: train.npz, targets: liked, sample_weights: confidence}
loss: {name: mse, reduction: sum}
penalty: {weight_decay: 1.0}
"""


@pytest.fixture
def model(tmp_path):
    np.savez(tmp_path / "train.npz", liked=LIKED, confidence=CONFIDENCE)

    def make(name="model.npz", bias="", **arrays):
        np.savez(tmp_path / name, **({"user_factors": U, "item_factors": V, **SETTINGS} | arrays))
        path = tmp_path / "model.problem.yaml"
        path.write_text(PROBLEM.replace("MODEL", name).replace("BIAS", bias))
        return path

    return make


def implicit_objective(constant=0.0, extra=0.0):
    """Hu, Koren and Volinsky (2008): Σ c (p − xᵀy)² + λ (Σ|x|² + Σ|y|²)."""
    error = LIKED - U @ V.T - constant
    return float((CONFIDENCE * error**2).sum() + 0.5 * ((U**2).sum() + (V**2).sum() + extra))


@pytest.mark.parametrize("kind", ["<f8", ">f8", "<f4"])
def test_implicit_feedback_has_the_objective_of_its_library(model, kind):
    problem = Problem.from_files(load_problem_file(model(user_factors=U.astype(kind), item_factors=V.astype(kind))))
    found = problem.objective.evaluate(problem.network).objective
    assert found == pytest.approx(implicit_objective(), rel=1e-13)
    notes = " ".join(problem.source.notes)
    assert all(f"'{name}'" in notes for name in SETTINGS)


def test_one_number_is_a_bias_where_it_is_named(model):
    problem = Problem.from_files(load_problem_file(model(bias=", global_bias: mu", mu=MU)))
    found = problem.objective.evaluate(problem.network).objective
    assert found == pytest.approx(implicit_objective(0.25, 0.25**2), rel=1e-13)


@pytest.mark.parametrize("suffix", ["npz", "safetensors", "pt"])
def test_factors_of_any_width_are_written_back(model, tmp_path, suffix):
    spec = load_problem_file(model(bias=", global_bias: mu", mu=MU))
    problem = Problem.from_files(spec)
    network = problem.network
    wider = type(network)((tuple(f.repeat(2, 1) for f in network.stacks[0]),), network.coefficients)
    out = tmp_path / f"out.{suffix}"
    written(spec, problem, wider, out)
    found = read_model(out.read_bytes())
    assert found["user_factors"].shape == (6, 6)
    if suffix == "npz":
        np.testing.assert_array_equal(np.load(out)["item_factors"], np.tile(V, 2))


def test_the_checker_reads_the_arrays_that_certify_reads(model, tmp_path):
    model()
    found = read_model_file(tmp_path / "model.npz")
    assert isinstance(found, WeightFile)
    own = read_model((tmp_path / "model.npz").read_bytes())
    assert own.keys() == found.parameters.keys()
    for name, values in own.items():
        np.testing.assert_array_equal(values, found.parameters[name].numpy())


def test_an_array_with_axes_that_is_not_listed_is_asked_about(model):
    with pytest.raises(UsageError, match="'left_over' belongs to no part"):
        Problem.from_files(load_problem_file(model(left_over=np.ones(6))))


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        ({"item_factors": np.full((5, 3), np.nan)}, "non-finite"),
        ({"item_factors": V.astype(complex)}, "weight-type"),
        ({"item_factors": V.astype(object)}, "unsafe-file"),
    ],
)
def test_arrays_that_are_no_weights_are_refused(model, tmp_path, damage, code):
    model(**damage)
    with pytest.raises(RefusedError) as caught:
        read_model_file(tmp_path / "model.npz")
    assert caught.value.code == code


def test_arrays_without_layers_are_asked_about(model, tmp_path):
    model()
    shutil.copy(tmp_path / "model.npz", tmp_path / "alone.npz")
    with pytest.raises(UsageError, match="factorization: {left: user_factors, right: item_factors}"):
        graph_of_file(tmp_path / "alone.npz", None)


@pytest.mark.parametrize("role", ["mask", "sample_weights"])
def test_weights_of_entries_in_a_linear_network_say_how_they_are_written(tmp_path, role):
    np.savez(tmp_path / "train.npz", X=np.eye(6), y=LIKED, confidence=CONFIDENCE)
    np.savez(tmp_path / "model.npz", **{"a.weight": U.T, "b.weight": V})
    path = tmp_path / "model.problem.yaml"
    path.write_text(
        "schema: certify.problem/1\nmodel: {path: model.npz, layers: [{linear: a}, {linear: b}]}\n"
        f"data: {{path: train.npz, {role}: confidence}}\npenalty: {{weight_decay: 1.0}}\n"
    )
    with pytest.raises(UsageError, match=r"\[\{factorization: \{left: U, right: V\}\}\]") as caught:
        Problem.from_files(load_problem_file(path))
    assert caught.value.code in ("mask", "shape-mismatch")
