"""scikit-learn's perceptrons, live and from skops files, against scikit-learn's own objective and skops' own reader."""

import warnings
import zipfile

import numpy as np
import pytest
import torch
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelBinarizer, StandardScaler
from skops import io as skops

from certify.errors import CertifyError, RefusedError, UnsupportedError, UsageError
from certify.models.loading import Problem
from certify.models.model_file import read_model_file
from certify.models.spec.problem_file import load_problem_file

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
WEIGHTS = RNG.uniform(0.5, 2, size=40)
TARGETS = {
    "one output": (MLPRegressor, RNG.normal(size=40)),
    "two outputs": (MLPRegressor, RNG.normal(size=(40, 2))),
    "two classes": (MLPClassifier, np.where(X[:, 0] + 0.1 * RNG.normal(size=40) > 0, "yes", "no")),
    "three classes": (MLPClassifier, np.digitize(X[:, 1], [-0.4, 0.4]) * 10),
    "labels": (MLPClassifier, (X[:, :2] > 0).astype(int)),
}


def fitted(kind, y, sample_weight=None, **settings):
    usual = {"hidden_layer_sizes": (5,), "alpha": 0.3, "solver": "lbfgs", "max_iter": 30, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kind(**usual | settings).fit(X, y, sample_weight=sample_weight)


def own_objective(estimator, y, sample_weight=None):
    """What scikit-learn computes on one batch of all samples."""
    if isinstance(estimator, MLPClassifier):
        y = y if y.ndim == 2 else LabelBinarizer().fit_transform(y)
    targets = y.reshape(len(y), -1)
    count = len(estimator.coefs_)
    activations = [X, *[None] * count]
    gradients = [None] * count, [None] * count
    value, _, _ = estimator._backprop(X, targets, sample_weight, activations, [None] * count, *gradients)
    return value


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("activation", ["relu", "identity"])
@pytest.mark.parametrize("name", TARGETS)
def test_the_objective_is_that_of_scikit_learn(name, activation, weighted):
    kind, y = TARGETS[name]
    weights = WEIGHTS if weighted else None
    estimator = fitted(kind, y, weights, activation=activation)
    problem = Problem.from_sklearn(estimator, X, y, sample_weight=weights)
    found = problem.objective.evaluate(problem.network).objective
    assert found == pytest.approx(own_objective(estimator, y, weights), rel=1e-12)
    assert problem.source.family == {"relu": "relu", "identity": "linear"}[activation]


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_stochastic_solvers_divide_the_penalty_by_the_batch(solver):
    kind, y = TARGETS["one output"]
    estimator = fitted(kind, y, solver=solver, batch_size=10, max_iter=2)
    problem = Problem.from_sklearn(estimator, X, y)
    # The mean of scikit-learn's losses over the four batches of an epoch, with the weights held.
    batches = [own_batch(estimator, X[i : i + 10], y[i : i + 10]) for i in range(0, 40, 10)]
    assert problem.objective.evaluate(problem.network).objective == pytest.approx(np.mean(batches), rel=1e-12)
    assert any("took batches of 10" in note for note in problem.source.notes)


def own_batch(estimator, inputs, y):
    count = len(estimator.coefs_)
    activations = [inputs, *[None] * count]
    gradients = [None] * count, [None] * count
    return estimator._backprop(inputs, y.reshape(-1, 1), None, activations, [None] * count, *gradients)[0]


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"activation": "tanh"}, UnsupportedError, "tanh"),
        ({"activation": "logistic"}, UnsupportedError, "sigmoid"),
        ({"alpha": 0.0}, UsageError, "no certificate without a penalty"),
        ({"hidden_layer_sizes": (4, 4)}, UnsupportedError, "degree"),
        ({"loss": "poisson"}, UnsupportedError, "'poisson'"),
    ],
)
def test_what_the_theory_does_not_cover_is_named(settings, kind, words):
    y = np.abs(TARGETS["one output"][1])
    with pytest.raises(kind, match=words):
        Problem.from_sklearn(fitted(MLPRegressor, y, **settings), X, y)


