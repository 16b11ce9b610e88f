"""A factorization as the theory speaks of it: rank-one terms, biases of rows and columns, and what is penalized.

With `entry_counts` the decay of every row of a factor, and of its bias, is multiplied by the number of entries that are
observed of it (Zhou, Wilkinson, Schreiber and Pan 2008); the factors that the theory sees are then √count times those
of the model, and every entry has the coefficient Π_k 1/√count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from certify.errors import UnsupportedError, UsageError
from certify.models.graph.layers import Layer, LayerGraph
from certify.models.graph.operations import OPERATIONS, Operands
from certify.models.spec.factor_entry import TRANSPOSED
from certify.models.theory.bias_policy import BiasPolicy, Conventions, Policy
from certify.models.theory.decays import Charge, Decays
from certify.problem import Branch, ConvexPart, Entries, FactorNorms, ParallelNetwork, Penalty, WeightDecay
from certify.problem.groups import Groups
from certify.problem.kinds import FACTORIZATIONS, EntryProduct

LOOK_UP = "look_up"


@final
@dataclass(frozen=True, slots=True)
class Table:
    """An array with one row, or one entry, for each place along an axis.

    Attributes:
        axis: k.
        name: of the parameter.
        transposed: whether the file holds it with one column for each place.
        decay: weight decay, 0 for a free bias.
    """

    axis: int
    name: str
    transposed: bool
    decay: float


@final
@dataclass(frozen=True, slots=True)
class FactorModel:
    """A factorization; the samples of its problem are the places (N, K) of entries.

    Attributes:
        graph: look-ups, their product, and biases.
        conventions: what the problem said of biases.
        charge: what the problem said of the penalty.
        counted: whether decays are multiplied by numbers of entries.
        kind: by the number of axes.
        penalty: of a term.
        factors: one table an axis.
        biases: of rows or columns.
        constant: name of the bias of all entries and its decay, or None.
        scale: factor on the terms.
        counts: number of entries of every place of every axis, where decays are counted and the data are known.
        network: factors as the theory has them, and coefficients (k, 1).
    """

    graph: LayerGraph
    conventions: Conventions
    charge: Charge
    counted: bool
    kind: EntryProduct
    penalty: Penalty
    factors: tuple[Table, ...]
    biases: tuple[Table, ...]
    constant: tuple[str, float] | None
    scale: float
    counts: tuple[Tensor, ...] | None
    network: ParallelNetwork

    @property
    def family(self) -> str:
        """Name of the kind, as reports show it."""
        return self.kind.name

    @property
    def degree(self) -> int:
        """Degree of homogeneity of the terms."""
        return self.kind.degree

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents of the matrix or tensor."""
        return tuple(self._table(factor).shape[0] for factor in self.factors)

    @property
    def entry(self) -> dict[str, object]:
        """How the `layers:` list says it."""
        prefix = self.graph.prefix
        names = [f"{prefix}{factor.name}{TRANSPOSED if factor.transposed else ''}" for factor in self.factors]
        if len(names) > 2:
            return {"cp": names}
        sides = {bias.axis: prefix + bias.name for bias in self.biases}
        found = {"left": names[0], "right": names[1], "row_bias": sides.get(0), "column_bias": sides.get(1)}
        found["global_bias"] = None if self.constant is None else prefix + self.constant[0]
        found["offset"] = None if self._fixed is None else f"{prefix}{self._fixed.weight}"
        scale = {} if self.scale == 1 else {"scale": self.scale}
        return {"factorization": {key: name for key, name in found.items() if name is not None} | scale}

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user may want to know."""
        return ()

    @property
    def policy(self) -> BiasPolicy:
        """What is penalized beside the factors."""
        decays = [*(bias.decay for bias in self.biases), *([self.constant[1]] if self.constant else [])]
        output: Policy = "absent" if not decays else "penalized" if all(decays) else "free"
        return BiasPolicy("absent", output, "absent")

    def branches_on(self, inputs: Tensor) -> tuple[Branch, ...]:
        """The terms, for places (N, K)."""
        return (Branch(self.kind, self.entries(inputs), self.penalty),)

    def entries(self, inputs: Tensor) -> Entries:
        """Where the entries stand, with their coefficients."""
        indices = inputs.long()
        if self.counts is None:
            coefficients = None if self.scale == 1 else inputs.new_full((len(inputs),), self.scale)
            return Entries(indices, self.shape, coefficients)
        product = torch.ones_like(inputs[:, 0])
        for axis, count in enumerate(self.counts):
            product = product * count.to(inputs)[indices[:, axis]]
        return Entries(indices, self.shape, self.scale / product.sqrt())

    def convex_part(self, inputs: Tensor) -> ConvexPart:
        """Biases: of all entries first, then of the axes."""
        ones = inputs.new_ones(len(inputs), int(self.constant is not None))
        ridge = [inputs.new_tensor([self.constant[1]] if self.constant else [])]
        groups = []
        for bias in self.biases:
            groups.append(Groups(inputs[:, bias.axis].long(), self.shape[bias.axis]))
            weights = inputs.new_ones(self.shape[bias.axis])
            # A bias of nothing observed is 0 and costs nothing, whatever its decay.
            if self.counts is not None:
                weights = self.counts[bias.axis].to(inputs).clamp_min(1)
            ridge.append(bias.decay * weights)
        return ConvexPart(ones, torch.cat(ridge), tuple(groups))

    def offset(self, inputs: Tensor) -> Tensor | None:
        """What is added at places (N, K) and not trained, (N, 1)."""
        fixed = self._fixed
        if fixed is None:
            return None
        parameters = {"weight": self.graph.parameters[str(fixed.weight)].to(inputs.device)}
        return OPERATIONS["fixed"](Operands((inputs,), parameters, {})).expand(len(inputs))[:, None].contiguous()

    def on(self, inputs: Tensor) -> FactorModel:
        """With the counts of places (N, K), where decays are counted."""
        if not self.counted:
            return self
        counts = tuple(
            torch.bincount(inputs[:, axis].long(), minlength=extent) for axis, extent in enumerate(self.shape)
        )
        return replace(self, counts=counts).with_values(self.graph.parameters)

    def require_places(self, inputs: Tensor, where: str) -> None:
        """Raise UsageError unless the inputs (N, K) are places inside the tables, each once."""
        if inputs.ndim != 2 or inputs.shape[1] != len(self.shape):
            raise UsageError(
                f"{where}: a factorization of {len(self.shape)} factors is fitted to entries, each given by "
                f"{len(self.shape)} places and a value; found inputs of shape {tuple(inputs.shape)}; leave data.inputs "
                "out where targets are the whole matrix or tensor",
                code="shape-mismatch",
            )
        for axis, extent in enumerate(self.shape):
            column = inputs[:, axis]
            if not bool(((column >= 0) & (column < extent) & (column == column.floor())).all()):
                raise UsageError(
                    f"{where}: places along axis {axis} must be integers between 0 and {extent - 1}, the rows of "
                    f"'{self.factors[axis].name}'; found {float(column.min()):g} to {float(column.max()):g}",
                    code="target-range",
                )
        flat = torch.zeros(len(inputs), dtype=torch.int64)
        for axis, extent in enumerate(self.shape):
            flat = flat * extent + inputs[:, axis].long().cpu()
        again = len(flat) - len(torch.unique(flat))
        if again:
            raise UsageError(f"{where}: {again} entries are given more than once", code="duplicate")

    def require_plain(self, what: str) -> None:
        """Raise UnsupportedError unless it is two factors and nothing else, each entry their product."""
        fixed = () if self._fixed is None else ("an offset",)
        extra = [
            *(("a tensor of more axes",) if len(self.shape) != 2 else ()),
            *(("biases",) if self.biases or self.constant else fixed),
            *(("scale",) if self.scale != 1 else ()),
            *(("entry_counts",) if self.counted else ()),
            *(("factor_norms",) if isinstance(self.penalty, FactorNorms) else ()),
        ]
        if extra:
            raise UnsupportedError(
                f"{self.graph.label}: {what} serves two factors of a matrix alone; found {', '.join(extra)}",
                code="no-bound-yet",
            )

    def with_values(self, found: Mapping[str, Tensor]) -> FactorModel:
        """With the network of these parameters, by name."""
        graph = replace(self.graph, parameters=found)
        changed = replace(self, graph=graph)
        stack = []
        for factor in changed.factors:
            values = changed._table(factor)
            root = changed._roots(factor.axis)
            stack.append((values if root is None else values * root[:, None]).T.contiguous())
        rows = [found[self.constant[0]].reshape(1, 1)] if self.constant else []
        for bias in changed.biases:
            values = found[bias.name].reshape(-1, 1)
            seen = None if changed.counts is None else (changed.counts[bias.axis] > 0).to(values)
            rows.append(values if seen is None else values * seen[:, None])
        coefficients = torch.cat([stack[0].new_zeros(0, 1), *rows])
        return replace(changed, network=ParallelNetwork((tuple(stack),), coefficients))

    def parameters(self, network: ParallelNetwork) -> dict[str, Tensor]:
        """The arrays of the file that hold a network of any rank."""
        found: dict[str, Tensor] = {}
        for factor, stack in zip(self.factors, network.stacks[0], strict=True):
            root = self._roots(factor.axis)
            values = stack.T if root is None else stack.T / root.clamp_min(1)[:, None]
            found[factor.name] = values.T if factor.transposed else values
        start = 0
        if self.constant is not None:
            name, start = self.constant[0], 1
            found[name] = network.coefficients[0].reshape(self.graph.parameters[name].shape)
        for bias in self.biases:
            rows = network.coefficients[start : start + self.shape[bias.axis]]
            found[bias.name] = rows.reshape(self.graph.parameters[bias.name].shape)
            start += len(rows)
        found |= {name: self.graph.parameters[name] for name in self.graph.frozen}
        return {name: found[name].detach().cpu().double().contiguous() for name in self.graph.parameters}

    @property
    def _fixed(self) -> Layer | None:
        return next((layer for layer in self.graph.layers if layer.op == "fixed"), None)

    def _table(self, table: Table) -> Tensor:
        values = self.graph.parameters[table.name]
        return values.T if table.transposed else values

    def _roots(self, axis: int) -> Tensor | None:
        """√count of every place, None where nothing is counted; 0 where nothing is observed."""
        return None if self.counts is None else self.counts[axis].to(torch.float64).sqrt()


def is_factorization(graph: LayerGraph) -> bool:
    """Whether the graph is one that `factor_model` takes."""
    return any(layer.op == LOOK_UP for layer in graph.layers)


def factor_model(graph: LayerGraph, conventions: Conventions, charge: Charge, *, counted: bool) -> FactorModel:
    """The factorization that a graph of look-ups is.

    Raises:
        UsageError: tables that do not fit together.
        UnsupportedError: a factor without weight decay, or more axes than there are kinds for.
    """
    if isinstance(charge, Decays):
        trained = (name for name in (*graph.parameters, *graph.unused) if name not in graph.frozen)
        charge.require_names((graph.prefix + name for name in trained), graph.label)
    by_axis = {layer.name: int(str(layer.attributes["index"])) for layer in graph.layers if layer.op == "select"}
    look_ups = [layer for layer in graph.layers if layer.op == LOOK_UP]
    product = next(layer for layer in graph.layers if layer.op == "mul")
    terms = [_stated(graph, layer, by_axis, charge) for layer in look_ups if layer.name in product.inputs]
    biases = [_bias(graph, layer, by_axis, charge, conventions) for layer in look_ups if layer.attributes.get("bias")]
    constant = next((layer for layer in graph.layers if layer.op == "constant"), None)
    scale = next((layer.attributes["factor"] for layer in graph.layers if layer.op == "scale"), 1.0)
    if len(terms) not in FACTORIZATIONS:
        raise UnsupportedError(f"{graph.label}: {len(terms)} factors; certify serves 2 to 4", code="no-bound-yet")
    kind = FACTORIZATIONS[len(terms)]
    factors = tuple(sorted(terms, key=lambda table: table.axis))
    penalty = _penalty(graph, kind, factors, charge)
    if counted and penalty.gauge(kind).exponent != 1:
        raise UnsupportedError(
            f"{graph.label}: entry_counts is served for two factors, found {len(terms)}; leave it out",
            code="degree-mismatch",
        )
    blank = ParallelNetwork(((),), torch.zeros(0, 1))
    model = FactorModel(
        graph,
        conventions,
        charge,
        counted,
        kind,
        penalty,
        factors,
        tuple(biases),
        None if constant is None else (str(constant.weight), _decay(graph, str(constant.weight), charge, conventions)),
        float(str(scale)),
        None,
        blank,
    )
    _require_tables(model)
    found = model.with_values(graph.parameters)
    if isinstance(penalty, FactorNorms):
        penalty.require_inside(graph.label, [factor.name for factor in factors], found.network.stacks[0])
    return found


def _stated(graph: LayerGraph, layer: Layer, by_axis: dict[str, int], charge: Charge) -> Table:
    name = str(layer.weight)
    decay = charge.of(graph.prefix + name) if isinstance(charge, Decays) else 0.0
    return Table(by_axis[layer.inputs[0]], name, bool(layer.attributes.get("transposed")), decay)


def _bias(graph: LayerGraph, layer: Layer, by_axis: dict[str, int], charge: Charge, conventions: Conventions) -> Table:
    return replace(_stated(graph, layer, by_axis, charge), decay=_decay(graph, str(layer.weight), charge, conventions))


def _decay(graph: LayerGraph, name: str, charge: Charge, conventions: Conventions) -> float:
    """Weight decay of a bias; biases are outputs' biases."""
    if conventions.output == "free" or not isinstance(charge, Decays):
        return 0.0
    return charge.of(graph.prefix + name)


