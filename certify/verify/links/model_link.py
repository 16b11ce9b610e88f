"""The link from a certificate to a model file: its digest, and every parameter put together again from its tensors."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

import numpy as np

from certify.verify.links.data_link import identical
from certify.verify.links.model_file import DAMAGE, is_npz, read_model
from certify.verify.reals import Array
from certify.verify.rejection import refuse, refuse_proof, require
from certify.verify.statement.certificate import Certificate, Part


def require_model(certificate: Certificate, data: bytes) -> dict[str, tuple[str, ...]]:
    """The parameters in the certificate are those of the model file, and all of them unless it is about a head.

    Returns:
        For each array compared, the names of the tensors of the file.

    Raises:
        Rejection: another file, or other values.
    """
    found = hashlib.sha256(data).hexdigest()
    require(found == certificate.model_sha256, "model-digest", f"the model file has SHA-256 {found}")
    recipes = certificate.parameters
    if recipes is None:
        message = "the certificate was made from a model in memory, with layers folded, or of a format read by certify"
        refuse_proof("model-link", message)
    try:
        tensors = read_model(data)
    except DAMAGE as error:
        refuse("model-file", f"cannot be read: {error}")
    names = [part.name for parts in recipes.values() for part in parts]
    once = len(set(names)) == len(names) and set(names) <= set(tensors)
    # One number of an archive of arrays is a setting, unless it is named.
    numbers = {name for name, values in tensors.items() if not values.ndim} if is_npz(data) else set()
    whole = certificate.problem.features is not None or set(tensors) <= {*names, *numbers}
    require(once and whole, "model-link", f"the model file holds {', '.join(tensors)}")
    for name, parts in recipes.items():
        expected = certificate.arrays[name]
        same = identical(expected, _assembled(parts, tensors, expected.shape))
        shown = ", ".join(f"'{part.name}'" for part in parts)
        require(same, "model-link", f"{name} is not {shown} of the model file")
    return {name: tuple(part.name for part in parts) for name, parts in recipes.items()}


def _assembled(parts: tuple[Part, ...], tensors: Mapping[str, Array], shape: tuple[int, ...]) -> Array | None:
    """A parameter of the given shape; None where the parts do not make one."""
    try:
        if len(parts) == 1 and parts[0].axis is None:
            return tensors[parts[0].name].reshape(shape)
        return np.concatenate([_rows(part, tensors[part.name]) for part in parts]).reshape(shape)
    except (ValueError, LookupError):
        return None


def _rows(part: Part, tensor: Array) -> Array:
    """(rows, entries): the axis, of length rows · group, split into both, and its rows moved first."""
    axis = -1 if part.axis is None else part.axis
    if not 0 <= axis < tensor.ndim or tensor.shape[axis] % part.group:
        raise ValueError(f"axis {part.axis} of {tensor.shape} in groups of {part.group}")
    split = (*tensor.shape[:axis], tensor.shape[axis] // part.group, part.group, *tensor.shape[axis + 1 :])
    moved = np.moveaxis(tensor.reshape(split), axis, 0)
    return moved.reshape(len(moved), math.prod(moved.shape[1:]))
