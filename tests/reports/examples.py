"""Reports with every state, every strength of proof, missing numbers and names that try to break out."""

import math
from dataclasses import replace

from certify.certificates.result import (
    DataReport,
    Descent,
    Environment,
    GapBreakdown,
    ModelReport,
    PolarReport,
    Result,
    Seconds,
)
from certify.reports.report import Entry, Failure, Place, Report
from certify.reports.result_json import error_object, result_object

CERTIFIED = Result(
    verdict="certified",
    reason="gap-closed",
    message="no network with relu subnetworks, however wide, has an objective below 0.4999",
    objective=0.5,
    lower_bound=0.4999,
    best_known=0.5,
    relative_gap_tolerance=1e-3,
    absolute_gap_tolerance=0.0,
    achieved_share=0.9,
    proof="rigorous",
    polar=PolarReport(0.999, 1.0002, "cones"),
    breakdown=GapBreakdown(0.0, 0.0, 0.0, 0.5 - 0.4999),
    descent=None,
    model=ModelReport("a.pt", "ab" * 32, "relu", 2, 3, 12),
    data=DataReport("train.npz", "cd" * 32, 100, 4, 1),
    seconds=Seconds(0.1, 0.0, 1.0, 0.2, 1.3),
    environment=Environment("cpu", "2.13.0", 0),
    statement="5" * 64,
    optimum_estimate=0.49,
    certificate="a.certificate",
)
RANDOMIZED = replace(CERTIFIED, proof="randomized", failure_probability=1e-12, certificate=None)
IMPROVABLE = replace(
    CERTIFIED,
    verdict="improvable",
    reason="missing-subnetwork",
    message="adding subnetworks lowers the objective by 0.4 to 0.6; widen the network",
    objective=1.0,
    lower_bound=0.59,
    best_known=0.6,
    achieved_share=0.25,
    breakdown=GapBreakdown(0.0, 0.1, 0.3, 0.01),
    descent=Descent("add-subnetworks", 0.4, 0.6, 5, "better.pt"),
    notes=("relu was assumed between fc1 and fc2",),
)
UNDECIDED = replace(
    CERTIFIED,
    verdict="undecided",
    reason="bound-too-loose",
    message="no better model was found, and the proven bound does not reach the objective",
    lower_bound=0.2,
    breakdown=GapBreakdown(0.0, 0.0, 0.0, 0.3),
)
UNBOUNDED = replace(
    UNDECIDED,
    reason="numerical",
    message="nothing is certified: the polar is not finite",
    proof="none",
    lower_bound=-math.inf,
    achieved_share=None,
    polar=PolarReport(1.5, math.inf, "none"),
    breakdown=GapBreakdown(0.0, 0.0, 0.0, math.inf),
)
REFUSED = Failure("non-finite", "nan.pt: parameter 'fc1.weight' has 1 non-finite of 3 values")
UNSUPPORTED = Failure("not-homogeneous", "sigmoid.pt: layer 'act' is Sigmoid, which is not positively homogeneous")

HOSTILE = (
    "<script>window.broken = 1</script>.pt",
    '"><img src=x onerror="window.broken = 1">.pt',
    "</title></style></script><svg onload=window.broken=1>",
    "a|b`c`*d*[e](http://example.com)\n::error::injected,x=1%0A\\.pt",
    '=cmd|"/c calc"!A1\x00\x1b[31m\ud800\u202e.pt',
    "{{ 7 * 7 }}{% raw %}&amp;'.pt",
)
EXIT_CODES = {"certified": 0, "improvable": 1, "undecided": 3}


def entry(name, outcome, line=1, exit_code=None, **changes):
    if isinstance(outcome, Failure):
        code = 4 if outcome is UNSUPPORTED else 5
        content = error_object(name, outcome.code, code, outcome.message)
        return Entry(name, outcome, content, Place("audit.yaml", line, 3), exit_code or code, **changes)
    code = EXIT_CODES[outcome.verdict] if exit_code is None else exit_code
    place = Place("audit.yaml", line, 3)
    return Entry(name, outcome, result_object(outcome), place, code, seconds=outcome.seconds.total, **changes)


def report(*entries, **changes):
    return Report(entries, [entry.content for entry in entries], **changes)


def mixed():
    """One entry of each kind."""
    outcomes = {
        "certified.pt": CERTIFIED,
        "randomized.pt": RANDOMIZED,
        "improvable.pt": IMPROVABLE,
        "undecided.pt": UNDECIDED,
        "unbounded.pt": UNBOUNDED,
        "nan.pt": REFUSED,
        "sigmoid.pt": UNSUPPORTED,
    }
    return report(*(entry(name, outcome, line) for line, (name, outcome) in enumerate(outcomes.items(), start=4)))


def hostile():
    """Names and messages that are markup, commands or no text at all."""
    entries = []
    for line, name in enumerate(HOSTILE, start=1):
        entries.append(entry(name, replace(IMPROVABLE, message=name, notes=(name,)), line))
        entries.append(entry(f"{name}2", Failure("non-finite", name), line))
    return report(*entries, left_out=HOSTILE[:1], notes=HOSTILE)
