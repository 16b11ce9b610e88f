"""Rule 10: arrays in their order."""

from typing import Any

import numpy as np

from .container import Arrays
from .rejection import require


class Shapes:
    """Takes the arrays one by one."""

    def __init__(self, arrays: Arrays) -> None:
        self.left = list(arrays.items())

    def take(self, name: str, *shape: int | None, dtype: str = "<f8") -> np.ndarray[Any, Any]:
        """The next array, which has this name, type and shape; None for any extent."""
        require(self.left, "shape")
        found, values = self.left.pop(0)
        require(found == name and values.dtype == np.dtype(dtype) and values.ndim == len(shape), "shape")
        require(all(asked in (None, extent) for asked, extent in zip(shape, values.shape, strict=True)), "shape")
        return values
