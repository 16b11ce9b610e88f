"""The error terms of rules: for each a bound that a rule shows falsely without it, or what else covers it."""

import numpy as np

from certify.verify.enclosure import Enclosure
from certify.verify.exact.balls import Balls
from certify.verify.exact.cone_tree import cone_tree_upper
from certify.verify.forms.form import Form
from certify.verify.proofs.majorants import region_of
from certify.verify.proofs.norm_products import total_length

from . import factor_claims, line_claims, product_claims, sign_claims
from . import rule_claims as claims
from .error_terms import holds
from .sabotage import Overlap, Term

SIGNS = [[1.0], [-1.0]]
COLUMN = claims.proof("scalar-majorant", 1.0, column=[1.0], center=[0.0])


def cone_tree_of_balls():
    return claims.cone_tree(cone_tree_upper, Balls.of)


def form(rows):
    return Form(rows, rows.of(SIGNS), claims.RELU, True)


def radius_of_wide_rows():
    """1 + (B/κ)² for rows of length 1 ± 1/2 and κ = 1."""
    wide = Enclosure(np.array(SIGNS), np.full((2, 1), 0.5))
    return float(region_of(form(wide), COLUMN, 0).radius.high) >= 1 + 1.5**2


def rows(place, *found):
    return [(Term(place, text, without), case) for text, without, case in found]


CAUGHT = [
    *rows(
        "semidefinite.py: proves_semidefinite",
        ("gamma(2 * n + 16)", "0.0", claims.arrow_is_not_proven),
        ("1.5 * float(np.linalg.norm(np.tril(matrix.rad)))", "0.0", lambda: claims.semidefinite(1.0, 2.0)),
        (" + n * SQUARES_UNDERFLOW", "", lambda: claims.semidefinite(2.0**-610, 2.0**-600)),
    ),
    *rows(
        "measure.py: ends_of",
        ("value.low", "value.near", lambda: claims.measured("objective", 0)),
        ("value.high", "value.near", lambda: claims.measured("objective", 1)),
        ("dual.low", "dual.near", lambda: claims.measured("dual_value", 0)),
        ("dual.high", "dual.near", lambda: claims.measured("dual_value", 1)),
    ),
    *rows(
        "measure.py: changed_polars",
        ("total.high", "total.near", lambda: claims.changed_polar(0)),
        ("dual_scale).high", "dual_scale).near", lambda: claims.changed_polar(1)),
    ),
    *rows("forms/projection.py: project", ("gram.high", "gram.near", claims.gain)),
    *rows(
        "proofs/norm_products.py: norm_products_hold",
        ("total_length(form).high", "total_length(form).near", claims.norm_products),
        ("frobenius).high", "frobenius).near", claims.norm_products),
    ),
    *rows(
        "proofs/norm_products.py: total_length",
        ("lengths.high", "lengths.near", lambda: holds(lambda x: total_length(form(x)), (SIGNS, 0.5))),
    ),
    *rows(
        "statement/side_norms.py: SideNorm.dual_within",
        ("(level - sizes.sum(1)).low", "(level - sizes.sum(1)).near", factor_claims.sums),
        ("rest.row_norms()).low", "rest.row_norms()).near", factor_claims.lengths),
    ),
    *rows(
        "statement/side_norms.py: SideNorm.dual_within_groups",
        ("sizes.grouped(group, count)).low", "sizes.grouped(group, count)).near", factor_claims.grouped_sums),
        ("square_root()).low", "square_root()).near", factor_claims.grouped_lengths),
    ),
    *rows("proofs/entries.py: vertices_hold", (".sum()).low", ".sum()).near", factor_claims.slices)),
    *rows(
        "statement/side_norms.py: SideNorm.form_upper",
        (".high.max()", ".near.max()", factor_claims.entries),
    ),
    *rows(
        "proofs/factorizations.py: forms_hold",
        ("(most[0] + most[1]).high", "(most[0] + most[1]).near", factor_claims.levels),
    ),
    *rows(
        "proofs/majorants.py: region_of",
        ("norms.high", "norms.near", radius_of_wide_rows),
    ),
    *rows("proofs/products.py: products_hold", ("claimed.high", "claimed.near", product_claims.levels)),
    *rows("proofs/products.py: _tilts", ("row_norms().high", "row_norms().near", product_claims.tilts)),
    *rows(
        "proofs/sign_tree.py: sign_tree_holds",
        ("bounds(leaves, multipliers).high", "bounds(leaves, multipliers).near", sign_claims.bounds),
    ),
    *rows("proofs/sign_tree.py: Sums.edges", (".sum(1)).high", ".sum(1)).near", sign_claims.edges)),
    *rows("proofs/sorting.py: _largest", ("row_norms().high", "row_norms().near", claims.sorting)),
    *rows(
        "proofs/cone_tree.py: cone_tree_upper",
        ("projection.rest).high", "projection.rest).near", claims.cone_tree),
        (" + projection.rest", "", claims.cone_tree),
    ),
    *rows("proofs/cone_tree.py: _normalized_sum", ("8 * gamma(terms)", "0.0", claims.cone_tree_that_cancels)),
    *rows("proofs/cone_tree.py: _values", (" + own.error", "", claims.cone_tree_that_cancels)),
    *rows("proofs/least_norms.py: _feasible_norms", ("2 * gamma(k + 4)", "0.0", claims.least_norms)),
    *rows("proofs/power_test.py: _step_error", ("gamma(terms + 8)", "0.0", claims.far_starts_fail)),
    *rows(
        "proofs/power_test.py: is_accepted",
        ("float(np.linalg.norm(radii))", "0.0", lambda: claims.power_test(1.0)),
        (" + SQUARES_UNDERFLOW", "", lambda: claims.power_test(2.0**-600)),
    ),
    *rows(
        "statement/losses.py: BoundLoss.require_domain",
        ("dual.low", "dual.near", lambda: claims.leaves_domain(0.0, 0.0)),
        ("dual.high", "dual.near", lambda: claims.leaves_domain(1.0, 0.0)),
        ("low + scaled).low", "low + scaled).near", lambda: claims.leaves_domain(0.5, -0.5)),
        ("high - scaled).low", "high - scaled).near", lambda: claims.leaves_domain(0.5, 0.5)),
    ),
    *rows("statement/penalties.py: decay_strength", ("square_root().low", "square_root().near", line_claims.strength)),
    *rows("statement/penalties.py: TiedDecay.strength", ("* 0.5).low", "* 0.5).near", claims.half_strength)),
    *rows(
        "measure.py: line_of",
        ("value.low", "value.near", line_claims.value),
    ),
    *rows(
        "proofs/unequal_degrees.py: least_sum",
        (".low.max(1)", ".near.max(1)", line_claims.least),
        ("heights).low.min()", "heights).near.min()", line_claims.least),
    ),
    *rows(
        "statement/gate.py: Gate.opened",
        ("values.low", "values.near", claims.gate),
        ("values.high", "values.near", claims.gate),
    ),
    *rows(
        "verdict.py: Verdict.gap",
        ("math.nextafter(self.upper - self.lower, math.inf)", "self.upper - self.lower", claims.gap),
    ),
    *rows(
        "exact/cone_tree.py: cone_tree_upper",
        ("projection.rest).high", "projection.rest).near", cone_tree_of_balls),
        (" + projection.rest", "", cone_tree_of_balls),
    ),
    *rows("exact/balls.py: _float_below", ("arb(candidate) <= lower", "True", claims.ends_of_balls)),
    *rows("exact/balls.py: LEAST_ENTROPY", ("-0.3679", "-0.3678", lambda: claims.entropy_of_ball(0.5))),
    *rows("exact/balls.py: ENTROPY_FALLS_TO", ("0.3678", "0.368", lambda: claims.entropy_of_ball(0.3679))),
]


