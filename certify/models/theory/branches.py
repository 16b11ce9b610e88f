"""The branches of a model: sorts of subnetworks whose parameters are penalized alike, with their weights stacked."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from certify.errors import UnsupportedError, UsageError
from certify.models.theory.bias_policy import BiasPolicy, Policy
from certify.models.theory.decays import Charge, Decays
from certify.models.theory.neurons import NeuronLayers
from certify.models.theory.parallel import Sort
from certify.models.theory.parts import Part
from certify.models.theory.standing import Layout
from certify.models.theory.subnetwork_graph import Cut
from certify.problem import Branch, FactorNorms, Factors, Penalty, ProductOfNorms, WeightDecay
from certify.problem.architecture import Dense, Geometry
from certify.problem.windows import Extents

Weights = tuple[Tensor, Tensor | None, Tensor | None]


@final
@dataclass(frozen=True, slots=True)
class ModelBranch:
    """Subnetworks that differ in their weights alone, as a model has them.

    Attributes:
        neuron: their layers.
        cuts: where they come from; parameters of each stand in the order of `neuron`'s.
        bias: policy of their hidden bias.
        penalty: of a subnetwork, hidden bias aside.
        bias_decay: weight decay of a penalized hidden bias, None where there is none or the penalty is not a decay.
        weights: first weights (r, h), hidden biases (r,) or None, and second weights (r, m) with the factor on them, or
            None where they are the first ones, transposed.
        channels: number of output channels of the second weight.
        folds_bias: whether the hidden bias acts like one of the outputs and is no part of the subnetworks.
    """

    neuron: NeuronLayers
    cuts: tuple[Cut, ...]
    bias: Policy
    penalty: Penalty
    bias_decay: float | None
    weights: Weights
    channels: int
    folds_bias: bool

    @property
    def column(self) -> float | None:
        """Value of the constant input: √(wd of the weight / wd of the bias), so that θ is a norm; None without one."""
        if self.bias == "absent" or self.folds_bias:
            return None
        if self.bias_decay is None or not isinstance(self.penalty, WeightDecay):
            return 1.0
        strength = self.penalty.strengths[0]
        return 1.0 if strength == self.bias_decay else math.sqrt(strength / self.bias_decay)

    @property
    def stack(self) -> Factors:
        """Factors (r, ·)."""
        first, bias, second = self.weights
        column = self.column
        if column is not None and bias is not None:
            first = torch.cat([first, bias[:, None] / column], 1)
        return (first,) if second is None else (first, second)

    def unstacked(self, stack: Factors) -> Weights:
        """First weights, hidden biases and second weights of factors of any width."""
        column, second = self.column, stack[1] / self.neuron.gain if len(stack) > 1 else None
        if column is None:
            blank = stack[0].new_zeros(len(stack[0])) if self.neuron.bias is not None else None
            return stack[0], blank, second
        return stack[0][:, :-1], stack[0][:, -1] * column, second

    def geometry(self, shape: Extents) -> Geometry:
        """The architecture on samples of a shape."""
        return self.neuron.architecture.on(shape)

    def outputs_on(self, shape: Extents) -> int:
        """Number of outputs c for samples of a shape."""
        return self.channels * self.geometry(shape).places

    def on(self, shape: Extents) -> ModelBranch:
        """With the right number of second weights where there are no units that show it."""
        first, bias, second = self.weights
        if len(first) or second is None:
            return self
        return replace(self, weights=(first, bias, second.new_zeros(0, self.channels * self.geometry(shape).reach)))

    def branch(self, inputs: Tensor, shape: Extents) -> Branch:
        """On flattened samples (n, d) of a shape."""
        view = self.geometry(shape).view(inputs, self.column, self.bias == "free")
        return Branch(self.neuron.kind, view, self.penalty)


def model_branches(layout: Layout, policy: BiasPolicy, charge: Charge) -> tuple[ModelBranch, ...]:
    """All branches; subnetworks of one sort whose parameters have different weight decays are different branches.

    Raises:
        UnsupportedError: a weight without weight decay, or biases that no bound serves.
    """
    found = []
    for sort, neuron in zip(layout.sorts, layout.neurons, strict=True):
        for cuts in _alike(layout, sort, charge):
            found.append(_branch(layout, neuron, cuts, policy, charge))
    return tuple(found)


def _alike(layout: Layout, sort: Sort, charge: Charge) -> list[tuple[Cut, ...]]:
    groups: dict[tuple[float, ...], list[Cut]] = {}
    for cut in sort.cuts:
        groups.setdefault(_decays(layout, cut, charge), []).append(cut)
    return [tuple(cuts) for cuts in groups.values()]


def _decays(layout: Layout, cut: Cut, charge: Charge) -> tuple[float, ...]:
    """Weight decays of the parameters, in order."""
    prefix = layout.graph.prefix
    return tuple(charge.of(prefix + name) for name in cut.parts) if isinstance(charge, Decays) else ()


def _branch(
    layout: Layout, neuron: NeuronLayers, cuts: tuple[Cut, ...], policy: BiasPolicy, charge: Charge
) -> ModelBranch:
    bias: Policy = "absent" if neuron.bias is None else policy.hidden
    penalty, bias_decay = _penalty(layout, neuron, cuts[0], charge)
    if bias_decay == 0 and bias == "penalized":
        bias = "free"
    linear = neuron.kind.operations == ()
    made = neuron.architecture
    plain = made.first == made.second == Dense() and not made.between
    if bias == "free" and not (plain and made.gate is None):
        sort = "tied" if neuron.second is None else "gated" if made.gate else "a convolution"
        raise UnsupportedError(
            f"{layout.graph.label}: '{neuron.first}' is {sort} with a hidden bias "
            "that is not penalized; no bound serves it. Give the bias a weight decay, or train without it",
            code="no-bound-yet",
        )
    found = ModelBranch(
        neuron=neuron,
        cuts=cuts,
        bias=bias,
        penalty=penalty,
        bias_decay=bias_decay if bias == "penalized" else None,
        weights=_weights(layout, neuron, cuts),
        channels=_channels(neuron, cuts[0]),
        folds_bias=linear and bias == "free",
    )
    _require_inside(layout.graph.label, found)
    return found


def _channels(neuron: NeuronLayers, cut: Cut) -> int:
    """Number of output channels: of a weight that is read twice, its inputs."""
    if neuron.second is None:
        return cut.graph.parameters[neuron.first].flatten(1).shape[1]
    return cut.graph.parameters[list(cut.parts)[-1]].shape[1]


def _penalty(layout: Layout, neuron: NeuronLayers, cut: Cut, charge: Charge) -> tuple[Penalty, float | None]:
    """Penalty of the factors, and the weight decay of the hidden bias."""
    if not isinstance(charge, Decays):
        gauge = charge.gauge(neuron.kind)
        if neuron.second is None:
            # λ |(u, b)|², in the words of weight decay.
            return WeightDecay((2 * gauge.coefficient,)), 2 * gauge.coefficient
        if neuron.gain == 1:
            return charge, None
        if not isinstance(charge, ProductOfNorms):
            raise UnsupportedError(
                f"{layout.graph.label}: a factor on the subnetworks is served with weight_decay or product_of_norms",
                code="unsupported-penalty",
            )
        return replace(charge, strength=charge.strength / abs(neuron.gain) ** charge.powers[-1]), None
    decays = dict(zip(_roles(neuron), _decays(layout, cut, charge), strict=True))
    for role in decays.keys() - {"bias"}:
        if not decays[role] > 0:
            name = list(cut.parts)[list(decays).index(role)]
            raise UnsupportedError(
                f"{layout.graph.label}: '{name}' has weight decay 0; the other weights of its subnetworks can then be "
                "made as small as one likes at no cost, and no certificate exists. Give it a weight decay",
                code="unpenalized-weight",
            )
    second = (decays["second"] / neuron.gain**2,) if "second" in decays else ()
    penalty = WeightDecay((decays["first"], *second))
    penalty.gauge(neuron.kind)
    return penalty, decays.get("bias")


def _require_inside(label: str, branch: ModelBranch) -> None:
    """Factors lie in the cones of their norms: no descent leads back there."""
    if not isinstance(branch.penalty, FactorNorms):
        return
    if branch.folds_bias and branch.penalty.right.nonnegative:
        raise UnsupportedError(
            f"{label}: a hidden bias that is not penalized makes any constant, but nonnegative second weights do "
            "not; leave it out, and give the outputs a bias",
            code="unsupported-penalty",
        )
    names = list(branch.cuts[0].parts)
    for name, side, factor in (
        (names[0], "left", branch.stack[0]),
        (names[-1], "right", branch.stack[1]),
    ):
        outside = (factor < 0).nonzero().tolist() if getattr(branch.penalty, side).nonnegative else []
        if outside:
            unit, entry = outside[0]
            raise UsageError(
                f"{label}: penalty.factor_norms.nonnegative names '{side}', but in '{name}' entry {entry} of "
                f"subnetwork {unit} is {float(factor[unit, entry]):g}; give nonnegative weights, or leave '{side}' out",
                code="outside-cone",
            )


def _roles(neuron: NeuronLayers) -> tuple[str, ...]:
    """Roles of a subnetwork's parameters, in the order of its layers."""
    return ("first", *(() if neuron.bias is None else ("bias",)), *(() if neuron.second is None else ("second",)))


