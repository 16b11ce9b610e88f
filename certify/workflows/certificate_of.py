"""The certificate of a model and a lower bound, written, checked and settled on numbers that the checker confirms."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import final

from certify.bounds.ladder import LowerBound
from certify.bounds.polar import Cut
from certify.bounds.proof import PowerTest
from certify.bounds.stated_arrays import Array, array_of
from certify.bounds.stated_proof import stated
from certify.certificates.certificate_file import CertificateContent
from certify.errors import CertifyError
from certify.models.loading import Problem
from certify.problem import Entries
from certify.verify import MeasuredPolar, Rejection, Verdict, measure, verify_bytes
from certify.workflows.statement import parameter_recipes, stated_arrays, statement_of

# Relative room between what the prover found and what a certificate claims, so that a checker with other roundings
# agrees; tried in turn.
MARGINS = (2.0**-30, 2.0**-20)
# Default bound on the probability that a randomized proof errs.
FAILURE_PROBABILITY = 1e-12
# Most runs of the checker on one bound; the probabilities that a randomized one errs add up.
CHECKS = 2 * len(MARGINS)
# Room inside the dual domain, relative.
DOMAIN_MARGIN = 2.0**-40
# Room below λ for the rounding of quotients, relative.
QUOTIENT_MARGIN = 2.0**-50
# A claim that says nothing, for a certificate whose numbers the checker is to find.
_LOOSEST = 2.0**199


class NoCertificateError(CertifyError):
    """The bound cannot be written as a certificate that the checker accepts."""

    default_code = "numerical"


@final
@dataclass(frozen=True, slots=True)
class Settled:
    """A certificate file that the checker accepted, and its verdict, whose `upper` and `lower` are the claim."""

    data: bytes
    verdict: Verdict

    @property
    def failure_probability(self) -> float | None:
        """Bound on the probability that any run of the checker erred; None if the proof is not randomized."""
        chance = self.verdict.failure_probability
        return None if chance is None else CHECKS * chance


def settled_certificate(
    problem: Problem, bound: LowerBound, failure_probability: float = FAILURE_PROBABILITY
) -> Settled:
    """A certificate whose claim is what the checker itself computed, a little weaker than that.

    The prover's own numbers do not enter the claim: it holds with rounding accounted for. A randomized proof is
    accepted falsely with at most the given probability, over all runs of the checker made here.

    Raises:
        NoCertificateError: the checker accepts no claim about this bound.
    """
    verdict = Verdict("invalid")
    for margin in MARGINS:
        content = _settled(certificate_content(problem, bound, margin, failure_probability))
        verdict = verify_bytes(content.to_bytes())
        if verdict.status != "valid" and (weaker := _weaker(content, verdict, margin)) is not None:
            content = _settled(weaker)
            verdict = verify_bytes(content.to_bytes())
        if verdict.status == "valid":
            return Settled(content.to_bytes(), verdict)
    raise NoCertificateError(f"the checker does not accept the bound: {verdict.rule}: {verdict.message}")


def certificate_content(
    problem: Problem, bound: LowerBound, margin: float = MARGINS[0], failure_probability: float = FAILURE_PROBABILITY
) -> CertificateContent:
    """Everything that a certificate holds, with a claim that is still to be settled.

    The margin is relative room between the prover's bounds of the polars and those that are claimed; the failure
    probability is shared among `CHECKS` runs of the checker.
    """
    branches = bound.objective.branches
    cuts = bound.cuts or (Cut(bound.point.values, bound.polars, (bound.point.scale,)),)
    triples = [(cut.dual, *pair) for cut in cuts for pair in zip(branches, cut.polars, strict=True)]
    proofs = [stated(branch, dual, polar, margin) for dual, branch, polar in triples]
    # Under a free skip the dual point is moved a little, see the checker.
    room = 1 - (margin if problem.decomposition.policy.skip == "free" else DOMAIN_MARGIN)
    lines = [{"point": at, "scale": scale * room} for at, cut in enumerate(cuts) for scale in cut.scales]
    scale = bound.point.scale * room
    if not bound.cuts:
        for branch, proof in zip(branches, proofs, strict=True):
            if proof.upper > 0:
                scale = min(scale, branch.strength / proof.upper * (1 - QUOTIENT_MARGIN))
    duals = {f"A.{at}": array_of(cut.dual) for at, cut in enumerate(cuts)}
    randomized = sum(isinstance(polar.proof, PowerTest) for _, _, polar in triples)
    own = {f"P{place}.{name}": values for place, proof in enumerate(proofs) for name, values in proof.arrays.items()}
    return CertificateContent(
        upper=_LOOSEST,
        lower=-_LOOSEST,
        scale=scale,
        statement=statement_of(problem),
        proofs=[{"steps": list(proof.steps), "kind": proof.kind, "upper": float(proof.upper)} for proof in proofs],
        model_sha256=problem.source.model_sha256,
        parameters=parameter_recipes(problem),
        failure_probability=failure_probability / CHECKS if randomized else None,
        arrays=stated_arrays(problem) | (duals if bound.cuts else _dual_arrays(problem, bound)) | own,
        lines=lines if bound.cuts else (),
    )


def _dual_arrays(problem: Problem, bound: LowerBound) -> dict[str, Array]:
    """A, and factors of what it is at entries that are no samples, where those count."""
    dual, objective = bound.point.values, problem.objective
    found = {"A": array_of(dual[: objective.samples])}
    if not objective.unobserved:
        return found
    view = bound.objective.branches[0].view
    added = view.split(dual[:, 0])[1] if isinstance(view, Entries) else None
    factors = objective.empty_stacks()[0] if added is None or not bool(dual.any()) else added
    return found | {f"A.{axis}": array_of(factor) for axis, factor in enumerate(factors)}


def _weaker(content: CertificateContent, verdict: Verdict, margin: float) -> CertificateContent | None:
    """The certificate that claims of each polar what its proof shows, where that is a little less than claimed."""
    shown = verdict.polar_upper
    claimed = [float(proof["upper"]) for proof in content.proofs]
    if shown is None or len(shown) != len(claimed) or not all(math.isfinite(upper) for upper in shown):
        return None
    uppers = [max(old, new * (1 + margin) if new > old else old) for old, new in zip(claimed, shown, strict=True)]
    if uppers == claimed:
        return None
    shrink = min((old / new for old, new in zip(claimed, uppers, strict=True) if new > 0), default=1.0)
    proofs = [{**proof, "upper": upper} for proof, upper in zip(content.proofs, uppers, strict=True)]
    return replace(content, proofs=proofs, scale=content.scale * shrink * (1 - QUOTIENT_MARGIN))


def _settled(content: CertificateContent) -> CertificateContent:
    """The certificate with the checker's own ends as its claim, moved out by twice its rounding errors.

    Another machine may round otherwise; it then still finds the claim true. Left as it is where the checker cannot
    evaluate it; it then says why.
    """
    try:
        found = measure(content.header(), content.arrays, proofs=False)
        if any(polar.scaled > polar.strength for polar in found.polars):
            content = replace(content, scale=min(map(_largest_scale, found.polars)))
            found = measure(content.header(), content.arrays, proofs=False)
    except Rejection:
        return content
    (low, high), (dual_low, dual_high) = found.objective, found.dual_value
    upper, lower = high + 2 * (high - low), dual_low - 2 * (dual_high - dual_low)
    settled = math.isfinite(upper) and math.isfinite(lower)
    return replace(content, upper=upper, lower=lower) if settled else content


def _largest_scale(polar: MeasuredPolar) -> float:
    """Largest s with s Ω° ≤ λ, a little less."""
    return polar.strength / polar.changed * (1 - QUOTIENT_MARGIN) if polar.changed > 0 else math.inf
