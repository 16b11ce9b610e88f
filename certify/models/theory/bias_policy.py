"""Which biases and which skip are penalized: what the problem says, checked against what the model has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

from certify.errors import UnsupportedError, UsageError
from certify.models.graph.layers import Layer, LayerGraph
from certify.models.theory.homogeneity import require_supported
from certify.problem import Penalty

Policy = Literal["penalized", "free", "absent"]


@final
@dataclass(frozen=True, slots=True)
class Conventions:
    """What a problem says; None where it says nothing.

    Attributes:
        hidden: policy of the hidden bias.
        output: policy of the output bias.
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
        hidden: policy of the hidden bias.
        output: policy of the output bias.
        skip: policy of the linear skip.
    """

    hidden: Policy
    output: Policy
    skip: Policy


def resolve_policy(graph: LayerGraph, conventions: Conventions, penalty: Penalty) -> BiasPolicy:
    """Policies of a two-layer graph; what a model has and nobody speaks of is penalized, as in torch.

    Raises:
        UsageError: the model does not have what is spoken of, or the penalty does not say how to penalize it.
        UnsupportedError: a free hidden bias under a square.
    """
    form = require_supported(graph)
    if form.family == "single-layer":
        _require_ridge(graph.label, conventions, penalty)
    policy = BiasPolicy(
        hidden=_bias(graph, form.first, "hidden", conventions.hidden),
        output=_bias(graph, form.second, "output", conventions.output),
        skip=_skip(graph.label, form.skip, conventions.skip),
    )
    if penalty.ridge() is None:
        _require_free(graph.label, "biases: {output: free}", "output bias", policy.output)
        _require_free(graph.label, "skip: free", "linear skip", policy.skip)
    if form.family == "quadratic" and policy.hidden == "free":
        raise UnsupportedError(
            f"{graph.label}: a free hidden bias b makes (xw + b)² contain a linear and a constant term at no cost, so "
            "that the polar is unbounded. Use biases: {hidden: penalized}, and a free output bias or skip if meant",
            code="unbounded-polar",
        )
    return policy


def _require_ridge(label: str, conventions: Conventions, penalty: Penalty) -> None:
    """A single linear layer needs a penalty on its weight."""
    if penalty.ridge() is None or conventions.skip is not None:
        raise UsageError(
            f"{label}: what is checked is a single linear layer; it has one weight, penalized by weight_decay: use "
            "penalty: {weight_decay: …}, and leave out skip and product_of_norms",
            code="bias-mismatch",
        )


def _bias(graph: LayerGraph, layer: Layer, role: str, said: Policy | None) -> Policy:
    if layer.bias is None and said in ("penalized", "free"):
        raise UsageError(
            f"{graph.label}: biases.{role} is '{said}', but {layer.title} has no bias; write "
            f"biases: {{{role}: absent}}, or save '{layer.name}.bias' (zeros if it was never trained)",
            code="bias-mismatch",
        )
    if layer.bias is not None and said == "absent":
        raise UsageError(
            f"{graph.label}: biases.{role} is 'absent', but the file holds '{layer.bias}'; write 'penalized' or "
            "'free', or save the weights without it",
            code="bias-mismatch",
        )
    return said or ("penalized" if layer.bias is not None else "absent")


def _skip(label: str, skip: Layer | None, said: Policy | None) -> Policy:
    if skip is None and said is not None:
        raise UsageError(
            f"{label}: skip is '{said}', but model.layers has no skip; add '- skip: NAME'", code="bias-mismatch"
        )
    if skip is not None and skip.bias is not None:
        raise UsageError(
            f"{label}: the skip layer has a bias, '{skip.bias}'; add it to the output bias and save the "
            "weights without it",
            code="bias-mismatch",
        )
    return said or ("penalized" if skip is not None else "absent")


def _require_free(label: str, remedy: str, part: str, policy: Policy) -> None:
    if policy == "penalized":
        raise UsageError(
            f"{label}: product_of_norms does not say how the {part} is penalized; write {remedy}, or use weight_decay",
            code="bias-mismatch",
        )
