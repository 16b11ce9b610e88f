"""The form that the methods of this folder serve."""

from __future__ import annotations

from typing import cast

from certify.bounds.polar import PolarTask
from certify.problem import Rows


def rows_form(task: PolarTask) -> Rows:
    """The form of a task that the table of methods sends to this folder."""
    return cast("Rows", task.form)
