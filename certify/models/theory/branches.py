"""The branches of a model: sorts of subnetworks whose parameters are penalized alike, with their weights stacked."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from certify.errors import UnsupportedError
from certify.models.theory.bias_policy import BiasPolicy, Policy
from certify.models.theory.decays import Charge, Decays
from certify.models.theory.neurons import NeuronLayers
from certify.models.theory.parallel import Sort
from certify.models.theory.parts import Part
from certify.models.theory.standing import Layout
from certify.models.theory.subnetwork_graph import Cut
from certify.problem import Branch, Deep, FactorNorms, Factors, Penalty, ProductOfNorms, WeightDecay
from certify.problem.architecture import Dense, Geometry
from certify.problem.windows import Extents


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
        weights: flat, (r, ·) each, the last one with the factor on it; one where it is read twice.
        biases: of the first hidden layer, (r, m_1), or None.
        channels: number of output channels of the last weight.
        folds_bias: whether the hidden bias acts like one of the outputs and is no part of the subnetworks.
    """

    neuron: NeuronLayers
    cuts: tuple[Cut, ...]
    bias: Policy
    penalty: Penalty
    bias_decay: float | None
    weights: Factors
    biases: Tensor | None
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
        column, first = self.column, self.weights[0]
        if column is None or self.biases is None:
            return self.weights
        rows = first.reshape(*self.biases.shape, -1) if len(first) else first[:, None]
        return torch.cat([rows, self.biases[..., None] / column], 2).flatten(1), *self.weights[1:]

    def unstacked(self, stack: Factors) -> tuple[Factors, Tensor | None]:
        """Weights and hidden biases of factors of any width."""
        column, (first, *others) = self.column, stack
        weights = (*others[:-1], *(last / self.neuron.gain for last in others[-1:]))
        if column is None:
            blank = first.new_zeros(len(first), self.units) if self.neuron.bias is not None else None
            return (first, *weights), blank
        rows = first.reshape(len(first), self.units, first.shape[1] // self.units)
        return (rows[..., :-1].flatten(1), *weights), rows[..., -1] * column

    @property
    def units(self) -> int:
        """Number m_1 of channels in the first hidden layer."""
        return self.neuron.kind.channels[0] if isinstance(self.neuron.kind, Deep) else 1

    def geometry(self, shape: Extents) -> Geometry:
        """The architecture on samples of a shape."""
        return self.neuron.architecture.on(shape)

    def outputs_on(self, shape: Extents) -> int:
        """Number of outputs c for samples of a shape."""
        return self.channels * self.geometry(shape).places

    def on(self, shape: Extents) -> ModelBranch:
        """With the right number of last weights where there are no units that show it."""
        *others, last = self.weights
        if len(last) or not others:
            return self
        reach, kind = self.channels * self.geometry(shape).reach, self.neuron.kind
        size = reach * kind.channels[-1] if isinstance(kind, Deep) else reach
        return replace(self, weights=(*others, last.new_zeros(0, size)))

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
    plain = made.first == made.last == Dense() and not made.between and not made.middle
    if bias == "free" and not (plain and made.gate is None):
        what = "followed by two more weights" if made.middle else "a convolution"
        what = "tied" if neuron.tied else "gated" if made.gate else what
        raise UnsupportedError(
            f"{layout.graph.label}: '{neuron.weights[0]}' is {what} with a hidden bias that is not penalized; no bound "
            "serves it. Give the bias a weight decay, or train without it",
            code="no-bound-yet",
        )
    weights, biases = _weights(layout, neuron, cuts)
    found = ModelBranch(
        neuron=neuron,
        cuts=cuts,
        bias=bias,
        penalty=penalty,
        bias_decay=bias_decay if bias == "penalized" else None,
        weights=weights,
        biases=biases,
        channels=_channels(neuron, cuts[0]),
        folds_bias=linear and bias == "free",
    )
    _require_inside(layout.graph.label, found)
    return found


def _channels(neuron: NeuronLayers, cut: Cut) -> int:
    """Number of output channels: of a weight that is read twice, its inputs."""
    if neuron.tied:
        return cut.graph.parameters[neuron.weights[0]].flatten(1).shape[1]
    return cut.graph.parameters[list(cut.parts)[-1]].shape[1]


def _penalty(layout: Layout, neuron: NeuronLayers, cut: Cut, charge: Charge) -> tuple[Penalty, float | None]:
    """Penalty of the factors, and the weight decay of the hidden bias."""
    if not isinstance(charge, Decays):
        gauge = charge.gauge(neuron.kind)
        if neuron.tied:
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
    shares = tuple(decays[role] for role in neuron.weights)
    for role, share in zip(neuron.weights, shares, strict=True):
        if not share > 0:
            name = list(cut.parts)[list(decays).index(role)]
            raise UnsupportedError(
                f"{layout.graph.label}: '{name}' has weight decay 0; the other weights of its subnetworks can then be "
                "made as small as one likes at no cost, and no certificate exists. Give it a weight decay",
                code="unpenalized-weight",
            )
    penalty = WeightDecay((*shares[:-1], shares[-1] / neuron.gain**2))
    bias = None if neuron.bias is None else decays[neuron.bias]
    if neuron.tied:
        return penalty, bias
    if charge.matched and bias and bias != shares[0]:
        raise UnsupportedError(
            f"{layout.graph.label}: a product of norms counts a hidden bias among the weights of its layer, but weight "
            f"decay gives them {shares[0]:g} and the bias {bias:g}; give both the same, or the bias 0",
            code="unsupported-penalty",
        )
    return charge.on(penalty, neuron.kind), None if charge.matched and bias else bias


def _require_inside(label: str, branch: ModelBranch) -> None:
    """Factors lie in the cones of their norms: no descent leads back there."""
    if not isinstance(branch.penalty, FactorNorms):
        return
    if branch.folds_bias and branch.penalty.sides[1].nonnegative:
        raise UnsupportedError(
            f"{label}: a hidden bias that is not penalized makes any constant, but nonnegative second weights do "
            "not; leave it out, and give the outputs a bias",
            code="unsupported-penalty",
        )
    names = list(branch.cuts[0].parts)
    branch.penalty.require_inside(label, (names[0], names[-1]), branch.stack)


def _roles(neuron: NeuronLayers) -> tuple[str, ...]:
    """Names of a subnetwork's parameters, in the order of its layers."""
    first, *others = neuron.weights
    return (first, *others) if neuron.bias is None else (first, neuron.bias, *others)


def _weights(layout: Layout, neuron: NeuronLayers, cuts: tuple[Cut, ...]) -> tuple[Factors, Tensor | None]:
    """Flat weights, the factor on the last of them, and hidden biases."""
    stacks = zip(*(_live(layout, cut) for cut in cuts), strict=True)
    found = dict(zip(_roles(neuron), (torch.cat([t.flatten(1) for t in stack]) for stack in stacks), strict=True))
    *weights, last = (found[name] for name in neuron.weights)
    return (*weights, last * neuron.gain), None if neuron.bias is None else found[neuron.bias]


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
        biases: hidden biases (r, m_1) where the factors do not hold them; None for zeros.
    """
    (first, *others), held = branch.unstacked(stack)
    bias = held if biases is None else biases
    raw = [first, *([] if bias is None else [bias]), *others]
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
