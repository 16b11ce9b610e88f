"""scikit-learn's multi-layer perceptrons, live or from a file: weights and what was minimized."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from certify.errors import UnsupportedError, UsageError

CLASSES = ("MLPRegressor", "MLPClassifier")
MODULE = "sklearn.neural_network._multilayer_perceptron"
# What makes a layer of a perceptron, by scikit-learn's name of the activation.
ACTIVATIONS = {"relu": "relu", "identity": None, "logistic": "sigmoid", "tanh": "tanh"}
_SETTINGS = ("activation", "out_activation_", "solver", "loss")


@final
@dataclass(frozen=True, slots=True)
class Perceptron:
    """A fitted perceptron.

    Attributes:
        activation: of the hidden layers, as scikit-learn calls it.
        output: activation of the outputs: `identity`, `logistic`, `softmax` or `exp`.
        loss: as scikit-learn calls it.
        solver: `lbfgs`, `sgd` or `adam`.
        alpha: strength of its penalty.
        batch_size: of the stochastic solvers; None for scikit-learn's choice.
        early_stopping: whether part of the data was held out.
        weights: (inputs, outputs) of every layer.
        biases: (outputs,) of every layer.
    """

    activation: str
    output: str
    loss: str
    solver: str
    alpha: float
    batch_size: int | None
    early_stopping: bool
    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]

    def penalized_samples(self, samples: float, count: int) -> float:
        """By what alpha/2 ‖W‖² is divided: all samples (or their weights), or those of one batch.

        Args:
            samples: sum of the sample weights, n where there are none.
            count: n.
        """
        if self.solver == "lbfgs":
            return samples
        batch = min(200, count) if self.batch_size is None else min(self.batch_size, count)
        return samples * batch / count


def perceptron_of(values: Mapping[str, Any], where: str) -> Perceptron:
    """A perceptron from the attributes of an estimator; `coefs_` and `intercepts_` are tensors.

    Raises:
        UsageError: not fitted.
        UnsupportedError: a setting that this reader does not know.
    """
    if not values.get("coefs_") or "out_activation_" not in values:
        raise UsageError(f"{where}: the estimator is not fitted; call fit first", code="no-weights")
    settings = {name: values.get(name) for name in _SETTINGS}
    for name, value in settings.items():
        if not isinstance(value, str):
            raise _unknown(where, name)
    alpha, batch = values.get("alpha"), values.get("batch_size")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float):
        raise _unknown(where, "alpha")
    if batch != "auto" and (isinstance(batch, bool) or not isinstance(batch, int) or batch < 1):
        raise _unknown(where, "batch_size")
    weights, biases = (_tensors(values.get(name), name, where) for name in ("coefs_", "intercepts_"))
    if len(weights) != len(biases):
        raise _unknown(where, "intercepts_")
    activation, output, solver, loss = (str(value) for value in settings.values())
    stopped = values.get("early_stopping") is True
    size = batch if isinstance(batch, int) else None
    return Perceptron(activation, output, loss, solver, float(alpha), size, stopped, weights, biases)


def live_perceptron(estimator: Any) -> Perceptron:  # noqa: ANN401
    """A perceptron from a fitted estimator.

    Raises:
        UsageError: another object, or one that is not fitted.
        UnsupportedError: as `perceptron_of`.
    """
    kind = type(estimator)
    if kind.__name__ not in CLASSES or kind.__module__ != MODULE:
        raise UsageError(
            f"estimator is a {kind.__name__}; needs a fitted MLPRegressor or MLPClassifier of scikit-learn"
        )
    values = dict(vars(estimator))
    for name in ("coefs_", "intercepts_"):
        values[name] = [torch.from_numpy(array) for array in values.get(name, [])]
    return perceptron_of(values, "estimator")


def _tensors(values: Any, name: str, where: str) -> tuple[Tensor, ...]:  # noqa: ANN401
    if not isinstance(values, list) or not all(isinstance(value, Tensor) for value in values):
        raise _unknown(where, name)
    return tuple(values)


def _unknown(where: str, name: str) -> UnsupportedError:
    return UnsupportedError(f"{where}: '{name}' of the estimator is not one of scikit-learn's", "unsupported-format")
