"""A problem from files, or from a live module and arrays: objective, network, and where they came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, final

import numpy as np
import torch
from torch import Tensor

from certify.errors import CertifyError, UsageError
from certify.models.blank_model import blank_factors, blank_weights
from certify.models.data.arrays import Arrays, arrays_from
from certify.models.data.data_file import entry_extents, load_arrays
from certify.models.data.device import find_device
from certify.models.data.loss_terms import LossTerms
from certify.models.estimator import fitted_objective, graph_of_perceptron
from certify.models.factors.factor_model import FactorModel
from certify.models.fitted_factors import fitted_factors, is_decomposition
from certify.models.fitted_file import FittedFile, fitted_file
from certify.models.graph.layers import LayerGraph
from certify.models.judged_model import JudgedModel, judged
from certify.models.lowering.live_module import graph_of_module, require_traced
from certify.models.model_file import graph_of_file, layered
from certify.models.readers.exact_weights import digest_of
from certify.models.readers.perceptron import live_perceptron
from certify.models.readers.weight_file import WeightFile
from certify.models.source import Source, Tolerance
from certify.models.spec.factor_entry import FactorEntry
from certify.models.spec.layer_list import LayerEntry
from certify.models.spec.problem_file import ProblemSpec, spec_from_arguments
from certify.models.theory.decompose import Decomposition, decompose, require_input_size, require_same_outputs
from certify.models.theory.head import features_of
from certify.models.writers import network_parameters, write_network
from certify.problem import Objective, ParallelNetwork

Data = Tensor | np.ndarray[Any, np.dtype[Any]]


@final
@dataclass(frozen=True, slots=True)
class Problem:
    """What is asked: is this network a global minimizer of this objective?

    Attributes:
        objective: the function to minimize.
        network: the point in question.
        tolerance: what counts as global.
        budget_seconds: wall clock seconds to spend.
        source: where it came from.
        graph: the model, or its head, as layers; with `decomposition`, the way back to a file (see `writers`).
        decomposition: how the layers became the network.
        terms: how the loss was stated.
        inputs: what the layers of `graph` read, (n, …).
        trunk: the frozen layers before the head that `graph` is, None where it is the whole model.
    """

    objective: Objective
    network: ParallelNetwork
    tolerance: Tolerance
    budget_seconds: float
    source: Source
    graph: LayerGraph
    decomposition: Decomposition | FactorModel
    terms: LossTerms
    inputs: Tensor
    trunk: LayerGraph | None = None

    @classmethod
    def from_files(cls, spec: ProblemSpec, device: str = "cpu") -> Self:
        """Load model and data.

        Args:
            spec: a problem file's content.
            device: `cpu`, `cuda`, `cuda:i`, or `auto` for cuda where there is one.

        Raises:
            UsageError: missing files or names, shapes or biases that do not fit.
            RefusedError: unsafe, corrupt or non-finite content.
            UnsupportedError: a model or penalty outside the theory.
        """
        place = find_device(device)
        if (fitted := fitted_file(spec)) is not None:
            return cls._from_fitted(spec, fitted, place)
        # The model is judged before the data are read: they may be large.
        model = judged(spec, graph_of_file(spec.model.path, spec.model.entries))
        entries = model.decomposition.shape if isinstance(model.decomposition, FactorModel) else None
        return cls._assembled(spec, model, load_arrays(spec.data, entries), place)

    @classmethod
    def from_scratch(cls, spec: ProblemSpec, device: str = "cpu") -> Self:
        """The problem of a network of width zero with the layers that `spec` lists; its model file is not read.

        Arguments and errors are those of `from_files`; the layers must be two linear ones, perhaps with one between, or
        a factorization, whose extents the data tell.
        """
        place, entries = find_device(device), spec.model.entries
        extents = entry_extents(spec.data) if isinstance(entries, FactorEntry) else None
        data = load_arrays(spec.data, extents)
        blank = blank_factors(entries, extents or ()) if isinstance(entries, FactorEntry) else blank_weights(spec, data)
        return cls._assembled(spec, judged(spec, layered(blank, entries)), data, place)

    @classmethod
    def from_torch(  # noqa: PLR0913
        cls,
        model: torch.nn.Module,
        X: Data,  # noqa: N803
        y: Data,
        *,
        weight_decay: float | Mapping[str, float] | None = None,
        penalty: Mapping[str, Any] | None = None,
        loss: str = "mse",
        reduction: str = "mean",
        scale: float = 1.0,
        unobserved_weight: float | None = None,
        biases: Mapping[str, str] | None = None,
        skip: str | None = None,
        scope: str = "model",
        layers: Sequence[Any] | None = None,
        sample_weights: Data | None = None,
        mask: Data | None = None,
        relative_gap: float = 1e-3,
        absolute_gap: float = 0.0,
        budget_seconds: float = 60.0,
        device: str = "cpu",
    ) -> Self:
        """The problem of a live module; the arguments are the keys of a problem file.

        Args:
            model: a sum of subnetworks that bounds serve; with `scope="head"`, any that ends so.
            X: inputs (n, d), or (n, …) as the layers before a head read them.
            y: targets (n,) or (n, c).
            weight_decay: as given to `torch.optim.SGD` or `Adam`, or by name or pattern of parameters, as with their
                parameter groups; or else give `penalty`.
            penalty: the `penalty` section of a problem file.
            loss: name of the loss.
            reduction: `mean` or `sum`.
            scale: factor on the loss.
            unobserved_weight: of every entry that a factorization is given no data of, with target 0.
            biases: `hidden` and `output`: `penalized`, `free` or `absent`.
            skip: `penalized` or `free`, where `layers` names a skip.
            scope: `model`, or `head`: the last weight layers, given what the layers before, frozen, compute.
            layers: what the module computes, where its children do not show it.
            sample_weights: (n,) nonnegative.
            mask: (n, c) booleans, True where a target is observed.
            relative_gap: tolerance relative to the objective.
            absolute_gap: tolerance in units of the objective.
            budget_seconds: wall clock seconds.
            device: as in `from_files`.

        Raises:
            UsageError: arguments or shapes that do not fit.
            RefusedError: non-finite values.
            UnsupportedError: a model or penalty outside the theory.
        """
        place = find_device(device)
        decay = dict(weight_decay) if isinstance(weight_decay, Mapping) else weight_decay
        content = {
            "loss": {"name": loss, "reduction": reduction, "scale": scale, "unobserved_weight": unobserved_weight},
            "penalty": dict(penalty or {}) | ({} if decay is None else {"weight_decay": decay}),
            "biases": dict(biases or {}),
            "skip": skip,
            "scope": scope,
        }
        spec = spec_from_arguments("Problem.from_torch", content, (relative_gap, absolute_gap), budget_seconds)
        data = arrays_from({"inputs": X, "targets": y, "sample_weights": sample_weights, "mask": mask}, "", None)
        whole = graph_of_module(model, layers, data.inputs)
        problem = cls._assembled(spec, judged(spec, whole), data, place)
        if layers is None:
            require_traced(model, problem.graph if problem.trunk is None else whole, data.inputs)
        return problem

    @classmethod
    def from_sklearn(  # noqa: PLR0913
        cls,
        estimator: Any,  # noqa: ANN401
        X: Data,  # noqa: N803
        y: Data | None = None,
        *,
        sample_weight: Data | None = None,
        relative_gap: float = 1e-3,
        absolute_gap: float = 0.0,
        budget_seconds: float = 60.0,
        device: str = "cpu",
    ) -> Self:
        """The problem of a fitted estimator, with the objective that scikit-learn minimized.

        Args:
            estimator: `MLPRegressor`, `MLPClassifier`, or a factorization: `NMF`, `DictionaryLearning`,
                `SparsePCA`, or one of their kin for small batches.
            X: inputs (n, d), as given to `fit`.
            y: targets, as given to `fit`; none for a factorization.
            sample_weight: (n,), as given to `fit`.
            relative_gap: tolerance relative to the objective.
            absolute_gap: tolerance in units of the objective.
            budget_seconds: wall clock seconds.
            device: as in `from_files`.

        Raises:
            UsageError: not fitted, or shapes or labels that do not fit.
            RefusedError: non-finite values.
            UnsupportedError: an activation, a loss or a penalty outside the theory.
        """
        if is_decomposition(estimator):
            gaps = (relative_gap, absolute_gap)
            factors = fitted_factors(estimator, np.asarray(X))
            spec = spec_from_arguments("Problem.from_sklearn", factors.content, gaps, budget_seconds)
            return cls._from_fitted(spec, FittedFile(factors, "", ""), find_device(device))
        if y is None:
            raise UsageError("from_sklearn: y is not given; the estimator was fitted to targets")
        place, found = find_device(device), live_perceptron(estimator)
        weights = None if sample_weight is None else np.asarray(sample_weight, float)
        fitted = fitted_objective(found, getattr(estimator, "classes_", None), np.asarray(y), weights)
        spec = spec_from_arguments("Problem.from_sklearn", fitted.content, (relative_gap, absolute_gap), budget_seconds)
        arrays = {"inputs": X, "targets": fitted.targets, "sample_weights": fitted.sample_weights}
        whole = graph_of_perceptron(found, "sklearn")
        model = judged(spec, replace(whole, notes=(*whole.notes, *fitted.notes)))
        return cls._assembled(spec, model, arrays_from(arrays, "", None), place)

    @classmethod
    def _from_fitted(cls, spec: ProblemSpec, fitted: FittedFile, device: torch.device) -> Self:
        """Two linear layers on unit vectors, whose targets are the table."""
        found, live = fitted.factors, not fitted.model_sha256
        weights = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in found.weights.items()}
        digest, path = (digest_of(weights), None) if live else (fitted.model_sha256, spec.model.path)
        held = WeightFile(weights, "", "sklearn", path, digest, found.notes)
        graph = layered(held, tuple(LayerEntry("linear", name.removesuffix(".weight")) for name in weights))
        data = arrays_from({"inputs": np.eye(len(found.codes)), "targets": found.table}, fitted.data_sha256, None)
        return cls._assembled(spec, judged(spec, graph), data, device)

    def write(self, path: str | Path, network: ParallelNetwork) -> None:
        """Write a network of this problem, of any width, as a model file; see `writers.write_network`."""
        frozen = None if self.trunk is None else self.trunk.parameters
        write_network(path, self.graph, self.decomposition, network, self.inputs.shape[1:], frozen)

    def with_network(self, network: ParallelNetwork) -> Problem:
        """The same question about another network, of any width, that is in no file."""
        parameters = network_parameters(self.graph, self.decomposition, network)
        digest, count = digest_of(parameters), self.graph.trained_scalars(parameters)
        source = replace(self.source, model_path=None, model_sha256=digest, width=network.width, parameters=count)
        graph = replace(self.graph, parameters=parameters, path=None, sha256=digest)
        before = self.decomposition
        if isinstance(before, FactorModel):
            return replace(
                self, network=network, source=source, graph=graph, decomposition=before.with_values(parameters)
            )
        after = decompose(graph, before.conventions, before.charge).on(self.inputs)
        if len(after.branches) != len(before.branches):
            raise CertifyError(f"{graph.label}: other branches at another width; please report")
        found = replace(after, network=network)
        return replace(self, network=network, source=source, graph=graph, decomposition=found)

    @classmethod
    def _assembled(cls, spec: ProblemSpec, model: JudgedModel, data: Arrays, device: torch.device) -> Self:
        graph, head, where = model.graph, model.head, str(data.path or "data")
        if head is not None:
            data = replace(data, inputs=features_of(head.trunk, data.inputs, device, where))
        if isinstance(model.decomposition, FactorModel):
            model.decomposition.require_places(data.inputs, where)
        else:
            require_input_size(model.decomposition, data.inputs, where)
        local = model.on(data.inputs, device)
        terms = LossTerms.of(spec, data)
        objective = _objective(terms, local, data, device)
        placed = replace(graph, parameters={name: t.to(device) for name, t in graph.parameters.items()})
        require_same_outputs(placed, objective, local.network, data.inputs.to(device))
        return cls(
            objective=objective,
            network=local.network,
            tolerance=Tolerance(spec.tolerance.relative_gap, spec.tolerance.absolute_gap),
            budget_seconds=spec.budget.seconds,
            source=model.source(data),
            graph=graph,
            decomposition=local,
            terms=terms,
            inputs=data.inputs,
            trunk=None if head is None else head.trunk,
        )


def _objective(
    terms: LossTerms, decomposition: Decomposition | FactorModel, data: Arrays, device: torch.device
) -> Objective:
    outputs, inputs = decomposition.network.coefficients.shape[1], data.inputs.to(device)
    weights, mask = (None if part is None else part.to(device) for part in (terms.sample_weights, terms.mask))
    return Objective(
        branches=decomposition.branches_on(inputs),
        convex=decomposition.convex_part(inputs),
        loss=terms.loss.bind(data.targets.to(device), outputs, weights, mask),
        offset=decomposition.offset(inputs),
        unobserved=terms.loss.scale * terms.loss.unobserved_weight,
    )
