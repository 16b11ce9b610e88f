"""What the reason line says beside the numbers."""

from dataclasses import replace

from certify.certificates.result import GapBreakdown
from certify.workflows.messages import message_of

from ..reports.examples import IMPROVABLE, UNDECIDED


def test_a_gap_that_is_mostly_the_bound_says_so_beside_the_advice():
    mostly = replace(IMPROVABLE, reason="not-stationary", lower_bound=0.0, breakdown=GapBreakdown(0.0, 0.4, 0.0, 0.6))
    assert "60% of the gap is the bound's" in message_of(mostly, "")
    assert "the bound's" not in message_of(IMPROVABLE, "")


def test_a_bound_at_its_end_is_named_and_no_time_is_asked_for():
    message = message_of(UNDECIDED, "")
    assert "(cones)" in message
    assert "budget" not in message