def test_other_objects_and_labels_are_usage_errors():
    with pytest.raises(UsageError, match="not fitted"):
        Problem.from_sklearn(MLPRegressor(), X, X)
    with pytest.raises(UsageError, match="needs a fitted MLPRegressor"):
        Problem.from_sklearn(StandardScaler().fit(X), X, X)
    kind, y = TARGETS["three classes"]
    with pytest.raises(UsageError, match="not fitted on: '7'"):
        Problem.from_sklearn(fitted(kind, y), X, np.where(y == 10, 7, y))


def saved(tmp_path, value):
    path = tmp_path / "model.skops"
    skops.dump(value, path)
    return path


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_a_skops_file_holds_what_skops_loads(tmp_path, solver):
    kind, y = TARGETS["two outputs"]
    estimator = fitted(kind, y, solver=solver)
    path = saved(tmp_path, estimator)
    graph = read_model_file(path)
    loaded = skops.load(path, trusted=skops.get_untrusted_types(file=path))
    assert graph.format == "skops"
    assert [layer.op for layer in graph.layers] == ["linear", "relu", "linear"]
    outputs = graph.forward(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(outputs, loaded.predict(X), rtol=1e-12, atol=1e-14)
    assert any("penalty: {weight_decay: 0.3 / samples}" in note for note in graph.notes)


def test_a_skops_file_and_its_estimator_are_one_problem(tmp_path, write_problem):
    kind, y = TARGETS["two outputs"]
    estimator = fitted(kind, y)
    saved(tmp_path, estimator)
    np.savez(tmp_path / "train.npz", X=X, y=y)
    penalty, biases = f"{{weight_decay: {0.3 / 40}}}", "{hidden: free, output: free}"
    path = write_problem(model="model.skops", penalty=penalty, biases=biases)
    path.write_text(path.read_text() + "loss: {name: mse, scale: 0.5}\n")
    one, other = Problem.from_files(load_problem_file(path)), Problem.from_sklearn(estimator, X, y)
    values = [problem.objective.evaluate(problem.network).objective for problem in (one, other)]
    assert values[0] == pytest.approx(values[1], rel=1e-14)


@pytest.mark.parametrize("value", [make_pipeline(StandardScaler()), StandardScaler(), {"a": 1}])
def test_skops_files_of_other_things_are_named(tmp_path, value):
    with pytest.raises(UnsupportedError, match=f"holds a {type(value).__name__}, not an MLPRegressor") as caught:
        read_model_file(saved(tmp_path, value))
    assert caught.value.code == "unsupported-format"


def test_an_estimator_in_a_file_that_is_not_fitted_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="not fitted"):
        read_model_file(saved(tmp_path, MLPRegressor()))


def test_types_that_would_run_code_are_not_even_looked_up(tmp_path):
    """The holes that skops had were in nodes that name functions; here they are no perceptron, or no array."""
    path = saved(tmp_path, fitted(*TARGETS["one output"]))
    with zipfile.ZipFile(path) as source:
        entries = {name: source.read(name) for name in source.namelist()}
    schema = entries["schema.json"]
    for old, new in [
        (b'"__loader__": "NdArrayNode"', b'"__loader__": "OperatorFuncNode"'),
        (b'"__class__": "MLPRegressor"', b'"__class__": "system"'),
        (b'"__module__": "sklearn.neural_network._multilayer_perceptron"', b'"__module__": "os"'),
    ]:
        entries["schema.json"] = schema.replace(old, new)
        assert entries["schema.json"] != schema
        with zipfile.ZipFile(path, "w") as target:
            for name, content in entries.items():
                target.writestr(name, content)
        with pytest.raises((RefusedError, UnsupportedError)) as caught:
            read_model_file(path)
        assert isinstance(caught.value, CertifyError)
