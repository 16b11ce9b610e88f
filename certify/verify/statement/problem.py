"""What a claim is about: branches of subnetworks, a convex part, a fixed offset, a loss, and the data's whereabouts.

minimize over all widths   l(Z) + penalty,   Z = offset + Σ_b Σ_{i ≤ r_b} φ_b(X; W_i) + Σ_j E_j C_j
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from certify.verify.reals import Real
from certify.verify.rejection import refuse
from certify.verify.statement.activations import IDENTITY, Square
from certify.verify.statement.entries import EntryTerm, read_entries
from certify.verify.statement.entry_penalties import EntryDecay, EntryPenalty, read_entry_penalty
from certify.verify.statement.fields import choice, digest, flag, integers, listed, number, section, text
from certify.verify.statement.layers import read_neuron
from certify.verify.statement.neuron import Neuron
from certify.verify.statement.penalties import (
    Penalty,
    TiedDecay,
    WeightDecay,
    decay_strength,
    read_penalty,
    read_tied_decay,
)
from certify.verify.statement.windows import require_table

POLICIES = ("absent", "free", "penalized")
ROLES = ("inputs", "targets", "sample_weights", "mask")
_KEYS = (
    *("inputs", "branches", "outside", "offset", "loss", "sample_weights", "mask"),
    *("features", "departures", "data", "tolerance"),
)


@final
@dataclass(frozen=True, slots=True)
class Branch:
    """Subnetworks of one kind; `bias`: whether the first weight also reads a constant 1, and if that is penalized."""

    neuron: Neuron | EntryTerm
    bias: str
    penalty: Penalty | EntryPenalty

    @property
    def peels(self) -> int:
        """Number of weights between the first and the last."""
        return 0 if isinstance(self.neuron, EntryTerm) else len(self.neuron.hops)

    @property
    def degrees(self) -> tuple[int, ...]:
        """Degree d_k of the subnetwork in each of its factors."""
        if isinstance(self.neuron, EntryTerm):
            return (1,) * len(self.neuron.shape)
        if self.neuron.tied:
            return (2,)
        return (2, 1) if isinstance(self.neuron.activation, Square) else (1,) * self.neuron.weights

    @property
    def degree(self) -> int:
        """D, such that the penalty is at least (λ Π_k n_k^{d_k})^{2/D}; 2 where degrees are equal."""
        return sum(self.degrees) if isinstance(self.penalty, WeightDecay | EntryDecay) else 2

    def strength(self, real: Real) -> float:
        """Lower bound on λ."""
        if isinstance(self.penalty, WeightDecay | EntryDecay):
            return decay_strength(self.penalty.strengths, self.degrees, real)
        return self.penalty.strength(real) if isinstance(self.penalty, TiedDecay) else self.penalty.level

    @property
    def free_column(self) -> bool:
        """Whether a constant outside the norm stands beside the rows; under the identity it adds 1ᵀS = 0."""
        return self.bias == "free" and self.neuron.activation != IDENTITY


@final
@dataclass(frozen=True, slots=True)
class Outside:
    """A linear part E C outside the subnetworks, penalized by decay/2 |C|².

    Attributes:
        features: E is a column of `ones`, the `inputs`, or for each place along an `axis` the indicator of its samples.
        decay: μ.
        axis: of `axis`.
        counted: whether the decay of every place is multiplied by its number of samples.
    """

    features: str
    decay: float
    axis: int = 0
    counted: bool = False

    def __str__(self) -> str:
        names = {"ones": "output bias", "inputs": "linear skip", "axis": f"bias of every place along axis {self.axis}"}
        times = " times the number of entries" if self.counted else ""
        return names[self.features] + (f" with weight decay {self.decay:g}{times}" if self.decay else " free")


@final
@dataclass(frozen=True, slots=True)
class LossTerms:
    """Name of the loss, `mean` or `sum`, its factor, and whether samples have weights, or a mask hides targets.

    `unobserved` is the weight of entries of a matrix that are no samples; None where they do not count.
    """

    name: str
    reduction: str
    scale: float
    weighted: bool
    masked: bool
    unobserved: float | None = None


@final
@dataclass(frozen=True, slots=True)
class Problem:
    """The statement of a certificate.

    Attributes:
        inputs: shape of one sample.
        branches: subnetworks; none for a linear model.
        offset: `inputs`, `array`, or None.
        features: digest of X where it holds features that frozen layers computed; None where it holds the inputs.
        departures: how the objective differs from what weight decay on the parameters of the model file computes.
        data_names: name in the data file of every role, or None.
        relative: tolerance relative to the objective.
        absolute: tolerance in units of the objective.
    """

    inputs: tuple[int, ...]
    branches: tuple[Branch, ...]
    outside: tuple[Outside, ...]
    offset: str | None
    loss: LossTerms
    features: str | None
    departures: tuple[str, ...]
    data_sha256: str
    data_names: Mapping[str, Any] | None
    relative: float
    absolute: float

    @property
    def frees_constants(self) -> bool:
        """Whether a constant may be added to any output at no cost, so that columns of A sum to zero."""
        return any(branch.bias == "free" for branch in self.branches) or self._frees("ones")

    @property
    def frees_inputs(self) -> bool:
        """Whether XC is free for some C, so that XᵀA is zero."""
        return self._frees("inputs")

    @property
    def degree(self) -> int | None:
        """D of all branches, 2 without any; None where they differ."""
        found = {branch.degree for branch in self.branches} or {2}
        return found.pop() if len(found) == 1 else None

    @property
    def freed_axes(self) -> tuple[int, ...]:
        """Axes along which a number may be added to all samples of a place at no cost."""
        return tuple(block.axis for block in self.outside if block.features == "axis" and block.decay == 0)

    @property
    def entries(self) -> EntryTerm | None:
        """What samples are places of, if they are."""
        found = (branch.neuron for branch in self.branches)
        return next((neuron for neuron in found if isinstance(neuron, EntryTerm)), None)

    def _frees(self, features: str) -> bool:
        return any(block.features == features and block.decay == 0 for block in self.outside)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the arrays that hold parameters, in order."""
        found = []
        for index, branch in enumerate(self.branches):
            if isinstance(branch.neuron, EntryTerm):
                found += [f"F{index}.{axis}" for axis in range(len(branch.neuron.shape))]
                continue
            others = (f"F{index}.{place}" for place in range(1, branch.neuron.weights))
            found += [f"F{index}.0", *([f"F{index}.bias"] if branch.bias != "absent" else []), *others]
        return (*found, *(f"C{index}" for index in range(len(self.outside))))

    def describe(self, samples: int, outputs: int) -> str:
        """The problem in words."""
        weight = "" if self.loss.unobserved is None else f", unobserved entries 0 with weight {self.loss.unobserved:g}"
        loss = f"{self.loss.name} ({self.loss.reduction}, scale {self.loss.scale:g}){weight}"
        part = "" if self.features is None else f"head on {math.prod(self.inputs)} features of frozen layers: "
        branches = [f"subnetworks [{b.neuron.wording}], {b.penalty}, hidden bias {b.bias}" for b in self.branches]
        outside = [str(block) for block in self.outside]
        offset = {None: [], "inputs": ["the inputs added to the outputs"], "array": ["a fixed offset"]}[self.offset]
        parts = [*branches, *outside, *offset] or ["no parameters"]
        return f"{part}{' + '.join(parts)}; {loss}, {samples} samples, {outputs} outputs"


