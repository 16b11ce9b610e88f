"""The form that the methods of this folder serve."""

from __future__ import annotations

from typing import cast

from certify.bounds.polar import PolarTask
from certify.problem import Bilinear, Branch


def bilinear_form(owner: PolarTask | Branch) -> Bilinear:
    """The form of a task that the table of methods sends to this folder, or of its branch."""
    return cast("Bilinear", owner.form)
