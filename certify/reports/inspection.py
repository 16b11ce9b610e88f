"""What `certify inspect` shows: the layer table with degrees, the subnetwork, and the obstacles with remedies."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from certify.models.inspect import Inspection

SCHEMA = "certify.inspection/1"


def inspection_object(found: Inspection) -> dict[str, Any]:
    """The inspection as a JSON-ready dictionary."""
    content = asdict(found)
    content["path"] = None if found.path is None else str(found.path)
    return {"schema": SCHEMA, **content}


def print_inspection(found: Inspection, color: bool) -> None:
    """Print the inspection on stdout."""
    console = Console(file=sys.stdout, no_color=not color, highlight=False)
    console.print(Text.assemble((str(found.path or "live model"), "bold"), "  ", _headline(found)), soft_wrap=True)
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for column in ("op", "name", "parameters", "degree"):
        table.add_column(column)
    for row in found.layers:
        shapes = ", ".join(f"{name} {_shape(shape)}" for name, shape in row.shapes.items())
        table.add_row(row.op, row.name, shapes, "none" if row.degree is None else str(row.degree))
    console.print(table)
    if found.penalized:
        console.print(Text(f"  penalized by weight decay: {', '.join(found.penalized)}"))
    for note in found.notes:
        console.print(Text(f"  note: {note}"))
    for obstacle in found.problems:
        console.print(Text.assemble("  ", ("obstacle", "bold red"), f" {obstacle.reason}  [{obstacle.code}]"))
        if obstacle.remedy:
            console.print(Text(f"  remedy: {obstacle.remedy}"))


def _headline(found: Inspection) -> str:
    if found.family is None:
        return "cannot be certified as it is"
    plural = "subnetwork" if found.width == 1 else "subnetworks"
    return f"{found.width} parallel {found.family} {plural} of degree {found.degree}"


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(str(size) for size in shape)
