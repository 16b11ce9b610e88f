"""The form that the methods of this folder serve."""

from __future__ import annotations

from typing import cast

from certify.bounds.polar import PolarTask
from certify.problem import Branch, Rows


def rows_form(owner: PolarTask | Branch) -> Rows:
    """The form of a task that the table of methods sends to this folder, or of its branch."""
    return cast("Rows", owner.form)
