"""An audit as text: one row per item, then what counts against it and why, then a summary."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_CEILING, Context

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from certify.certificates.audit_result import AuditItem, AuditResult
from certify.reports.terminal import inert_line

STYLES = {"certified": "green", "undecided": "yellow", "improvable": "red", "failed": "bold red"}
ORIGINS = {"run": "", "cache": "cached", "resumed": "resumed"}
# Rows of met items that are shown without --verbose.
MOST_ROWS = 40


def item_line(item: AuditItem) -> str:
    """One item on one line."""
    shown = "" if item.relative_gap is None else f"  gap {_gap(item)}"
    origin = f"  ({ORIGINS[item.origin]})" if ORIGINS[item.origin] else ""
    counts = f"  FAILED: {item.failure}" if item.failure else ""
    return inert_line(f"{item.outcome:<10}  {item.name}{shown}  {item.seconds:.2f} s{origin}{counts}")


def print_audit(console: Console, audit: AuditResult, *, verbose: bool) -> None:
    """The whole audit; of many items only those that count, unless `verbose`."""
    rows = audit.items if verbose or len(audit.items) <= MOST_ROWS else audit.unmet
    if rows:
        console.print(_table(rows))
    if len(rows) < len(audit.items):
        console.print(f"{len(audit.items) - len(rows)} items are as asked and not shown (--verbose shows them)")
    for item in audit.unmet:
        place = inert_line(f"{item.file}:{item.line}:{item.column}")
        console.print(Text.assemble(("✗ ", "red"), (inert_line(item.name), "bold"), f"  {place}"))
        console.print(Text(f"    {item.failure}".replace("\n", "\n    ")))
    for note in audit.notes:
        console.print(Text(f"note: {note}"))
    console.print(Text.from_markup(_summary(audit)))


def _gap(item: AuditItem) -> str:
    """The proven relative gap, rounded up so that what is shown is proven too."""
    if item.relative_gap is None:
        return "–"
    return f"{float(Context(prec=3, rounding=ROUND_CEILING).create_decimal(item.relative_gap)):.2e}"


def _table(items: Iterable[AuditItem]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("verdict")
    table.add_column("item", overflow="fold")
    for title in ("gap", "asked", "seconds"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("")
    for item in items:
        table.add_row(
            Text(item.outcome, STYLES[item.outcome]),
            Text(inert_line(item.name)),
            _gap(item),
            item.expect,
            f"{item.seconds:.2f}",
            ORIGINS[item.origin],
        )
    return table


def _summary(audit: AuditResult) -> str:
    counts = [f"[{STYLES[name]}]{count} {name}[/]" for name, count in audit.outcomes.items() if count]
    origins = [f"{count} {name}" for name, count in audit.origins.items() if count and name != "run"]
    parts = [", ".join(counts) or "nothing checked"]
    if origins:
        parts.append(f"{', '.join(origins).replace('cache', 'from the cache')}")
    if audit.left_out:
        parts.append(f"{len(audit.left_out)} not run")
    if audit.interrupted:
        parts.append("[red]interrupted[/]; go on with --resume")
    parts.append("all as asked" if not audit.unmet else f"[red]{len(audit.unmet)} not as asked[/]")
    return f"{escape(audit.file)}: {'; '.join(parts)}; {audit.seconds:.1f} s, exit code {audit.exit_code}"
