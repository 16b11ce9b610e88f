"""Numbers and claims of a result in words: the wording that all reports for people share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

from certify.certificates.result import Result
from certify.reports.explanations import EXPLANATIONS
from certify.reports.report import Entry, Report

PARTS = {
    "unbalanced": "unbalanced layers",
    "not_stationary": "not stationary",
    "missing_subnetwork": "missing subnetworks",
    "unexplained": "unexplained (bound)",
}


# A float64 in percent has fewer digits than this, so that only the last step rounds.
_EXACT = Context(prec=1100, rounding=ROUND_FLOOR)

# Where the independent checker accepted no certificate, the prover's own bound is no claim, and text does not show it.
UNPROVEN = "not proven"
LEFT_OUT = "not checked: the run ended before it"


def number(value: float | None, digits: int = 8) -> str:
    """A number of the report with so many significant digits; `none` where there is no finite value."""
    return "none" if value is None or not math.isfinite(value) else f"{value:.{digits}g}"


def at_least(value: float, digits: int = 8) -> str:
    """A proven lower bound, rounded down, so that what is shown is proven too."""
    return number(float(Context(prec=digits, rounding=ROUND_FLOOR).create_decimal(value)), digits)


def at_most(value: float, digits: int = 8) -> str:
    """A proven upper bound, rounded up."""
    return number(float(Context(prec=digits, rounding=ROUND_CEILING).create_decimal(value)), digits)


def count(number_of: int, thing: str) -> str:
    """So many of a thing."""
    return f"{number_of} {thing}" if number_of == 1 else f"{number_of} {thing}s"


def relative_gap(result: Result) -> str:
    """The relative gap, short."""
    if result.proof == "none":
        return UNPROVEN
    return f"{result.relative_gap:.2e}" if math.isfinite(result.relative_gap) else "unbounded"


def bound(result: Result, digits: int = 8) -> str:
    """The lower bound, where it is one."""
    return UNPROVEN if result.proof == "none" else at_least(result.lower_bound, digits)


def tolerance(result: Result) -> str:
    """The tolerance as requested."""
    absolute = result.absolute_gap_tolerance
    return f"{result.relative_gap_tolerance:.0e}" + (f" relative or {absolute:.0e} absolute" if absolute else "")


def gap(result: Result) -> str:
    """The gap, both ways, and the tolerance."""
    if result.proof == "none" or not math.isfinite(result.gap):
        return f"{relative_gap(result)}, tolerance {tolerance(result)}"
    return f"{result.relative_gap:.2e} relative ({result.gap:.2e} absolute), tolerance {tolerance(result)}"


def share(value: float) -> str:
    """Percentage rounded down, so that the claim stays proven."""
    digits = 2 if value < 0.999 else 4
    percent = _EXACT.multiply(Decimal(value), Decimal(100))
    return f"{_EXACT.quantize(percent, Decimal(1).scaleb(-digits))}%"


def scope(result: Result) -> str:
    """What the claim is about where that is not the whole model; else empty."""
    if result.head is None:
        return ""
    names = " and ".join(f"'{name}'" for name in result.head.layers)
    noun = "layer" if len(result.head.layers) == 1 else "layers"
    frozen = count(result.head.frozen_parameters, "parameter")
    return (
        f"the claim is about the head ({noun} {names}), its penalty included, given the features of the layers before "
        f"it, which are frozen ({frozen}); training those may do better"
    )


def rivals(result: Result) -> str:
    """What no one of which is better than the bound."""
    if result.model.family == "single-layer":
        return "no weights of this linear layer have"
    return f"no network with {result.model.family} subnetworks, however wide, has"


def remarks(result: Result) -> list[str]:
    """What a reader must know of a result beside its numbers: scope, departures, and assumptions made while loading."""
    return [*([scope(result)] if result.head else []), *result.departures, *result.notes]


def estimate(result: Result) -> str:
    """Where the optimum probably lies."""
    below = number(None if result.estimated_gap is None else 100 * result.estimated_gap, 2)
    return f"optimum probably near {number(result.optimum_estimate, 6)}, {below}% below the objective; not proven"


def parts(result: Result) -> str:
    """The parts of the gap that are not zero; what the bound leaves only where it is proven."""
    names = [name for name in PARTS if result.proof != "none" or name != "unexplained"]
    shown = [(PARTS[name], getattr(result.breakdown, name)) for name in names]
    return ", ".join(f"{label} {value:.2e}" for label, value in shown if value > 0) or "none"


def proof(result: Result) -> str:
    """How strong the lower bound is."""
    match result.proof:
        case "rigorous":
            return "rigorous: accepted by the independent checker, rounding accounted for"
        case "randomized":
            return f"randomized: wrong with a probability of at most {number(result.failure_probability, 2)}"
        case "none":
            return "none: the independent checker accepted no certificate"


def next_step(result: Result) -> str:
    """What to do with this result."""
    if result.certificate and result.verdict == "certified":
        return f"certify verify {result.certificate}"
    if result.verdict == "certified":
        return "nothing to do: training longer or wider cannot help beyond the gap"
    if result.descent and result.descent.model_path:
        return f"the better model is in {result.descent.model_path}"
    if result.descent:
        return "write the better model with --output-model PATH"
    return f"certify explain {result.reason}"


def advice(entry: Entry) -> str:
    """What to do about an entry: its own next step where it has one, and what usually helps for its reason."""
    result, remedy = entry.result, EXPLANATIONS[entry.reason].remedy
    if result is not None and result.verdict == "certified":
        return _sentence(next_step(result))
    if result is not None and result.descent and result.descent.model_path:
        return f"{_sentence(next_step(result))} {remedy}"
    return remedy


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}." if not text.startswith("certify ") else text


def headline(entry: Entry) -> str:
    """State, reason and numbers of an entry in one line without its name."""
    if entry.result is None:
        return stated(entry)
    return f"{stated(entry)} (gap {gap(entry.result)}; proof {proof(entry.result)})"


def stated(entry: Entry) -> str:
    """State and finding of an entry."""
    text = finding(entry)
    return text if text.startswith(f"{entry.state}:") else f"{entry.state}: {text}"


def titled(entry: Entry) -> str:
    """The headline after the name, which messages of failures begin with already."""
    text = headline(entry)
    return text if entry.name in text else f"{entry.name}: {text}"


def finding(entry: Entry) -> str:
    """The reason as a sentence, after what the audit asked for where that is not met."""
    if entry.message in entry.unmet:
        return entry.unmet
    return f"{entry.unmet}; {entry.message}" if entry.unmet else entry.message


def standing(entry: Entry) -> str:
    """How an audit takes the entry, where that is not told by its state."""
    if entry.unmet:
        return "counts against the audit"
    return "as the audit expects" if entry.passed and entry.state != "certified" else ""


def counted(report: Report) -> str:
    """How many models are in each state."""
    listed = ", ".join(f"{found} {state}" for state, found in report.states.items())
    missing = f"; {len(report.left_out)} not checked, as the run ended early" if report.left_out else ""
    return f"{count(len(report.entries), 'model')}: {listed or 'nothing checked'}{missing}"


def shortened(names: Sequence[str], most: int = 8) -> list[str]:
    """The first names of a list, and how many more there are."""
    return [*names[:most], *([f"and {len(names) - most} more"] if len(names) > most else [])]