def read_problem(value: object) -> Problem:
    """The statement.

    Raises:
        Rejection: refused; names the rule.
    """
    stated = section(value, "statement", _KEYS)
    inputs = integers(stated["inputs"], "statement.inputs", 1)
    if len(inputs) > 3:
        refuse("schema", f"statement.inputs: {list(inputs)}, needs at most 3 axes")
    loss = stated["loss"]
    unobserved = ("unobserved_weight",) if isinstance(loss, dict) and "unobserved_weight" in loss else ()
    loss = section(loss, "statement.loss", ("name", "reduction", "scale", *unobserved))
    tolerance = section(stated["tolerance"], "statement.tolerance", ("relative", "absolute"))
    data = section(stated["data"], "statement.data", ("sha256", "names"))
    features, offset = stated["features"], stated["offset"]
    branches = _branches(stated["branches"], inputs)
    return Problem(
        inputs=inputs,
        branches=branches,
        outside=tuple(_outside(entry, branches) for entry in listed(stated["outside"], "statement.outside")),
        offset=None if offset is None else choice(offset, "statement.offset", ("inputs", "array")),
        loss=LossTerms(
            name=text(loss["name"], "statement.loss.name"),
            reduction=choice(loss["reduction"], "statement.loss.reduction", ("mean", "sum")),
            scale=number(loss["scale"], "statement.loss.scale"),
            weighted=flag(stated["sample_weights"], "statement.sample_weights"),
            masked=flag(stated["mask"], "statement.mask"),
            unobserved=number(loss[unobserved[0]], "statement.loss.unobserved_weight") if unobserved else None,
        ),
        features=None if features is None else digest(features, "statement.features"),
        departures=tuple(
            text(entry, "statement.departures") for entry in listed(stated["departures"], "statement.departures")
        ),
        data_sha256=digest(data["sha256"], "statement.data.sha256"),
        data_names=_data_names(data["names"]),
        relative=number(tolerance["relative"], "statement.tolerance.relative"),
        absolute=number(tolerance["absolute"], "statement.tolerance.absolute"),
    )


