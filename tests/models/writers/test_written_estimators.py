"""Wider networks in the files of scikit-learn and Lightning that their models came in, read by these libraries."""

import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest
import torch
from sklearn.neural_network import MLPClassifier, MLPRegressor
from skops import io as skops
from torch import nn

from certify.errors import UsageError
from certify.models.loading import Problem
from certify.models.spec.problem_file import load_problem_file
from certify.models.writers import write_problem_file
from tests.models.readers.test_torch_files import LIGHTNING
from tests.models.writers.widened import SAMPLES, outputs, widened, written

SETTINGS = {
    "one output": (MLPRegressor, {"solver": "lbfgs"}),
    "two outputs": (MLPRegressor, {"hidden_layer_sizes": [6], "activation": "identity"}),
    "labels": (MLPClassifier, {"solver": "sgd", "hidden_layer_sizes": 4}),
    "three classes": (MLPClassifier, {"early_stopping": True}),
}


def targets(name, inputs):
    return {
        "one output": inputs[:, 0] ** 2,
        "two outputs": inputs[:, :2] ** 2,
        "labels": np.where(inputs[:, 0] > 0, "yes", "no"),
        "three classes": np.digitize(inputs[:, 1], [-0.4, 0.4]) * 10,
    }[name]


def own_outputs(estimator, inputs):
    """What scikit-learn computes before the activation of the outputs."""
    estimator.out_activation_ = "identity"
    return torch.from_numpy(estimator._forward_pass_fast(inputs)).reshape(len(inputs), -1)


@pytest.mark.parametrize("name", SETTINGS)
def test_estimators_stay_estimators(tmp_path, write_problem, name):
    kind, settings = SETTINGS[name]
    inputs = np.random.default_rng(0).normal(size=(40, 3))
    usual = {"hidden_layer_sizes": (5,), "alpha": 0.3, "max_iter": 30, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = kind(**usual | settings).fit(inputs, targets(name, inputs))
    skops.dump(fitted, tmp_path / "model.skops")
    objective = Problem.from_sklearn(fitted, inputs, targets(name, inputs))
    np.savez(tmp_path / "train.npz", X=inputs, y=objective.objective.loss.targets.numpy())
    spec = load_problem_file(write_problem("model.skops", biases="{hidden: free, output: free}"))
    problem = Problem.from_files(spec)
    network, out = widened(problem), tmp_path / "wide.skops"
    beside, _ = written(spec, problem, network, out)
    assert beside.model.layers is None

    again = skops.load(out)
    assert list(again.hidden_layer_sizes) == [network.width]
    assert again.get_params() | {"hidden_layer_sizes": None} == fitted.get_params() | {"hidden_layer_sizes": None}
    if kind is MLPClassifier:
        assert again.classes_.tolist() == fitted.classes_.tolist()
        assert set(again.predict(inputs)) <= set(fitted.classes_)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if again.solver != "lbfgs" and not again.early_stopping:
            skops.load(out).partial_fit(inputs, targets(name, inputs))
    found = own_outputs(again, SAMPLES.numpy())
    torch.testing.assert_close(found, outputs(problem, network), rtol=1e-12, atol=1e-12)


def test_a_grown_head_of_an_estimator_keeps_the_frozen_layers(tmp_path, write_problem, data_file, arrays):
    fitted = MLPRegressor(hidden_layer_sizes=(5, 4), solver="lbfgs", alpha=10.0, max_iter=1000).fit(*arrays)
    skops.dump(fitted, tmp_path / "model.skops")
    path = write_problem("model.skops", biases="{hidden: free, output: free}")
    path.write_text(path.read_text() + "scope: head\n")
    spec = load_problem_file(path)
    problem = Problem.from_files(spec)
    network, out = widened(problem), tmp_path / "wide.skops"
    problem.write(out, network)
    again = Problem.from_files(load_problem_file(write_problem_file(out, spec, problem.graph, problem.decomposition)))
    estimator = skops.load(out)
    assert list(estimator.hidden_layer_sizes) == [5, 7]
    assert np.array_equal(estimator.coefs_[0], fitted.coefs_[0])
    found, expected = again.objective.evaluate(again.network), problem.objective.evaluate(network)
    assert found.objective == pytest.approx(expected.objective, rel=1e-12)
    assert estimator.predict(arrays[0]) == pytest.approx(problem.objective.forward(network).numpy(), rel=1e-10)


def test_an_estimator_that_changed_meanwhile_is_not_written_into(tmp_path, write_problem, data_file, arrays):
    fitted = MLPRegressor(hidden_layer_sizes=(4,), solver="lbfgs", alpha=10.0, max_iter=1000).fit(*arrays)
    skops.dump(fitted, tmp_path / "model.skops")
    problem = Problem.from_files(load_problem_file(write_problem("model.skops", biases="{hidden: free, output: free}")))
    skops.dump(fitted.set_params(alpha=9.0), tmp_path / "model.skops")
    with pytest.raises(UsageError, match="has changed"):
        problem.write(tmp_path / "wide.skops", problem.network)
    assert not (tmp_path / "wide.skops").exists()


RELOADED = """
    torch.set_default_dtype(torch.float64)
    net = Net.load_from_checkpoint(sys.argv[1], width=int(sys.argv[3]))
    torch.save(net.net(torch.load(sys.argv[2])).detach(), sys.argv[2])
"""


def test_checkpoints_stay_checkpoints_of_lightning(tmp_path, write_problem, arrays):
    np.savez(tmp_path / "train.npz", X=arrays[0], y=arrays[1][:, :1])
    module = nn.ModuleDict({"net": nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))})
    torch.save({"epoch": 3, "state_dict": module.state_dict()}, tmp_path / "model.ckpt")
    spec = load_problem_file(write_problem("model.ckpt"))
    problem = Problem.from_files(spec)
    network = widened(problem)
    beside, again = written(spec, problem, network, tmp_path / "wide.ckpt")
    assert beside.model.layers is not None
    assert again.graph.format == "ckpt"
    torch.save(SAMPLES, tmp_path / "samples.pt")
    program = textwrap.dedent(LIGHTNING[: LIGHTNING.index("    data =")] + RELOADED)
    arguments = [tmp_path / "wide.ckpt", tmp_path / "samples.pt", network.width]
    command = [sys.executable, "-W", "ignore", "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, text=True)
    assert done.returncode == 0, done.stderr
    found = torch.load(tmp_path / "samples.pt")
    torch.testing.assert_close(found, outputs(problem, network), rtol=1e-12, atol=1e-12)