def _penalty(graph: LayerGraph, kind: EntryProduct, factors: tuple[Table, ...], charge: Charge) -> Penalty:
    if not isinstance(charge, Decays):
        charge.gauge(kind)
        return charge
    for factor in factors:
        if not factor.decay > 0:
            raise UnsupportedError(
                f"{graph.label}: '{factor.name}' has weight decay 0; the other factor can then be made as small as one "
                "likes at no cost, and no certificate exists. Give it a weight decay",
                code="unpenalized-weight",
            )
    return charge.on(WeightDecay(tuple(factor.decay for factor in factors)), kind)


def _require_tables(model: FactorModel) -> None:
    """Raise UsageError unless all factors have the same rank and every bias one number a place."""
    graph = model.graph
    tables = [(factor, model._table(factor)) for factor in model.factors]
    ranks = {tuple(values.shape[1:]) for _, values in tables}
    if len(ranks) > 1 or any(len(rank) != 1 for rank in ranks):
        shapes = ", ".join(f"'{factor.name}' {tuple(graph.parameters[factor.name].shape)}" for factor, _ in tables)
        raise UsageError(
            f"{graph.label}: factors need one row for each place and columns of one number, found {shapes}; write "
            "NAME.T for a factor that is stored with one column for each place",
            code="shape-mismatch",
        )
    fixed = None if model._fixed is None else graph.parameters[str(model._fixed.weight)]
    if fixed is not None and fixed.numel() != 1 and tuple(fixed.shape) != model.shape:
        raise UsageError(
            f"{graph.label}: offset has shape {tuple(fixed.shape)}, the factors make {model.shape}; it may also be one "
            "number",
            code="shape-mismatch",
        )
    for bias in model.biases:
        if graph.parameters[bias.name].numel() != model.shape[bias.axis]:
            raise UsageError(
                f"{graph.label}: '{bias.name}' of shape {tuple(graph.parameters[bias.name].shape)} is no bias of "
                f"{model.shape[bias.axis]} places",
                code="shape-mismatch",
            )