def _branches(value: object, inputs: tuple[int, ...]) -> tuple[Branch, ...]:
    found: list[Branch] = []
    for entry in listed(value, "statement.branches"):
        found.append(_branch(entry, inputs))
        require_table(sum(branch.neuron.entries for branch in found))
    if len(found) > 1 and any(isinstance(branch.neuron, EntryTerm) for branch in found):
        refuse("layers", "branches.layers: entries are a branch of their own")
    return tuple(found)


def _branch(value: object, inputs: tuple[int, ...]) -> Branch:
    entry = section(value, "statement.branches", ("layers", "bias", "penalty", "function"))
    choice(entry["function"], "branches.function", ("identity",))
    bias = choice(entry["bias"], "branches.bias", POLICIES)
    layers = listed(entry["layers"], "branches.layers")
    if len(layers) == 1 and isinstance(layers[0], dict) and layers[0].get("op") == "entries":
        choice(bias, "branches.bias", ("absent",))
        term = read_entries(layers[0], inputs, "branches.layers")
        return Branch(term, bias, read_entry_penalty(entry["penalty"], "branches.penalty", len(term.shape)))
    neuron = read_neuron(entry["layers"], inputs, "branches.layers")
    if neuron.tied:
        return Branch(neuron, bias, read_tied_decay(entry["penalty"], "branches.penalty", bias == "penalized"))
    return Branch(neuron, bias, read_penalty(entry["penalty"], "branches.penalty", bias == "penalized"))


def _outside(value: object, branches: tuple[Branch, ...]) -> Outside:
    entry = section(value, "statement.outside", ("features", "decay"))
    terms = [branch.neuron for branch in branches if isinstance(branch.neuron, EntryTerm)]
    axes = range(len(terms[0].shape) if terms else 0)
    indicators = {f"{counted}axis-{axis}": (axis, bool(counted)) for axis in axes for counted in ("", "counted-")}
    features = choice(entry["features"], "outside.features", ("ones", *(indicators or ["inputs"])))
    decay = number(entry["decay"], "outside.decay")
    return Outside("axis", decay, *indicators[features]) if features in indicators else Outside(features, decay)


def _data_names(value: object) -> Mapping[str, Any] | None:
    if value is None:
        return None
    place = "statement.data.names"
    names = section(value, place, ROLES)
    for name in names.values():
        if not (name is None or isinstance(name, str) or [text(entry, place) for entry in listed(name, place)]):
            refuse("schema", f"{place}: a list of columns is empty")
    return names
