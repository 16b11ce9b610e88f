"""Low-rank adapters: α/r is read from the file beside them, never assumed, and a frozen layer beside is an offset."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from certify import check
from certify.errors import UnsupportedError, UsageError
from certify.models.loading import Problem
from certify.models.spec.overrides import Overrides
from certify.models.spec.problem_file import load_problem_file, spec_from_flags
from certify.workflows.statement import stated_arrays, statement_of
from tests.models.writers.widened import written

RNG = np.random.default_rng(0)
A, B, BASE = (torch.from_numpy(RNG.normal(size=shape)) for shape in ((2, 3), (4, 2), (4, 3)))
X, Y = RNG.normal(size=(20, 3)), RNG.normal(size=(20, 4))
DECAY = 0.1
CONFIG = {"peft_type": "LORA", "r": 2, "lora_alpha": 3}


@pytest.fixture
def adapter(tmp_path):
    np.savez(tmp_path / "train.npz", X=X, y=Y)

    def make(config=CONFIG, base=False, **more):
        weights = {"fc.lora_A.weight": A, "fc.lora_B.weight": B, **more} | (
            {"fc.base_layer.weight": BASE} if base else {}
        )
        save_file(weights, tmp_path / "model.safetensors")
        if config is not None:
            (tmp_path / "adapter_config.json").write_text(json.dumps(config))
        return spec_from_flags(
            tmp_path / "model.safetensors", Overrides(data=str(tmp_path / "train.npz"), weight_decay=DECAY)
        )

    return make


def objective(factor, base=False):
    outputs = factor * (X @ A.numpy().T @ B.numpy().T) + (X @ BASE.numpy().T if base else 0)
    return float(((outputs - Y) ** 2).mean()) + DECAY / 2 * float((A**2).sum() + (B**2).sum())


@pytest.mark.parametrize("base", [False, True])
@pytest.mark.parametrize(("root", "factor"), [(False, 1.5), (True, 3 / 2**0.5)])
def test_the_factor_is_that_of_the_configuration(adapter, base, root, factor):
    problem = Problem.from_files(adapter(CONFIG | {"use_rslora": root}, base))
    found = problem.objective.evaluate(problem.network).objective
    assert found == pytest.approx(objective(factor, base), rel=1e-13)
    assert any("lora_alpha 3" in note for note in problem.source.notes)


def test_the_optimum_is_that_of_soft_thresholds(adapter):
    """With XᵀX = n I, min |sZ − Y|²/(n c) + wd/2 (|A|² + |B|²) thresholds the singular values of XᵀY/n."""
    q = np.linalg.qr(X)[0] * 20**0.5
    spec = adapter()
    np.savez(spec.data.path, X=q, y=Y)
    found = check(Problem.from_files(spec))
    singular = np.linalg.svd(q.T @ Y / 20, compute_uv=False)
    # In M = s BA: |M − XᵀY/n|²/c + (wd/s) |M|_*.
    level = DECAY / 1.5 * 4 / 2
    kept = np.maximum(singular - level, 0)
    rest = (Y**2).sum() / 80 - (singular**2).sum() / 4
    best = rest + ((kept - singular) ** 2).sum() / 4 + DECAY / 1.5 * kept.sum()
    assert found.lower_bound <= best * (1 + 1e-12)
    assert found.best_known == pytest.approx(best, rel=1e-4)


@pytest.mark.parametrize("base", [False, True])
def test_a_wider_adapter_is_written_with_its_factor(adapter, tmp_path, base):
    spec = adapter(base=base)
    problem = Problem.from_files(spec)
    stacks = tuple(tuple(f.repeat(2, 1) for f in stack) for stack in problem.network.stacks)
    wide = type(problem.network)(stacks, problem.network.coefficients)
    beside, _ = written(spec, problem, wide, tmp_path / "out.safetensors")
    listed = [next(iter(entry)) for entry in beside.model.layers]
    assert listed == ["linear", "linear", "scale", *(["frozen"] if base else [])]


def test_a_frozen_layer_is_an_offset_that_the_certificate_holds(adapter):
    problem = Problem.from_files(adapter(base=True))
    assert statement_of(problem)["offset"] == "array"
    np.testing.assert_allclose(stated_arrays(problem)["offset"], X @ BASE.numpy().T, rtol=1e-13, atol=1e-13)
    assert check(problem).lower_bound <= objective(1.5, base=True)


def test_without_configuration_nothing_is_assumed(adapter):
    with pytest.raises(UsageError, match="alpha/r"):
        Problem.from_files(adapter(None))


@pytest.mark.parametrize(
    "change", [{"r": 3}, {"lora_alpha": None}, {"lora_alpha": True}, {"rank_pattern": {"fc": 4}}, {"r": 0}]
)
def test_a_configuration_that_does_not_tell_is_asked_about(adapter, change):
    with pytest.raises(UsageError, match="does not tell the factor"):
        Problem.from_files(adapter(CONFIG | change))


@pytest.mark.parametrize("change", [{"use_dora": True}, {"peft_type": "LOHA"}])
def test_other_adapters_are_refused_for_what_they_are(adapter, change):
    with pytest.raises(UnsupportedError, match="no product of two matrices"):
        Problem.from_files(adapter(CONFIG | change))


def test_adapters_of_several_layers_are_told_apart(adapter):
    with pytest.raises(UsageError, match="adapters of 2 layers"):
        Problem.from_files(adapter(**{"out.lora_A.weight": A.clone(), "out.lora_B.weight": B.clone()}))


def test_layers_listed_without_the_factor_say_so(adapter, tmp_path):
    adapter()
    path = tmp_path / "model.problem.yaml"
    path.write_text(
        "schema: certify.problem/1\n"
        "model: {path: model.safetensors, layers: [{linear: fc.lora_A}, {linear: fc.lora_B}]}\n"
        "data: {path: train.npz}\npenalty: {weight_decay: 0.1}\n"
    )
    problem = Problem.from_files(load_problem_file(path))
    assert problem.objective.evaluate(problem.network).objective == pytest.approx(objective(1), rel=1e-13)
    assert any("{scale: 1.5}" in note for note in problem.source.notes)
