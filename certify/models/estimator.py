"""scikit-learn's perceptrons as layers, and the objective that they minimize, in the words of a problem file.

`MLPRegressor`: ½ mean (z - y)² over all entries; `MLPClassifier`: mean over samples of the log loss, summed over labels
where there are several at once. Both: plus α/(2m) Σ‖W‖² over coefficients alone, with m all samples for `lbfgs` and
those of a batch for `sgd` and `adam` (`_backprop` of `sklearn/neural_network/_multilayer_perceptron.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from torch import Tensor

from certify.errors import UnsupportedError, UsageError
from certify.models.graph.layers import INPUT, Layer, LayerGraph
from certify.models.graph.parameter_shapes import require_parameter_shapes
from certify.models.readers.exact_weights import digest_of, exact_parameters
from certify.models.readers.formats import Format
from certify.models.readers.perceptron import ACTIVATIONS, Perceptron

Array = np.ndarray[Any, np.dtype[Any]]


@final
@dataclass(frozen=True, slots=True)
class FittedObjective:
    """What an estimator minimized on some data.

    Attributes:
        content: loss, penalty and biases, as in a problem file.
        targets: class indices or numbers.
        sample_weights: (n,) with mean 1, or None.
        notes: what the estimator did that the objective does not show.
    """

    content: Mapping[str, Any]
    targets: Array
    sample_weights: Array | None
    notes: tuple[str, ...]


def graph_of_perceptron(
    found: Perceptron, source: Format, path: Path | None = None, sha256: str | None = None
) -> LayerGraph:
    """The layers, without the activation of the outputs, which belongs to the loss.

    Raises:
        UnsupportedError: an activation that is not one of scikit-learn's.
        RefusedError: weights that are not finite real numbers.
    """
    where = str(path or "estimator")
    if found.activation not in ACTIVATIONS:
        raise UnsupportedError(f"{where}: unknown activation '{found.activation:.40}'", code="unknown-layer")
    op, last = ACTIVATIONS[found.activation], len(found.weights) - 1
    layers: list[Layer] = []
    tensors: dict[str, Tensor] = {}
    for index, (weight, bias) in enumerate(zip(found.weights, found.biases, strict=True)):
        names = {"weight": f"coefs_.{index}", "bias": f"intercepts_.{index}"}
        tensors |= {names["weight"]: weight.T if weight.ndim == 2 else weight, names["bias"]: bias}
        layers.append(Layer("linear", f"layer_{index}", (layers[-1].name if layers else INPUT,), names))
        if op is not None and index < last:
            layers.append(Layer(op, f"{op}_{index}", (layers[-1].name,)))
    parameters, conversions = exact_parameters(tensors, where)
    require_parameter_shapes(layers, parameters, where)
    notes = (*conversions, *(() if path is None else (_objective_note(found),)))
    return LayerGraph(tuple(layers), parameters, "", source, path, sha256 or digest_of(parameters), notes)


def fitted_objective(
    found: Perceptron, classes: Array | None, targets: Array, sample_weights: Array | None
) -> FittedObjective:
    """The objective on the data.

    Args:
        found: the estimator.
        classes: the labels of a classifier, in its order; None for a regressor.
        targets: as given to `fit`.
        sample_weights: (n,) as given to `fit`, or None.

    Raises:
        UsageError: labels that the classifier does not know.
        UnsupportedError: the Poisson loss.
    """
    count = len(targets)
    total = float(count) if sample_weights is None else float(sample_weights.sum())
    decay = found.alpha / found.penalized_samples(total, count)
    loss, encoded = _loss(found, classes, targets)
    content = {
        "loss": {"reduction": "mean", **loss},
        "penalty": {"weight_decay": decay},
        "biases": {"hidden": "free", "output": "free"},
    }
    # scikit-learn divides by the sum of the weights, certify by their number.
    weights = None if sample_weights is None else sample_weights * (count / total)
    return FittedObjective(content, encoded, weights, tuple(_notes(found, count)))


def _loss(found: Perceptron, classes: Array | None, targets: Array) -> tuple[dict[str, Any], Array]:
    if classes is None:
        if found.loss != "squared_error":
            raise UnsupportedError(
                f"estimator: its loss is '{found.loss:.40}'; certify takes over 'squared_error'",
                code="unsupported-format",
            )
        return {"name": "mse", "scale": 0.5}, targets
    if targets.ndim == 2 and targets.shape[1] > 1:
        # Several labels at once: the log losses are added up over labels, not averaged.
        return {"name": "binary-cross-entropy", "scale": float(targets.shape[1])}, targets.astype(float)
    labels = targets.reshape(-1)
    known = np.isin(labels, classes)
    if not bool(known.all()):
        raise UsageError(
            f"y has labels that the classifier was not fitted on: {str(labels[~known][0])!r:.40}", "target-range"
        )
    indices = np.searchsorted(classes, labels)
    if found.output == "logistic":
        return {"name": "binary-cross-entropy"}, indices.astype(float)
    return {"name": "cross-entropy"}, indices


def _notes(found: Perceptron, count: int) -> list[str]:
    notes, batch = [], int(found.penalized_samples(count, count))
    if batch < count:
        notes.append(f"{found.solver} took batches of {batch}: the penalty is alpha/(2·{batch}), not alpha/(2n)")
    if found.early_stopping:
        notes.append("early_stopping held out part of the data: give X and y of the part that it trained on")
    return notes


def _objective_note(found: Perceptron) -> str:
    loss = {"identity": "{name: mse, scale: 0.5}", "softmax": "{name: cross-entropy}"}
    shown = loss.get(found.output, "{name: binary-cross-entropy}")
    samples = "n" if found.solver == "lbfgs" else "n, or of a batch where that is smaller"
    return (
        f"scikit-learn's objective is loss: {shown}, penalty: {{weight_decay: {found.alpha:g} / samples}} (samples: "
        f"{samples}), biases: {{hidden: free, output: free}}"
    )
