"""Claims stay true when their numbers are rounded."""

import math
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certify.reports import claims, phrases, plots
from certify.reports.report import uniquely_named
from tests.reports.examples import CERTIFIED, IMPROVABLE, RANDOMIZED, UNBOUNDED, UNDECIDED, entry

finite = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300)


@given(finite, st.integers(1, 17))
def test_bounds_are_rounded_outward(value, digits):
    assert float(phrases.at_least(value, digits)) <= value <= float(phrases.at_most(value, digits))


@given(st.floats(0, 1))
def test_shares_are_rounded_down(value):
    assert Fraction(phrases.share(value).removesuffix("%")) / 100 <= Fraction(value)


def test_what_is_not_finite_is_none():
    assert phrases.at_least(-math.inf) == "none"


@pytest.mark.parametrize("result", [CERTIFIED, RANDOMIZED, IMPROVABLE, UNDECIDED, UNBOUNDED])
def test_something_is_always_left_open(result):
    assert claims.left_open(result)


def test_nothing_is_proven_without_a_proof():
    assert claims.proven(UNBOUNDED) == []


def test_a_bound_that_is_not_proven_is_not_shown_as_one():
    unproven = replace(UNDECIDED, proof="none")
    assert phrases.bound(unproven) == phrases.relative_gap(unproven) == "not proven"
    assert "0.2" not in " ".join([*claims.left_open(unproven), phrases.gap(unproven), phrases.parts(unproven)])
    assert plots.objective_plot(unproven) is plots.polar_plot(unproven) is plots.gap_meter(unproven) is None
    assert plots.gap_parts(unproven) == ()


def test_a_randomized_bound_is_told_from_a_sure_one():
    assert any("1e-12" in claim for claim in claims.left_open(RANDOMIZED))
    assert not any("probability" in claim for claim in claims.left_open(CERTIFIED))


@pytest.mark.parametrize(
    ("unmet", "said"),
    [
        ("", IMPROVABLE.message),
        ("expected certified", f"expected certified; {IMPROVABLE.message}"),
        (f"missing-subnetwork: {IMPROVABLE.message}", f"missing-subnetwork: {IMPROVABLE.message}"),
    ],
)
def test_what_an_audit_found_is_not_said_twice(unmet, said):
    assert phrases.finding(entry("a", IMPROVABLE, unmet=unmet)) == said
    assert phrases.stated(entry("a", IMPROVABLE, unmet=f"improvable: {IMPROVABLE.message}")).count("improvable") == 1


def test_names_are_made_unique():
    assert uniquely_named(["a", "a", "a (2)", "b"]) == ["a", "a (2)", "a (2) (2)", "b"]


def test_reports_need_no_torch():
    code = "import sys, certify.reports.formats, certify.reports.audit_report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
