"""Results for people: the verdict first, then the gap, then why, then what to do next."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from certify.certificates.result import Result
from certify.reports import phrases
from certify.reports.labelled_rows import print_rows
from certify.reports.report import Report
from certify.reports.terminal import inert_line

STYLES = {"certified": "bold green", "improvable": "bold yellow", "undecided": "bold cyan"}


def print_result(console: Console, result: Result, *, verbose: bool = False) -> None:
    """Print one result; nothing else goes to this console."""
    name = inert_line(result.model.path or "live model")
    console.print(Text.assemble((result.verdict, STYLES[result.verdict]), "  ", (name, "bold")), soft_wrap=True)
    print_rows(console, _rows(result, verbose=verbose))


def print_summary(console: Console, report: Report) -> None:
    """One closing line for several models."""
    console.print(Text(phrases.counted(report)))


def _rows(result: Result, *, verbose: bool) -> list[tuple[str, str]]:
    rows = [
        *(("differs", departure) for departure in result.departures),
        ("gap", phrases.gap(result)),
        ("objective", phrases.at_most(result.objective, 10)),
        ("bound", _bound(result)),
    ]
    if result.best_known < result.objective:
        rows.append(("best known", phrases.at_most(result.best_known, 10)))
    if result.achieved_share is not None and result.proof != "none":
        share = phrases.share(result.achieved_share)
        rows.append(("achieved", f"at least {share} of what any network could gain over zero"))
    if result.verdict == "undecided" and result.optimum_estimate is not None:
        rows.append(("estimate", phrases.estimate(result)))
    rows.append(("why", f"{result.message} [{result.reason}]"))
    rows.append(("next", phrases.next_step(result)))
    if result.verdict != "certified" or verbose:
        rows.append(("gap parts", phrases.parts(result)))
    if verbose or result.proof != "rigorous":
        rows.append(("proof", phrases.proof(result)))
    rows.extend([("scope", phrases.scope(result))] if result.head else [])
    rows.extend(("note", note) for note in result.notes)
    if verbose:
        rows.extend(_details(result))
    return rows


def _bound(result: Result) -> str:
    text = phrases.bound(result, 10)
    rivals = "weights of this layer are" if result.model.family == "single-layer" else "network of any width is"
    return text if result.proof == "none" else f"{text}   no {rivals} below this"


def _details(result: Result) -> list[tuple[str, str]]:
    polar, model, data, seconds = result.polar, result.model, result.data, result.seconds
    size = f"degree {model.degree}, {model.subnetworks} subnetworks, {model.parameters} parameters"
    return [
        ("polar", f"{polar.lower:.6f} ≤ Ω°(−A)/λ ≤ {polar.upper:.6f} ({polar.method})"),
        ("model", f"{model.family}, {size}"),
        ("data", f"{data.samples} samples, {data.inputs} inputs, {data.outputs} outputs"),
        ("seconds", ", ".join(f"{name} {getattr(seconds, name):.2f}" for name in ("load", "bound", "verify", "total"))),
    ]
