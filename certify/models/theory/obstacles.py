"""What keeps a model from a certificate, in words: where, what was found, and what would mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from certify.errors import UnsupportedError, UsageError
from certify.models.graph.layers import LayerGraph
from certify.models.theory.degrees import Break
from certify.models.theory.families import summary
from certify.models.theory.parallel import ParallelForm, Sort
from certify.models.theory.terms import CONTAINED

QUALIFY = (
    "Layers that qualify: linear, convolution, ReLU and its kin, square, max and mean pooling, sums. With --scope head "
    "the last one or two linear layers are checked alone, whatever comes before."
)
# What serves deep networks that qualify, or fail, as a whole.
HEAD = " Or check the last linear layers alone with --scope head."


@final
@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a model has no certificate.

    Attributes:
        code: reason code.
        reason: where and what was found.
        remedy: what would mend it.
        is_usage: whether the weights contradict themselves, rather than leave the theory.
    """

    code: str
    reason: str
    remedy: str
    is_usage: bool = False

    def error(self) -> UnsupportedError | UsageError:
        """The error to raise."""
        kind = UsageError if self.is_usage else UnsupportedError
        return kind(f"{self.reason} {self.remedy}", code=self.code)


def of_break(graph: LayerGraph, found: Break) -> Obstacle:
    """A layer at which positive homogeneity ends."""
    layer, where = found.layer, f"{graph.label}: {found.layer.title}"
    degrees = " and ".join(str(degree) for degree in found.degrees)
    match found.kind:
        case "unknown":
            reason = f"{where} is '{layer.op}', an operation that certify does not know."
            return Obstacle("unknown-layer", reason, QUALIFY)
        case "bias":
            reason = (
                f"{where} has a bias, '{layer.bias}', after other weights: its terms have degrees {degrees}, and a "
                "subnetwork needs one degree."
            )
            remedy = "Leave out the biases between the first and the last weight (bias=False)." + HEAD
            return Obstacle("deep-bias", reason, remedy)
        case "sum":
            what = "adds" if layer.op == "add" else "joins"
            reason = f"{where} {what} values of degrees {degrees}; a subnetwork needs one degree."
            remedy = "A residual connection qualifies around layers without weights, or from inputs to outputs." + HEAD
            return Obstacle("unequal-degrees", reason, remedy)
        case "batch_norm":
            stored = "running_var" in layer.parameters
            why = "has no linear layer or convolution directly before it" if stored else "has no running statistics"
            reason = (
                f"{where} is batch_norm that {why}, so that it cannot be folded into one; its shift is not positively "
                "homogeneous."
            )
            remedy = "Put it directly after a convolution or linear layer, and save its running statistics."
            return Obstacle("not-homogeneous", reason, remedy)
        case "prelu":
            reason = f"{where} is prelu with a trained slope: its two sides have different degrees in the parameters."
            return Obstacle("not-homogeneous", reason, "Use leaky_relu with a fixed slope.")
        case "gt":
            reason = f"{where} is a step of what trained weights make; a gate needs fixed weights."
            return Obstacle("not-homogeneous", reason, "Keep the weights of gates in buffers (register_buffer).")
    reason = f"{where} is {layer.op}, which is not positively homogeneous; the certificate needs φ(aW) = aᵖφ(W)."
    if layer.op in CONTAINED and layer is graph.layers[-1]:
        remedy = f"Save the model without it: the loss {CONTAINED[layer.op]} is that of torch and contains it."
        return Obstacle("not-homogeneous", reason, remedy)
    return Obstacle("not-homogeneous", reason, QUALIFY)


def without_subnetworks(graph: LayerGraph) -> Obstacle:
    """No part of the model has two weights in a row."""
    chain = ", ".join(layer.op for layer in graph.layers) or "nothing"
    reason = f"{graph.label}: the layers are ({chain})."
    needed = "certify serves sums of subnetworks with two or more weights, and single linear layers."
    fixed = any(graph.is_frozen(layer) for layer in graph.layers)
    return Obstacle("unsupported-architecture", reason, needed + (HEAD if fixed else ""))


def of_degrees(graph: LayerGraph, form: ParallelForm) -> Obstacle | None:
    """Subnetworks whose degree is not that of weight decay, or that differ in degree."""
    degrees = sorted({kind.degree for kind in form.sorts})
    if len(degrees) > 1:
        found = "; ".join(f"{kind.width} × {kind.family} of degree {kind.degree}" for kind in form.sorts)
        reason = f"{graph.label}: the outputs add subnetworks of different degrees ({found})."
        return Obstacle("unequal-degrees", reason, "Give all branches the same number of weight layers.")
    if degrees == [2]:
        return None
    weighted, degree = weight_layers(form.sorts[0]), degrees[0]
    names, count = ", ".join(f"'{name}'" for name in weighted), len(weighted)
    powers = ", ".join(["1"] * count)
    reason = (
        f"{graph.label}: {count} weight layers ({names}) have degree {degree}, but weight decay has degree 2; the "
        "certificate needs equal degrees."
    )
    remedy = (
        f"A penalty of degree {degree} would match: product_of_norms with {count} norms and powers [{powers}]; no "
        "bound for it is proven in this version. Networks with two weight layers match weight decay." + HEAD
    )
    return Obstacle("degree-mismatch", reason, remedy)


def without_bound(graph: LayerGraph, form: ParallelForm) -> Obstacle:
    """The model qualifies, and no bound serves it."""
    found = summary((kind.family, kind.degree, kind.width) for kind in form.sorts)
    reason = (
        f"{graph.label}: qualifies for the theory, as {found}, but no bound on the polar of such subnetworks is proven "
        "in this version."
    )
    remedy = (
        "Bounds exist for sums of subnetworks of two weight layers, linear or convolutions, with nothing, relu, "
        "leaky_relu, abs or square between them, averages after it, and fixed gates of the inputs." + HEAD
    )
    return Obstacle("no-bound-yet", reason, remedy)


def weight_layers(kind: Sort) -> list[str]:
    """Names of the layers of a subnetwork that have a weight."""
    return [layer.name for layer in kind.graph.layers if layer.weight is not None]
