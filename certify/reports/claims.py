"""What a result proves, and what it leaves open, as sentences; numbers are rounded so that each stays true."""

from __future__ import annotations

import math

from certify.certificates.result import Result
from certify.reports import phrases


def proven(result: Result) -> list[str]:
    """The claims that hold, the strongest first."""
    claims = []
    if result.proof != "none" and math.isfinite(result.lower_bound):
        percent = phrases.at_most(math.nextafter(100 * result.relative_gap, math.inf), 3)
        claims.append(f"N{phrases.rivals(result)[1:]} an objective below {phrases.at_least(result.lower_bound)}.")
        claims.append(
            f"This model is at most {_difference(result.objective, result.lower_bound)} above the global optimum, "
            f"{percent} % of its objective."
        )
        if result.achieved_share is not None:
            share = phrases.share(result.achieved_share)
            claims.append(f"It achieves at least {share} of what any network could gain over the zero network.")
    if result.descent:
        width = phrases.count(result.descent.subnetworks, "subnetwork")
        after = phrases.at_most(result.descent.objective_after)
        claims.append(f"A better model exists: one with {width} was built, and its objective is at most {after}.")
    return claims


def left_open(result: Result) -> list[str]:
    """What a reader might think is proven and is not."""
    questions = []
    if result.proof == "randomized":
        probability = phrases.number(result.failure_probability, 2)
        questions.append(f"That the bound holds for sure: it is wrong with a probability of at most {probability}.")
    if result.proof == "none":
        questions.append("How far the model is from the optimum: the independent checker accepted no certificate.")
    elif result.verdict == "certified":
        left = _difference(result.objective, result.lower_bound)
        questions.append(f"That nothing is left to gain: up to {left} may be, which is within the tolerance.")
    elif not math.isfinite(result.lower_bound):
        questions.append("How far the model is from the optimum: there is no finite lower bound.")
    elif result.verdict == "improvable":
        left = _difference(result.best_known, result.lower_bound)
        questions.append(f"That the better model is optimal: up to {left} may be left below it.")
    else:
        questions.append(
            f"Whether a better model exists: the optimum lies between {phrases.at_least(result.lower_bound)} and "
            f"{phrases.at_most(result.best_known)}."
        )
    if result.head is not None:
        questions.append(f"Anything about the whole model: {phrases.scope(result)}.")
    return questions


def _difference(upper: float, lower: float) -> str:
    """An upper bound on the difference."""
    return phrases.at_most(math.nextafter(upper - lower, math.inf))
