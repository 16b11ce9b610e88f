"""Results for people: the verdict first, then the gap, then why, then what to do next."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from certify.certificates.result import Result

STYLES = {"certified": "bold green", "improvable": "bold yellow", "undecided": "bold cyan"}
# Off a terminal, rows are single unwrapped lines with labels of this width.
LABEL_WIDTH = 12
PARTS = {
    "unbalanced": "unbalanced layers",
    "not_stationary": "not stationary",
    "missing_subnetwork": "missing subnetworks",
    "unexplained": "unexplained (bound)",
}


def print_result(console: Console, result: Result, verbose: bool = False) -> None:
    """Print one result; nothing else goes to this console."""
    name = result.model.path or "live model"
    console.print(Text.assemble((result.verdict, STYLES[result.verdict]), "  ", (name, "bold")), soft_wrap=True)
    rows = _rows(result, verbose)
    if not console.is_terminal:
        for label, text in rows:
            console.print(Text(f"  {label:<{LABEL_WIDTH}}{text}"), soft_wrap=True)
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in rows:
        table.add_row(label, Text(text))
    console.print(Padding(table, (0, 0, 0, 2)))


def print_summary(console: Console, verdicts: list[str]) -> None:
    """One closing line for several models."""
    counts = {verdict: verdicts.count(verdict) for verdict in dict.fromkeys(verdicts)}
    console.print(f"{len(verdicts)} models: " + ", ".join(f"{n} {verdict}" for verdict, n in counts.items()))


def _rows(result: Result, verbose: bool) -> list[tuple[str, str]]:
    rows = [
        ("gap", _gap(result)),
        ("objective", f"{result.objective:.10g}"),
        ("bound", f"{result.lower_bound:.10g}   no network of any width is below this"),
    ]
    if result.best_known < result.objective:
        rows.append(("best known", f"{result.best_known:.10g}"))
    if result.achieved_share is not None:
        rows.append(("achieved", f"at least {_share(result.achieved_share)} of what any network could gain over zero"))
    rows.append(("why", f"{result.message} [{result.reason}]"))
    rows.append(("next", _next_step(result)))
    if result.verdict != "certified" or verbose:
        rows.append(("gap parts", _parts(result)))
    rows.extend(("note", note) for note in result.notes)
    if verbose:
        rows.extend(_details(result))
    return rows


def _gap(result: Result) -> str:
    allowed = f"tolerance {result.relative_gap_tolerance:.0e}"
    if result.absolute_gap_tolerance:
        allowed += f" relative or {result.absolute_gap_tolerance:.0e} absolute"
    return f"{result.relative_gap:.2e} relative ({result.gap:.2e} absolute), {allowed}"


def _share(share: float) -> str:
    """Percentage rounded down, so that the claim stays proven."""
    digits = 2 if share < 0.999 else 4
    scaled = int(share * 100 * 10**digits) / 10**digits
    return f"{scaled:.{digits}f}%"


def _next_step(result: Result) -> str:
    if result.certificate and result.verdict == "certified":
        return f"certify verify {result.certificate}"
    if result.verdict == "certified":
        return "nothing to do: training longer or wider cannot help beyond the gap"
    if result.descent and result.descent.model_path:
        return f"the better model is in {result.descent.model_path}"
    if result.descent:
        return "write the better model with --output-model PATH"
    return f"certify explain {result.reason}"


def _parts(result: Result) -> str:
    parts = result.breakdown
    shown = [(label, getattr(parts, name)) for name, label in PARTS.items()]
    return ", ".join(f"{label} {value:.2e}" for label, value in shown if value > 0) or "none"


def _details(result: Result) -> list[tuple[str, str]]:
    polar, model, data, seconds = result.polar, result.model, result.data, result.seconds
    return [
        ("polar", f"{polar.lower:.6f} ≤ Ω°(−A)/λ ≤ {polar.upper:.6f} ({polar.method})"),
        (
            "model",
            f"{model.family}, degree {model.degree}, {model.subnetworks} subnetworks, {model.parameters} parameters",
        ),
        ("data", f"{data.samples} samples, {data.inputs} inputs, {data.outputs} outputs"),
        (
            "seconds",
            ", ".join(f"{name} {getattr(seconds, name):.2f}" for name in ("load", "bound", "verify", "total")),
        ),
        ("proof", result.proof),
    ]
