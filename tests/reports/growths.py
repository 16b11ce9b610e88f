"""Growths: a usual one, one that ends at once, one without any bound, and one that nothing can be drawn of."""

import math
from dataclasses import replace

from certify.certificates.growth_report import GrowthReport, GrowthRound

USUAL = GrowthReport(
    width_before=1,
    width_grown=18,
    width_after=3,
    width_bound=443,
    objective_before=0.5,
    objective_after=0.28125,
    rounds=(
        GrowthRound(0, 1, 0.5, -math.inf, None, 0.5),
        GrowthRound(1, 12, 0.375, 0.125, 0.25, 1.5),
        GrowthRound(2, 15, 0.3125, 0.25, 0.02, 4.0),
        GrowthRound(3, 18, 0.28125, 0.28109375, 0.001, 9.0),
    ),
)
SINGLE = replace(USUAL, width_grown=1, width_after=1, rounds=(GrowthRound(0, 1, 0.4, 0.3999, 1e-4, 0.25),))
UNBOUNDED = replace(USUAL, rounds=tuple(replace(row, lower_bound=-math.inf) for row in USUAL.rounds))
EXACT = replace(SINGLE, rounds=(GrowthRound(0, 1, 0.0, 0.0, 0.0, 0.25),))
