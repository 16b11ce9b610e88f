"""The certificate of a model and a lower bound, written, checked and settled on numbers that the checker confirms."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from torch import Tensor

from certify.bounds.bilinear.spectral import RandomizedProof
from certify.bounds.ladder import LowerBound
from certify.bounds.rows.cones.relu_cones import ConeProof
from certify.bounds.rows.relaxations.direction_region import direction_region
from certify.bounds.rows.relaxations.majorant import ScalarMajorant, VectorMajorant
from certify.bounds.rows.relaxations.relu_majorant import convex_share, relu_majorant
from certify.bounds.rows.relaxations.scalar_majorant import ball_level
from certify.bounds.rows.relaxations.vector_majorant import dominating, square_majorant
from certify.certificates.certificate_file import CertificateContent
from certify.errors import CertifyError
from certify.models.data.loss_terms import LossTerms
from certify.models.loading import Problem
from certify.problem import WeightDecay
from certify.verify import Verdict, verify_bytes
from certify.verify.certificate import read_certificate
from certify.verify.duality import dual_value, objective
from certify.verify.free_skip import dual_point
from certify.verify.losses import bind_loss
from certify.verify.polar import changed_polar
from certify.verify.rejection import Rejection
from certify.verify.verdict import FLOATING_POINT

if TYPE_CHECKING:
    pass

# Relative room between what the prover found and what a certificate claims, so that a checker with other roundings
# agrees; tried in turn.
MARGINS = (2.0**-30, 2.0**-20)
# Default bound on the probability that a randomized proof errs.
FAILURE_PROBABILITY = 1e-12
# Most runs of the checker on one bound; the probabilities that a randomized one errs add up.
CHECKS = 2 * len(MARGINS)
# Room inside the dual domain, relative.
DOMAIN_MARGIN = 2.0**-40
# A claim that says nothing, for a certificate whose numbers the checker is to find.
_LOOSEST = 2.0**199

# A polar of 0 is claimed to be at most this, so that the checker's allowance for underflow has room.
SMALLEST_POLAR = 2.0**-200

Array = np.ndarray[Any, np.dtype[Any]]
Proof = tuple[str, float, dict[str, Array]]


class NoCertificateError(CertifyError):
    """The bound cannot be written as a certificate that the checker accepts."""

    default_code = "numerical"


@final
@dataclass(frozen=True, slots=True)
class Settled:
    """A certificate that the checker accepted.

    Attributes:
        data: the file.
        verdict: the checker's; its `upper` and `lower` are the claim.
    """

    data: bytes
    verdict: Verdict

    @property
    def failure_probability(self) -> float | None:
        """Bound on the probability that any run of the checker erred; None if the proof is not randomized."""
        chance = self.verdict.failure_probability
        return None if chance is None else CHECKS * chance


def settled_certificate(
    problem: Problem, terms: LossTerms, bound: LowerBound, failure_probability: float = FAILURE_PROBABILITY
) -> Settled:
    """A certificate whose claim is what the checker itself computed, a little weaker than that.

    The prover's own numbers do not enter the claim: it holds with rounding accounted for. A randomized proof is
    accepted falsely with at most the given probability, over all runs of the checker made here.

    Raises:
        NoCertificateError: the checker accepts no claim about this bound.
    """
    verdict = Verdict("invalid")
    for margin in MARGINS:
        content = _restated(certificate_content(problem, terms, bound, margin, failure_probability))
        data = content.to_bytes()
        verdict = verify_bytes(data)
        shown = verdict.polar_upper
        if verdict.status != "valid" and shown is not None and content.polar_upper < shown < math.inf:
            # The proof shows a little less than it claims: claim that.
            data = _restated(_rescaled(content, shown * (1 + margin))).to_bytes()
            verdict = verify_bytes(data)
        if verdict.status == "valid":
            return Settled(data, verdict)
    raise NoCertificateError(f"the checker does not accept the bound: {verdict.rule}: {verdict.message}")


def certificate_bytes(  # noqa: PLR0913
    problem: Problem, terms: LossTerms, bound: LowerBound, upper: float, lower: float, margin: float = MARGINS[0]
) -> bytes:
    """A certificate that claims objective ≤ upper and optimum ≥ lower; nothing has been checked."""
    content = certificate_content(problem, terms, bound, margin)
    return replace(content, upper=upper, lower=lower).to_bytes()


def certificate_content(
    problem: Problem,
    terms: LossTerms,
    bound: LowerBound,
    margin: float,
    failure_probability: float = FAILURE_PROBABILITY,
) -> CertificateContent:
    """Everything that a certificate holds, with a claim that is still to be settled.

    Args:
        problem: what was asked.
        terms: how its loss was stated.
        bound: the proven lower bound.
        margin: relative room between the prover's bound of the polar and the one that is claimed.
        failure_probability: of a randomized proof, shared among `CHECKS` runs of the checker.
    """
    kind, polar_upper, proof = _proof(problem, bound, margin)
    # Under a free skip the dual point is moved a little, see `certify.verify.free_skip`.
    scale = bound.point.scale * (1 - (margin if problem.decomposition.policy.skip == "free" else DOMAIN_MARGIN))
    if polar_upper > 0:
        scale = min(scale, problem.objective.strength / polar_upper * (1 - 2.0**-50))
    randomized = isinstance(bound.polar.proof, RandomizedProof)
    return CertificateContent(
        upper=_LOOSEST,
        lower=-_LOOSEST,
        scale=scale,
        proof_kind=kind,
        polar_upper=polar_upper,
        problem=_statement(problem, terms),
        model_sha256=problem.source.model_sha256,
        data_sha256=problem.source.data_sha256,
        parameters=_parameter_names(problem),
        failure_probability=failure_probability / CHECKS if randomized else None,
        data_names=None if terms.data_names is None else dict(terms.data_names),
        arrays=_data_arrays(problem, terms) | _weights(problem) | {"A": _array(bound.point.values)} | proof,
    )


def _rescaled(content: CertificateContent, polar_upper: float) -> CertificateContent:
    """The certificate with a larger bound on the polar and a smaller multiple of A."""
    strength = float(content.problem["strength"])
    scale = min(content.scale, strength / polar_upper * (1 - 2.0**-50))
    return replace(content, polar_upper=polar_upper, scale=scale)


def _restated(content: CertificateContent) -> CertificateContent:
    """The certificate with the checker's own ends as its claim, moved out by twice its rounding errors.

    Another machine may round otherwise; it then still finds the claim true. Left as it is where the checker cannot
    evaluate it; it then says why.
    """
    try:
        with np.errstate(all="ignore"):
            certificate = read_certificate(content.to_bytes())
            loss = bind_loss(certificate)
            point = dual_point(certificate, loss, FLOATING_POINT)
            if not bool(point.change.is_zero.all()):
                polar = float(changed_polar(certificate, point.change).high)
                content = replace(content, scale=min(content.scale, certificate.strength / polar * (1 - 2.0**-50)))
                certificate = read_certificate(content.to_bytes())
            value, dual = objective(certificate, loss), dual_value(certificate, loss, point)
    except Rejection:
        return content
    upper, lower = float(value.high), float(dual.low)
    upper, lower = upper + 2 * (upper - float(value.low)), lower - 2 * (float(dual.high) - lower)
    settled = math.isfinite(upper) and math.isfinite(lower)
    return replace(content, upper=upper, lower=lower) if settled else content


def _statement(problem: Problem, terms: LossTerms) -> dict[str, Any]:
    asked, policy = problem.objective, problem.decomposition.policy
    penalty = asked.penalty
    decay = isinstance(penalty, WeightDecay)
    return {
        "family": asked.kind.name,
        "loss": terms.loss.name,
        "reduction": terms.loss.reduction,
        "scale": float(terms.loss.scale),
        "penalty": "weight-decay" if decay else "product-of-norms",
        "strength": float(asked.strength),
        "powers": [] if decay else list(getattr(penalty, "powers", ())),
        "hidden_bias": policy.hidden,
        "output_bias": policy.output,
        "skip": policy.skip,
        "lambda": float(asked.strength),
        "sample_weights": terms.sample_weights is not None,
        "mask": terms.mask is not None,
        "features": None if problem.source.head is None else problem.source.head.features_sha256,
        "tolerance_relative": float(problem.tolerance.relative_gap),
        "tolerance_absolute": float(problem.tolerance.absolute_gap),
    }


def _data_arrays(problem: Problem, terms: LossTerms) -> dict[str, Array]:
    asked, augmented = problem.objective, problem.decomposition.augmented
    inputs = asked.inputs[:, : asked.inputs.shape[1] - int(augmented)]
    arrays = {"X": _array(inputs), "Y": _array(asked.loss.targets)}
    if terms.sample_weights is not None:
        arrays["sample_weights"] = _array(terms.sample_weights)
    if terms.mask is not None:
        arrays["mask"] = _array(terms.mask).reshape(arrays["Y"].shape).astype(np.uint8)
    return arrays


def _parameters(problem: Problem) -> dict[str, str]:
    """Name among the parameters of W1, b1, W2, b2 and S, as far as the model has them."""
    form = problem.decomposition.form
    found = {"W1": form.first.weight, "b1": form.first.bias, "W2": form.second.weight, "b2": form.second.bias}
    found["S"] = None if form.skip is None else form.skip.weight
    return {role: name for role, name in found.items() if name is not None}


def _weights(problem: Problem) -> dict[str, Array]:
    return {role: _array(problem.graph.parameters[name]) for role, name in _parameters(problem).items()}


def _parameter_names(problem: Problem) -> dict[str, str] | None:
    graph = problem.graph
    # The checker reads no other formats.
    if graph.format not in ("pt", "safetensors") or graph.folded:
        return None
    # A single linear layer has no hidden units, and no names for their weights.
    left_out = ("W1", "W2") if problem.objective.kind.name == "single-layer" else ()
    return {role: graph.prefix + name for role, name in _parameters(problem).items() if role not in left_out}


def _proof(problem: Problem, bound: LowerBound, margin: float) -> Proof:
    """Kind, U and arrays."""
    method, upper = bound.polar.method, max(bound.polar.upper * (1 + margin), SMALLEST_POLAR)
    match bound.polar.proof:
        case None:
            kind = "zero" if not bool(bound.point.values.any()) else method
            return kind, 0.0 if kind == "zero" else upper, {}
        case RandomizedProof(edge):
            return method, upper, {"edge": np.array([edge])}
        case ConeProof() as proof:
            return "cone-tree", upper, _cone_arrays(proof)
        case ScalarMajorant() as proof:
            return _scalar_proof(problem, bound, proof, margin)
        case VectorMajorant() as proof:
            return _vector_proof(problem, bound.point.values, proof, margin)
        case other:
            raise NoCertificateError(f"no certificate is defined for proofs by {type(other).__name__}")


def _cone_arrays(proof: ConeProof) -> dict[str, Array]:
    tree, frame, rows = proof.tree, proof.frame, proof.rows
    found = {"splits": np.asarray(tree.splits, np.uint8), "tangents": np.asarray(tree.tangents, np.uint8)}
    if tree.free_axis is None:
        return {"frame": _array(frame), "rows": _array(rows)} | found
    free = {"center": _array(proof.center[:-1]), "column": _array(frame[-1:, -1])}
    return {"frame": _array(frame[:-1, :-1]), "rows": _array(rows[:, :-1])} | found | free


def _scalar_proof(problem: Problem, bound: LowerBound, proof: ScalarMajorant, margin: float) -> Proof:
    asked, dual = problem.objective, bound.point.values
    levels, columns, curvatures, upper = [], [], [], 0.0
    for index, sign in enumerate((-1.0, 1.0)):
        region = direction_region(asked.inputs, asked.free_inputs, proof.center, float(proof.ratios[index]))
        scores, slopes, caps = sign * dual[:, 0], proof.slopes[index], proof.caps[index].clamp_min(0)
        convex = convex_share(scores, slopes, caps, region.reach)
        touching = torch.where(region.reach > 0, convex / (4 * region.reach), 0.0)
        curvatures.append(torch.where(convex > 0, torch.maximum(proof.curvatures[index], touching), 0.0))
        majorant = relu_majorant(region, scores, curvatures[-1], slopes, caps)
        values, vectors = torch.linalg.eigh(majorant.quadratic)
        squares = (vectors.T @ majorant.linear) ** 2
        # One sign may bound almost nothing; rounding is relative to the larger.
        size = max(float(values.abs().max()) + float(squares.sum().sqrt()), bound.polar.upper)
        level = ball_level(values, squares, region.radius_squared) + margin / 4 * size
        excess = float((squares / (4 * (level - values).clamp_min(1e-300))).sum())
        upper = max(upper, majorant.constant + region.radius_squared * level + excess + margin * size)
        levels.append(level)
        columns.append(float(region.inputs[0, -1]))
    arrays = {
        "curvatures": _array(torch.stack(curvatures)),
        "slopes": _array(proof.slopes),
        "caps": _array(proof.caps.clamp_min(0)),
        "levels": np.array(levels),
    }
    return "scalar-majorant", upper * (1 + margin), arrays | _region_arrays(problem, proof.center, columns)


def _vector_proof(problem: Problem, dual: Tensor, proof: VectorMajorant, margin: float) -> Proof:
    asked = problem.objective
    region = direction_region(asked.inputs, asked.free_inputs, proof.center, proof.ratio)
    mixings = torch.where((proof.mixings > 1e-100) & (proof.mixings < 1e100), proof.mixings, 1.0)
    envelopes, used = [], torch.zeros_like(proof.curvatures)
    for j in range(dual.shape[1]):
        squares = []
        for index, sign in enumerate((-1.0, 1.0)):
            own = (proof.curvatures[index, :, j], proof.slopes[index, :, j], torch.zeros_like(dual[:, j]))
            majorant = relu_majorant(region, sign * dual[:, j], *own)
            convex = convex_share(sign * dual[:, j], own[1], own[2], region.reach)
            used[index, :, j] = torch.where(convex > 0, own[0].clamp_min(0), 0.0)
            squares.append(square_majorant(majorant, float(mixings[index, j])))
        lifted, _ = dominating(proof.envelopes[j], squares)
        size = float(torch.linalg.matrix_norm(lifted))
        envelopes.append(lifted + margin / 4 * size * torch.eye(len(lifted), dtype=lifted.dtype, device=lifted.device))
    largest = float(torch.linalg.eigvalsh(torch.stack(envelopes).sum(0))[-1])
    upper = math.sqrt(max(largest, 0.0) * region.radius_squared) * (1 + margin)
    arrays = {
        "curvatures": _array(used),
        "slopes": _array(proof.slopes),
        "mixings": _array(mixings),
        "envelopes": _array(torch.stack(envelopes)),
    }
    return "vector-majorant", upper, arrays | _region_arrays(problem, proof.center, [float(region.inputs[0, -1])])


def _region_arrays(problem: Problem, center: Tensor, columns: list[float]) -> dict[str, Array]:
    free = problem.objective.free_inputs > 0
    return {"center": _array(center), "column": np.array(columns)} if free else {}


def _array(tensor: Tensor) -> Array:
    values: Array = tensor.detach().to("cpu", torch.float64).contiguous().numpy()
    return values
