"""Products as certificates state them: arrays of all sign patterns, levels with room for a checker's own rounding."""

from __future__ import annotations

import numpy as np
import torch

from certify.bounds.proof import DoublyNonnegative
from certify.bounds.rows.relaxations.direction_region import direction_region
from certify.bounds.stated_arrays import Array, array_of
from certify.problem import Rows


def stated_products(form: Rows, proof: DoublyNonnegative, margin: float) -> tuple[float, dict[str, Array]]:
    """U and arrays, with relative room `margin`."""
    upper, levels, columns = 0.0, [], []
    for sign in proof.signs:
        region = direction_region(form.view, proof.center, sign.ratio)
        alpha, beta = sign.levels
        room = margin / 4 * (abs(alpha) + abs(beta))
        levels.append((alpha + room, beta + room))
        columns.append(float(region.inputs[0, -1]))
        upper = max(upper, (alpha + room) + region.radius_squared * (beta + room) + margin * (abs(alpha) + abs(beta)))
    arrays = {
        "both": array_of(torch.stack([sign.both for sign in proof.signs])),
        "cross": array_of(torch.stack([sign.cross for sign in proof.signs])),
        "none": array_of(torch.stack([sign.none for sign in proof.signs])),
    }
    tilts = [sign.tilts for sign in proof.signs if sign.tilts is not None]
    arrays["heights"] = array_of(torch.cat([sign.heights for sign in proof.signs]))
    if tilts:
        arrays["tilts"] = array_of(torch.cat(tilts))
    arrays["levels"] = np.array(levels)
    free = {"center": array_of(proof.center), "column": np.array(columns)} if form.view.free_inputs else {}
    return upper, arrays | free
