"""Quadratic forms of two factors as certificates state them, with room for a checker's own rounding."""

from __future__ import annotations

import numpy as np

from certify.bounds.bilinear.coupling import Norms
from certify.bounds.bilinear.semidefinite import forms_value, raised
from certify.bounds.proof import FactorForms
from certify.bounds.stated_arrays import Array, array_of


def stated_forms(form: Norms, forms: FactorForms, margin: float) -> tuple[float, dict[str, Array]]:
    """U and arrays, with relative room `margin`."""
    by = margin * float(forms.left.diagonal().mean()), margin * float(forms.right.diagonal().mean())
    given = raised(form, forms, by)
    arrays = {"left": array_of(given.left), "right": array_of(given.right), "levels": np.array(given.levels)}
    cross = {} if given.cross is None else {"cross": array_of(given.cross)}
    return forms_value(form, given) * (1 + margin), arrays | cross
