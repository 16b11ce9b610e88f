"""One sentence per outcome: what was found and what to do about it."""

from __future__ import annotations

from certify.certificates.result import Result
from certify.problem import Kind
from certify.reports import phrases

# Absolute gaps below this are rounding, whatever the objective.
ROUNDING_SIZED = 1e-12
# A share of the gap that is most of it.
MOSTLY = 0.5


def message_of(result: Result, refusal: str, unequal: Kind | None = None) -> str:
    """The reason of a result as a sentence for people.

    `refusal` is the checker's, empty if it accepted; `unequal` a kind whose degree is not that of the penalty.
    """
    about = "" if result.head is None else "head, given the features of the frozen layers before it: "
    why = "" if unequal is None or result.verdict != "undecided" else _unequal(unequal)
    return about + _reason(result, refusal) + _rest(result) + why


def _unequal(kind: Kind) -> str:
    """What the other penalty would change."""
    return (
        f"; weight decay has degree 2, but '{kind.name}' subnetworks have degree {kind.degree}, and the bound counts "
        "all of them as one: several large ones leave a gap that no budget closes. With --penalty product_of_norms "
        "(matched: true in the problem file) degrees are equal, and the bound has no such gap, for another objective"
    )


def _rest(result: Result) -> str:
    """What else a better model's gap is made of, where that is most of it."""
    if result.verdict != "improvable" or result.gap <= 0:
        return ""
    share = result.breakdown.unexplained / result.gap
    return (
        f"; but {share:.0%} of the gap is the bound's, and only a tighter bound closes that" if share > MOSTLY else ""
    )


def _reason(result: Result, refusal: str) -> str:
    breakdown, after = result.breakdown, result.best_known
    match result.reason:
        case "gap-closed":
            return f"{phrases.rivals(result)} an objective below {phrases.at_least(result.lower_bound)}"
        case "unbalanced":
            return (
                "rescaling the two layers of each subnetwork alone lowers the objective by "
                f"{breakdown.unbalanced:.3g}; train longer with weight decay, or rescale"
            )
        case "not-stationary":
            return (
                f"descent at the same width lowers the objective by {breakdown.not_stationary:.3g} to {after:.8g}; "
                "train longer"
            )
        case "missing-subnetwork":
            return (
                f"adding subnetworks lowers the objective by {breakdown.missing_subnetwork:.3g} to {after:.8g}; "
                "widen the network"
            )
        case _ if result.verdict == "undecided" and 0 <= result.gap <= ROUNDING_SIZED:
            return (
                "the gap is of the size of rounding, but so is the objective, and a relative tolerance asks for less; "
                "allow an absolute gap with --absolute-gap"
            )
        case "numerical":
            return f"nothing is certified: {refusal}"
        case "budget":
            return "the budget ran out before the gap closed; give more time with --budget"
        case _:
            return (
                f"no better model was found, and the proven bound ({result.polar.method}) ends {result.gap:.3g} below "
                "the objective; more weight decay or fewer input dimensions make bounds tighter"
            )
