"""Which biases and which skip are penalized: what the problem says, checked against what the model has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, final

from certify.errors import UnsupportedError, UsageError
from certify.models.theory.decays import Charge, Decays
from certify.models.theory.standing import Layout

Policy = Literal["penalized", "free", "absent"]


@final
@dataclass(frozen=True, slots=True)
class Conventions:
    """What a problem says; None where it says nothing.

    Attributes:
        hidden: policy of the hidden biases.
        output: policy of the output biases.
        skip: policy of the linear skip.
    """

    hidden: Policy | None = None
    output: Policy | None = None
    skip: Literal["penalized", "free"] | None = None


@final
@dataclass(frozen=True, slots=True)
class BiasPolicy:
    """What holds for a model.

    Attributes:
        hidden: policy of the hidden biases that there are.
        output: policy of the output biases that there are.
        skip: policy of the linear skips that there are.
    """

    hidden: Policy
    output: Policy
    skip: Policy


def resolve_policy(layout: Layout, conventions: Conventions, charge: Charge) -> BiasPolicy:
    """Policies of a model; what it has and nobody speaks of is penalized, as in torch.

    Raises:
        UsageError: the model does not have what is spoken of, or the penalty does not say how to penalize it.
        UnsupportedError: a free hidden bias under a function whose polar it makes unbounded.
    """
    label = layout.graph.label
    if not layout.sorts:
        _require_ridge(label, conventions, charge)
    hidden = [neuron.bias for neuron in layout.neurons if neuron.bias is not None]
    policy = BiasPolicy(
        hidden=_bias(label, hidden, _title(layout, "hidden"), "hidden", conventions.hidden),
        output=_bias(label, layout.outside.biases, _title(layout, "output"), "output", conventions.output),
        skip=_skip(layout, conventions.skip),
    )
    if isinstance(charge, Decays):
        skips = [skip.parameters["weight"] for skip in layout.outside.skips]
        _require_agreement(layout, charge, hidden, "biases.hidden", conventions.hidden)
        _require_agreement(layout, charge, layout.outside.biases, "biases.output", conventions.output)
        _require_agreement(layout, charge, skips, "skip", conventions.skip)
    else:
        _require_free(label, "biases: {output: free}", "output bias", policy.output)
        _require_free(label, "skip: free", "linear skip", policy.skip)
    unbounded = [neuron.kind for neuron in layout.neurons if neuron.bias and not neuron.kind.bounded_with_free_bias]
    if unbounded and policy.hidden == "free" and layout.neurons[0].tied:
        raise UnsupportedError(
            f"{label}: a free hidden bias of tied weights makes any constant at no cost, which no bound serves here. "
            "Give it a weight decay, or leave it out in favor of a free output bias",
            code="no-bound-yet",
        )
    if unbounded and policy.hidden == "free":
        raise UnsupportedError(
            f"{label}: a free hidden bias b makes (xw + b)² contain a linear and a constant term at no cost, so "
            "that the polar is unbounded. Use biases: {hidden: penalized}, and a free output bias or skip if meant",
            code="unbounded-polar",
        )
    return policy


def _title(layout: Layout, role: str) -> tuple[str, str]:
    """How messages call the layer of a bias, and its name."""
    layers = [layer for layer in layout.graph.layers if layer.weight is not None]
    if not layers:
        return f"the {role} layer", role
    layer = layers[0] if role == "hidden" else layers[-1]
    if role == "output" and layout.outside.skips and len(layers) > 1 and layer in layout.outside.skips:
        layer = layers[-2]
    return layer.title, layer.name


def _require_ridge(label: str, conventions: Conventions, charge: Charge) -> None:
    """A single linear layer needs a penalty on its weight."""
    if not isinstance(charge, Decays) or conventions.skip is not None:
        raise _mismatch(
            f"{label}: what is checked is a single linear layer; it has one weight, penalized by weight_decay: use "
            "penalty: {weight_decay: …}, and leave out skip, product_of_norms and factor_norms"
        )


def _bias(label: str, names: Sequence[str], layer: tuple[str, str], role: str, said: Policy | None) -> Policy:
    if not names and said in ("penalized", "free"):
        raise _mismatch(
            f"{label}: biases.{role} is '{said}', but {layer[0]} has no bias; write "
            f"biases: {{{role}: absent}}, or save '{layer[1]}.bias' (zeros if it was never trained)"
        )
    if names and said == "absent":
        raise _mismatch(
            f"{label}: biases.{role} is 'absent', but the file holds '{names[0]}'; write 'penalized' or "
            "'free', or save the weights without it"
        )
    return said or ("penalized" if names else "absent")


def _skip(layout: Layout, said: Policy | None) -> Policy:
    skips = layout.outside.skips
    if not skips and said is not None:
        raise _mismatch(f"{layout.graph.label}: skip is '{said}', but model.layers has no skip; add '- skip: NAME'")
    return said or ("penalized" if skips else "absent")


def _require_free(label: str, remedy: str, part: str, policy: Policy) -> None:
    if policy == "penalized":
        raise _mismatch(
            f"{label}: the penalty does not say how the {part} is penalized; write {remedy}, or use weight_decay"
        )


def _require_agreement(layout: Layout, charge: Decays, names: Sequence[str], key: str, said: Policy | None) -> None:
    """Weight decay by name and a policy must not contradict each other; one number for all leaves it to the policy."""
    decays = {name: charge.of(layout.graph.prefix + name) for name in names}
    other = [name for name, wd in decays.items() if (wd > 0) != (said == "penalized")]
    if isinstance(charge.rule, Mapping) and said in ("penalized", "free") and other:
        raise _mismatch(
            f"{layout.graph.label}: {key} is '{said}', but penalty.weight_decay gives '{other[0]}' "
            f"{decays[other[0]]:g}; leave out {key}, since weight decay by name says it all"
        )


def _mismatch(message: str) -> UsageError:
    return UsageError(message, code="bias-mismatch")