def overlaps(place, *found):
    return [Overlap(Term(place, text, without), reason) for text, without, reason in found]


COUNT = "the count 2n + 16 in place of n + 1 leaves 15 roundings of the trace"
ROOM = "the counts of η have room for 11 more roundings of c |G|² R than a step makes"
SCALARS = "the factor 1.001 is far more than the rounding of these formulas"
REACH = "2 γ_{k+4} in place of γ_k leaves k + 8 roundings, more than all that follows takes"
RADII = [
    Term("proofs/power_test.py: is_accepted", text, f"0 * near{rest}")
    for text, rest in (("moments.high - near", ""), ("near - moments.low", ""))
]
OVERLAPPING = [
    *overlaps(
        "semidefinite.py: proves_semidefinite",
        ("(1 + gamma(n * n + 16))", "1", "1.5 in place of √2"),
        ("(1 + gamma(n + 8))", "1", COUNT),
        ("unknown + TINY", "unknown", "n SQUARES_UNDERFLOW is more"),
        ("TINY) * GROW", "TINY)", COUNT + ", and 1.5 in place of √2 as much of the rest"),
        ("np.nextafter(diagonal - shift, -np.inf)", "diagonal - shift", COUNT),
    ),
    *overlaps(
        "proofs/cone_tree.py: _normalized_sum",
        ("UNDERFLOW).high", "UNDERFLOW).near", "8 γ of twice the number of operations"),
        (
            " + SQUARES_UNDERFLOW",
            "",
            "norms of residuals are at least √TINY, as squares keep TINY, and entries at most 2²⁰⁰",
        ),
    ),
    *overlaps(
        "proofs/least_norms.py: _feasible_norms",
        ("max(1) * (1 + 8 * ROUNDOFF)", "max(1)", REACH),
        ("reach * (1 + 8 * ROUNDOFF)", "reach", REACH),
        ("(1 + gamma(2 * k + 20))", "1", REACH),
    ),
    *(
        Overlap(term, "the ends lie as far to both sides", tuple(RADII), lambda: claims.power_test(1.0))
        for term in RADII
    ),
    *overlaps(
        "proofs/power_test.py: is_accepted",
        ("low) * GROW", "low)", "the ends are a float further out than the radius"),
        (
            "(1 + gamma(radii.size + 16))",
            "1",
            "GROW on each radius is 2⁹ roundings; no larger matrix is known to lose them",
        ),
        (") / GROW", ")", "2⁻⁴⁰ of the excess, in `plan_test`"),
    ),
    *overlaps(
        "proofs/power_test.py: plan_test",
        ("(1 - 2.0**-40)", "1", "_SLACK of the rate, as the excess is at least 2⁻³⁰"),
        ("_LEAST_EXCESS <= excess", "0 < excess", "2⁻⁴⁰ of the excess"),
        ("math.acosh(1 + excess) / _SLACK", "math.acosh(1 + excess)", "2⁻⁴⁰ of the excess"),
        ("-math.expm1(-rate)) * _SLACK", "-math.expm1(-rate))", SCALARS),
        ("1.001) / _SLACK", "1.001)", SCALARS),
        ("/ rate * _SLACK", "/ rate", SCALARS),
        ("length * 1.001", "length", "_SLACK is more than a norm of 2³⁰ numbers loses"),
    ),
    *overlaps(
        "proofs/power_test.py: _step_error",
        (" * _SLACK", "", ROOM),
        (" + TINY", "", "8 roundings of R are more than underflow, for entries of size 1"),
        ("1.01", "1.0", ROOM),
        ("8 * 2.0**-53", "0.0", "the + 8 of the other count, since c |G|² > 4 where a bound is false"),
    ),
    *overlaps("measure.py: line_of", ("levels)).high", "levels)).near", "s U has been rounded up by more, and λ down")),
    *overlaps(
        "statement/dual_point.py: change_to_kernel", ("bounds.high", "bounds.near", "t is 0.9 of an eigenvalue at most")
    ),
    *overlaps(
        "exact/balls.py: _float_below", ("(near, math.nextafter(near, -math.inf))", "(near,)", "−inf is returned")
    ),
]
# Small numbers and ends on which no claim rests.
NO_TERMS = {
    "enclosure.py: ROUNDOFF": "a definition",
    "enclosure.py: TINY": "a definition",
    "enclosure.py: SQUARES_UNDERFLOW": "a definition",
    "enclosure.py: GROW": "a definition",
    "forms/projection.py: project: 2.0**-60": "keeps φ positive",
    "forms/peeling.py: _weights": "p where none is given; any p > 0 will do",
    "proofs/majorants.py: _majorant": "p where none is given; any p > 0 will do",
    "proofs/cone_tree.py: THRESHOLD_MARGIN": "where a search may end",
    "proofs/cone_tree.py: threshold_of": "where a search may end",
    "proofs/least_norms.py: RIDGE": "a search",
    "proofs/least_norms.py: AIM_MARGIN": "a search",
    "proofs/least_norms.py: least_norms": "a search",
    "proofs/least_norms.py: _ascent": "a search",
    "proofs/least_norms.py: _solved": "a search",
    "proofs/least_norms.py: _feasible_norms: TINY": "keeps 0/0 out; any multiple of w will do",
    "proofs/power_test.py: _SLACK": "a definition",
    "proofs/power_test.py: _SMALLEST": "a definition",
    "proofs/power_test.py: _LEAST_EXCESS": "a definition",
    "proofs/power_test.py: plan_test: largest > TINY": "a range",
    "proofs/power_test.py: plan_test: _SMALLEST <= edge < upper <= 1 / _SMALLEST": "a range",
    "exact/cone_tree.py: cone_tree_upper: (values / unit * projection.gain).high": "guesses",
    "exact/cone_tree.py: _proven_norm: TINY": "keeps 0/0 out; any multiple of w will do",
    "measure.py: line_of: value.high": "room for a claim, which the other end decides",
    "verdict.py: Verdict.relative_gap": "shown, not decided on",
}
