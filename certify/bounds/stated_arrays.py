"""Arrays as certificates hold them."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

Array = np.ndarray[Any, np.dtype[Any]]


def array_of(tensor: Tensor) -> Array:
    """The values as float64 on the host."""
    values: Array = tensor.detach().double().cpu().contiguous().numpy()
    return values
