"""What `certify inspect` shows: layers with degrees, subnetworks, bounds, and the obstacles with remedies."""

from __future__ import annotations

import math
import sys
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from certify.bounds.costs import ExpectedBound
from certify.models.inspect import Inspection, SubnetworkRow
from certify.models.theory.families import summary
from certify.reports.phrases import shortened
from certify.reports.terminal import styled_console

SCHEMA = "certify.inspection/1"
# Rows beyond this are summed up, so that a model with thousands of layers can be looked at.
MOST_ROWS = 60
# Columns of text off a terminal, where rich would otherwise wrap at 80.
WIDTH = 120


def inspection_object(found: Inspection, bounds: tuple[ExpectedBound, ...]) -> dict[str, Any]:
    """The inspection as a JSON-ready dictionary."""
    content = asdict(found)
    content["path"] = None if found.path is None else str(found.path)
    return {"schema": SCHEMA, **content, "bounds": [asdict(bound) for bound in bounds]}


def print_inspection(found: Inspection, bounds: tuple[ExpectedBound, ...], *, color: bool) -> None:
    """Print the inspection on stdout."""
    on_terminal = sys.stdout.isatty()
    console = styled_console(file=sys.stdout, color=color, width=None if on_terminal else WIDTH)
    if on_terminal:
        _print(console, found, bounds)
        return
    with console.capture() as captured:
        _print(console, found, bounds)
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def _print(console: Console, found: Inspection, bounds: tuple[ExpectedBound, ...]) -> None:
    console.print(_title(found), soft_wrap=True)
    if found.layers:
        console.print(_heading("layers"), _beneath(_layer_table(found)))
    if found.subnetworks:
        console.print(_heading("subnetworks"), _beneath(_subnetwork_table(found.subnetworks)))
    groups = dict.fromkeys((bound.families, bound.sizes) for bound in bounds)
    for families, (columns, scores) in groups:
        alike = tuple(bound for bound in bounds if (bound.families, bound.sizes) == (families, (columns, scores)))
        whose = f" of {' and '.join(families)} subnetworks (h = {columns}, m = {scores})" if len(groups) > 1 else ""
        console.print(_heading(f"bounds on the polar{whose}, cheapest first"), _beneath(_bound_table(alike)))
    if found.penalized:
        names = ", ".join(shortened(found.penalized, MOST_ROWS))
        console.print(_heading("penalized by weight decay"), _indented(names))
    if found.notes:
        console.print(_heading("notes"), *(_indented(note) for note in found.notes))
    for obstacle in found.problems:
        mark = Text.assemble("\n", ("obstacle", "bold red"), f"  [{obstacle.code}]")
        console.print(mark, _indented(obstacle.reason))
        if obstacle.remedy:
            console.print(Padding(Text.assemble(("remedy  ", "bold"), obstacle.remedy), (0, 0, 0, 2)))


def _title(found: Inspection) -> Text:
    scalars = sum(math.prod(shape) for shape in found.parameters.values())
    facts = f"  {found.format}, {len(found.parameters)} tensors, {scalars:,} parameters\n"
    return Text.assemble((str(found.path or "live model"), "bold"), (facts, "dim"), _headline(found))


def _headline(found: Inspection) -> tuple[str, str]:
    parts = summary((row.family, row.degree, row.width) for row in found.subnetworks)
    if found.family is not None:
        return f"{parts or found.family}: a certificate is possible", "bold green"
    return (f"{parts}: no certificate as it is", "bold yellow") if parts else ("no certificate as it is", "bold red")


def _layer_table(found: Inspection) -> Table:
    table = _table("operation", "name", "reads", "parameters", "degree", "in parameters", "")
    before, rows = None, found.layers
    for row in rows[:MOST_ROWS]:
        reads = "" if row.inputs == (before,) else ", ".join(row.inputs)
        shapes = ", ".join(_parameter(name, shape, found) for name, shape in row.shapes.items())
        degree, total = _degree(row.degree, "none"), _degree(row.parameter_degree, "")
        style = "red" if row.remark == "breaks" else "dim" if row.remark else ""
        table.add_row(row.op, row.name, reads, shapes, degree, total, row.remark, style=style)
        before = row.name
    if len(rows) > MOST_ROWS:
        table.add_row("…", f"and {len(rows) - MOST_ROWS} more", *[""] * 5)
    return table


def _parameter(name: str, shape: tuple[int, ...], found: Inspection) -> str:
    """Name and shape, and the degree of the outputs in it where that is not 1."""
    degree = found.weight_degrees.get(name)
    return f"{name} {_shape(shape)}" + (f" (degree {degree})" if degree not in (None, 1) else "")


def _subnetwork_table(rows: tuple[SubnetworkRow, ...]) -> Table:
    table = _table("r", "family", "degree", "one subnetwork", "its weights")
    for row in rows[:MOST_ROWS]:
        weights = ", ".join(f"{name} {_shape(shape)}" for name, shape in row.weights.items())
        table.add_row(str(row.width), row.family, str(row.degree), " → ".join(row.layers), weights)
    if len(rows) > MOST_ROWS:
        table.add_row("…", f"and {len(rows) - MOST_ROWS} more kinds", "", "", "")
    return table


def _bound_table(bounds: tuple[ExpectedBound, ...]) -> Table:
    table = _table("method", "expected cost")
    for bound in bounds:
        table.add_row(bound.method, bound.cost, style="" if bound.applies else "dim")
    return table


def _table(*columns: str) -> Table:
    # On a narrow terminal long names are folded, never the headings.
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold", min_width=len(column))
    return table


def _heading(text: str) -> Text:
    return Text.assemble("\n", (text, "bold"))


def _indented(text: str) -> Padding:
    return _beneath(Text(text))


def _beneath(content: Table | Text) -> Padding:
    """Content below its heading."""
    return Padding(content, (0, 0, 0, 2), expand=False)


def _degree(degree: int | None, absent: str) -> str:
    return absent if degree is None else str(degree)


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(str(size) for size in shape) or "scalar"
