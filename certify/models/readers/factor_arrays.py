"""Arrays by name of a `.npz` file as weights, as libraries of factorizations save them.

What is no array of numbers with a point is a setting beside them (`implicit` keeps its own so): left out, with a note.
"""

from __future__ import annotations

import io

import torch
from torch import Tensor

from certify.models.readers.array_file import NPY_SUFFIX, npz_members, read_npy
from certify.models.readers.exact_weights import require_plain_names
from certify.models.readers.model_reader import OpenedModel
from certify.models.readers.weight_file import WeightFile, exact_weights


def looks_like_npz(opened: OpenedModel) -> bool:
    """Whether every entry of an archive is an array."""
    return bool(opened.members) and all(name.endswith(NPY_SUFFIX) for name in opened.members)


def read_factor_arrays(opened: OpenedModel) -> WeightFile:
    """The arrays of floating point numbers.

    Raises:
        RefusedError: corrupt, unsafe, non-finite or over a limit.
    """
    where, found, settings = str(opened.file.path), dict[str, Tensor](), []
    members = npz_members(opened.archive)
    require_plain_names(members, where)
    for name, entry in members.items():
        content = opened.archive.read(entry)
        array = read_npy(io.BytesIO(content), len(content), f"{where}: array '{name}'")
        if array.dtype.kind in "fc":
            found[name] = torch.from_numpy(array.astype(array.dtype.newbyteorder("="), order="C"))
        else:
            settings.append(name)
    shown = ", ".join(f"'{name}'" for name in settings)
    notes = (f"left out: {shown}, which hold no floating point numbers",) if settings else ()
    return exact_weights(found, "npz", opened.file, notes)
