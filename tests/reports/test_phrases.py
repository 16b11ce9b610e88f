"""Wording that stands in every report."""

from dataclasses import replace

from certify.reports import phrases

from .examples import UNDECIDED


def test_an_estimate_is_said_to_be_unproven():
    result = replace(UNDECIDED, objective=0.5, optimum_estimate=0.49)
    assert phrases.estimate(result) == "optimum probably near 0.49, 2% below the objective; not proven"