def _weights(layout: Layout, neuron: NeuronLayers, cuts: tuple[Cut, ...]) -> Weights:
    stacks = zip(*(_live(layout, cut) for cut in cuts), strict=True)
    found = dict(zip(_roles(neuron), (torch.cat([t.flatten(1) for t in stack]) for stack in stacks), strict=True))
    bias, second = found.get("bias"), found.get("second")
    return found["first"], None if bias is None else bias[:, 0], None if second is None else second * neuron.gain


def _live(layout: Layout, cut: Cut) -> list[Tensor]:
    """The stacked parameters of a cut, without the units that stand for none."""
    width = live_width(layout, cut)
    return [cut.graph.parameters[name][:width] for name in cut.parts]


def live_width(layout: Layout, cut: Cut) -> int:
    """Number of units of a cut that the model has."""
    return 0 if layout.blank & set(cut.parts) else cut.width


def shared_out(
    branch: ModelBranch, widths: tuple[int, ...], stack: Factors, biases: Tensor | None = None
) -> Iterator[tuple[str, Part, Tensor]]:
    """The parameters that a stack of any width becomes: name, part, and its units in the shape of the parameter.

    The units fill the cuts in turn, each up to its width; the last takes the rest. A frozen parameter of which units
    have parts has a copy for each unit, and for the one that stays.

    Args:
        branch: the branch.
        widths: of its cuts.
        stack: factors.
        biases: hidden biases (r,) where the factors do not hold them; None for zeros.
    """
    first, held, second = branch.unstacked(stack)
    bias = held if biases is None else biases
    raw = [tensor for tensor in (first, bias, second) if tensor is not None]
    start = 0
    for place, cut in enumerate(branch.cuts):
        end = len(stack[0]) if place == len(branch.cuts) - 1 else min(start + widths[place], len(stack[0]))
        for (name, part), tensor in zip(cut.parts.items(), raw, strict=True):
            yield part.parameter, part, _shaped(tensor[start:end], cut.graph.parameters[name].shape[1:])
        for name, part in cut.fixed.items():
            if part.rows is not None:
                units = cut.graph.parameters[name][:1]
                yield part.parameter, part, units.expand(max(end - start, 1), *units.shape[1:])
        start = end


def _shaped(units: Tensor, shape: torch.Size) -> Tensor:
    """Flat units in the shape of a parameter's part; where no unit shows how much a weight reads, its rows tell."""
    known = math.prod(shape) == math.prod(units.shape[1:])
    return units.reshape(len(units), *(shape if known else (shape[0], units.shape[1] // shape[0])))
