"""Results in the text format of Prometheus, for the textfile collector of the node exporter.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/ (text format 0.0.4).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from certify.certificates.gravity import OUTCOMES
from certify.certificates.result import GapBreakdown, Result
from certify.reports.report import Report
from certify.version import __version__

Sample = tuple[dict[str, str], float | None]

_GAUGES: dict[str, tuple[str, Callable[[Result], float | None]]] = {
    "certify_objective": ("Objective of the model, rounded up.", lambda result: result.objective),
    "certify_lower_bound": ("No network of any width has a smaller objective.", lambda result: result.lower_bound),
    "certify_best_known": ("Smallest objective that was evaluated.", lambda result: result.best_known),
    "certify_gap_absolute": ("Objective minus lower bound.", lambda result: result.gap),
    "certify_gap_relative": ("Absolute gap over the objective's magnitude.", lambda result: result.relative_gap),
    "certify_tolerance_relative": ("Relative gap requested.", lambda result: result.relative_gap_tolerance),
    "certify_tolerance_absolute": ("Absolute gap requested.", lambda result: result.absolute_gap_tolerance),
    "certify_achieved_share": (
        "Proven lower bound on the share of the possible improvement over the zero network.",
        lambda result: result.achieved_share,
    ),
    "certify_failure_probability": ("Of a randomized proof.", lambda result: result.failure_probability),
    "certify_polar_lower": ("Polar at the dual point, from below; 1 is optimal.", lambda result: result.polar.lower),
    "certify_polar_upper": ("Polar at the dual point, from above; 1 is optimal.", lambda result: result.polar.upper),
    "certify_check_seconds": ("Wall clock seconds of the check.", lambda result: result.seconds.total),
}


def prometheus_report(report: Report) -> str:
    """Gauges per model; a quantity without a finite value has no sample."""
    lines = list(_family("certify_info", "Version of certify.", [({"version": __version__}, 1.0)]))
    states: list[Sample] = [
        ({"model": entry.name, "verdict": state}, float(entry.state == state))
        for entry in report.entries
        for state in OUTCOMES
    ]
    lines += _family("certify_verdict", "1 for the state that the model is in.", states)
    codes: list[Sample] = [({"model": entry.name}, float(entry.exit_code)) for entry in report.entries]
    lines += _family("certify_exit_code", "What the check of the model exits with; 0 is a pass.", codes)
    infos: list[Sample] = [
        ({"model": entry.name, "reason": entry.reason, **_described(entry.result)}, 1.0) for entry in report.entries
    ]
    lines += _family("certify_model_info", "What was checked, and the reason of the verdict.", infos)
    checked = [({"model": entry.name}, entry.result) for entry in report.entries if entry.result]
    for name, (text, value) in _GAUGES.items():
        lines += _family(name, text, [(model, value(result)) for model, result in checked])
    parts: list[Sample] = [
        ({**model, "part": part}, getattr(result.breakdown, part))
        for model, result in checked
        for part in GapBreakdown.__slots__
    ]
    lines += _family("certify_gap_part", "Parts of the absolute gap; they sum to it.", parts)
    left_out = float(len(report.left_out))
    lines += _family("certify_left_out", "Models not checked, as the run ended early.", [({}, left_out)])
    return "\n".join(lines) + "\n"


def _family(name: str, text: str, samples: list[Sample]) -> Iterator[str]:
    found = [(labels, value) for labels, value in samples if value is not None and math.isfinite(value)]
    if found:
        yield f"# HELP {name} {text}"
        yield f"# TYPE {name} gauge"
    for labels, value in found:
        listed = ",".join(f'{key}="{_escaped(content)}"' for key, content in labels.items())
        yield f"{name}{{{listed}}} {float(value)!r}"


def _described(result: Result | None) -> dict[str, str]:
    if result is None:
        return {"proof": "none", "family": "", "sha256": ""}
    return {"proof": result.proof, "family": result.model.family, "sha256": result.model.sha256}


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
