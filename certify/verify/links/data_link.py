"""The link from a certificate to data files: digests, and values read again from the files, compared bit by bit.

Files: `.npz`, `.npy` pair, `.safetensors`, `.csv`, or `.npz` with `rows`, `cols`, `values`, `shape`. Every value must
be exact in binary64.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from certify.verify.links.archive import Archive
from certify.verify.links.model_file import DAMAGE, exact, read_safetensors
from certify.verify.links.npy_file import read_npy, require_arrays
from certify.verify.rejection import refuse, refuse_proof, require
from certify.verify.statement.certificate import Certificate
from certify.verify.statement.losses import LOSSES
from certify.verify.statement.problem import ROLES

Found = dict[str, npt.NDArray[Any]]
# Values by role, each with the names of the arrays or columns that hold them.
Named = dict[str, tuple[npt.NDArray[Any], tuple[str, ...]]]
Ints = npt.NDArray[np.integer[Any]]
# The arrays of a matrix to complete.
COORDINATES = ("rows", "cols", "values", "shape")
# Names under which tables of ratings hold users, items and ratings.
TRIPLETS = (
    ("user", "item", "rating"),
    ("row", "col", "value"),
    ("user_id", "item_id", "rating"),
    ("userId", "movieId", "rating"),
)
INTEGER = re.compile(r"\s*[+-]?[0-9]{16,300}\s*")


def require_data(certificate: Certificate, files: tuple[bytes, ...]) -> dict[str, tuple[str, ...]]:
    """The data in the certificate are those of the data file or files; features, which no file holds, are not compared.

    Returns:
        For each array compared, the names of the arrays or columns of the file.

    Raises:
        Rejection: another file, or other values.
    """
    digests = [hashlib.sha256(data).hexdigest() for data in files]
    # Several .npy files have the digest of their digests, one per line.
    text = "".join(digest + "\n" for digest in digests).encode()
    digest = hashlib.sha256(text).hexdigest() if files[0].startswith(b"\x93NUMPY") else digests[0]
    require(digest == certificate.problem.data_sha256, "data-digest", f"the data have SHA-256 {digest}")
    names = certificate.problem.data_names
    if names is None:
        refuse_proof("data-link", "the certificate was made from data in memory")
    try:
        found = _entries_of(files, names, certificate) if certificate.problem.entries else _read(files, names)
        arrays = {role: exact(values) for role, (values, _) in found.items()}
        expected = _arranged(certificate, arrays)
    except DAMAGE as error:
        refuse("data-file", f"cannot be read: {type(error).__name__}: {error}")
    compared = {}
    pairs = zip(("X", "Y", "sample_weights", "mask"), ROLES, strict=True)
    for name, role in list(pairs)[certificate.problem.features is not None :]:
        same = identical(certificate.arrays.get(name), expected.get(name))
        require(same, "data-link", f"array '{name}' is not that of the data file")
        if role in found:
            compared[name] = found[role][1]
    return compared


def identical(one: npt.NDArray[Any] | None, other: npt.NDArray[Any] | None) -> bool:
    """Whether two arrays are the same bit by bit, or neither is there."""
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and one.dtype == other.dtype and one.tobytes() == other.tobytes()


def _read(files: tuple[bytes, ...], names: Mapping[str, Any]) -> Named:
    data, chosen = files[0], {role: names[role] for role in ROLES if names[role] is not None}
    _require_readable(data)
    if data.startswith(b"\x93NUMPY"):
        return {role: (read_npy(file), (chosen[role],)) for role, file in zip(chosen, files, strict=True)}
    if data.startswith(b"PK"):
        archive = _archive(data)
        if not chosen and {f"{name}.npy" for name in COORDINATES} <= set(archive.names):
            return _completion(*(read_npy(archive.read(f"{name}.npy")) for name in COORDINATES))
        roles = {"inputs": "X", "targets": "y"} | chosen
        return {role: (read_npy(archive.read(f"{name}.npy")), (name,)) for role, name in roles.items()}
    if data[8:9] == b"{":
        tensors = read_safetensors(data)
        return {role: (tensors[name], (name,)) for role, name in ({"inputs": "X", "targets": "y"} | chosen).items()}
    return _table(data.decode("utf-8-sig"), names)


def _require_readable(data: bytes) -> None:
    if data.startswith(b"PAR1"):
        refuse("data-file", "is Parquet, which this checker does not read; check with the same data as .npz or .csv")


def _archive(data: bytes) -> Archive:
    archive = Archive(data)
    require_arrays(archive)
    return archive


def _entries_of(files: tuple[bytes, ...], names: Mapping[str, Any], certificate: Certificate) -> Named:
    """Places, values and weights of entries: in coordinates, by name, or all of a full matrix or tensor."""
    term, data = certificate.problem.entries, files[0]
    _require_readable(data)
    shape = () if term is None else term.shape
    if data.startswith(b"PK"):
        archive = _archive(data)
        unnamed = names["inputs"] is None and names["targets"] is None
        if unnamed and {f"{n}.npy" for n in COORDINATES} <= set(archive.names):
            rows, cols, values, extents = (read_npy(archive.read(f"{name}.npy")) for name in COORDINATES)
            _require_coordinates(rows, cols, values, extents)
            fits = tuple(extents.tolist()) == shape
            require(fits, "data-link", f"a matrix of shape {extents.tolist()}, the factors {list(shape)}")
            found: Named = {"inputs": (np.stack([rows, cols], 1), ("rows", "cols")), "targets": (values, ("values",))}
            name = names["sample_weights"] or "weights"
            if names["sample_weights"] is not None or f"{name}.npy" in archive.names:
                found["sample_weights"] = read_npy(archive.read(f"{name}.npy")), (name,)
            return found
        there = [name.removesuffix(".npy") for name in archive.names]
        arrays = {name: read_npy(archive.read(f"{name}.npy")) for name in _named(names) if name in there}
    elif data[8:9] == b"{":
        arrays = {name: values for name, values in read_safetensors(data).items() if name in _named(names)}
    else:
        return _table(data.decode("utf-8-sig"), _triplet(data, names))
    return _chosen_entries(arrays, names, shape)


def _named(names: Mapping[str, Any]) -> list[str]:
    """Arrays that may be read: places have their usual name where nothing else is said."""
    others = (names["sample_weights"], names["mask"])
    return [name for name in (names["inputs"] or "X", names["targets"] or "y", *others) if name]


def _triplet(data: bytes, names: Mapping[str, Any]) -> Mapping[str, Any]:
    """Names of the columns, those that tables of ratings have where nothing is said."""
    if names["inputs"] is not None:
        return names
    rows = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
    titles = [title.strip() for title in next(rows, [])]
    known = next((triple for triple in TRIPLETS if set(triple) <= set(titles)), None)
    if known is None:
        raise ValueError("no columns of places and values by a name that is known")
    return {**names, "inputs": list(known[:2]), "targets": names["targets"] or known[2]}


def _chosen_entries(arrays: Found, names: Mapping[str, Any], shape: tuple[int, ...]) -> Named:
    target, weight, mask = names["targets"] or "y", names["sample_weights"], names["mask"]
    values = arrays[target]
    places = names["inputs"] or ("X" if values.shape != shape and "X" in arrays else None)
    if places is not None:
        require(mask is None, "data-link", "a mask beside places")
        found: Named = {"inputs": (arrays[places], (places,)), "targets": (values.reshape(-1), (target,))}
        return found | ({} if weight is None else {"sample_weights": (arrays[weight], (weight,))})
    require(values.shape == shape, "data-link", f"'{target}' has shape {values.shape}, the factors {shape}")
    seen = ~np.isnan(values) if values.dtype.kind == "f" else np.ones(values.shape, np.bool_)
    if mask is not None:
        fits = arrays[mask].shape == shape and bool(np.isin(arrays[mask], (0, 1)).all())
        require(fits, "data-link", "the mask is not 0 or 1 for each value")
        seen = seen & (arrays[mask] == 1)
    found = {"inputs": (np.argwhere(seen), (target,)), "targets": (values[seen], (target,))}
    return found | ({} if weight is None else {"sample_weights": (arrays[weight][seen], (weight,))})


def _completion(rows: Ints, cols: Ints, values: npt.NDArray[Any], shape: Ints) -> Named:
    _require_coordinates(rows, cols, values, shape)
    height, width = (int(extent) for extent in shape)
    if not (0 < height < 2**15 and 0 < width < 2**24):
        refuse("size-limit", f"a matrix of {height} by {width}")
    mask, targets = np.zeros((height, width)), np.full((height, width), np.nan)
    mask[rows, cols], targets[rows, cols] = 1, exact(values)
    require(int(mask.sum()) == rows.size and bool((rows >= 0).all() and (cols >= 0).all()), "data-link", "indices")
    return {"inputs": (np.eye(height), ("shape",)), "targets": (targets, ("values",)), "mask": (mask, ("rows", "cols"))}


def _require_coordinates(rows: Ints, cols: Ints, values: npt.NDArray[Any], shape: Ints) -> None:
    whole = all(array.dtype.kind in "iu" for array in (rows, cols, shape)) and rows.shape == cols.shape == values.shape
    if not whole or rows.ndim != 1:
        raise ValueError("indices that are no integers, or not one for each value")


def _table(text: str, names: Mapping[str, Any]) -> Named:
    header, *rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    titles = [title.strip() for title in header]
    require(len(set(titles)) == len(titles), "data-link", "two columns have the same name")
    cells = np.array([[_number(cell) for cell in row] for row in rows]).reshape(-1, len(titles))
    targets = _listed(names["targets"] or "y")
    weights = _listed(names["sample_weights"] or [])
    inputs = _listed(names["inputs"] or [t for t in titles if t not in targets + weights])
    found = {}
    for role, chosen in (("inputs", inputs), ("targets", targets), ("sample_weights", weights)):
        if chosen:
            found[role] = cells[:, [titles.index(name) for name in chosen]], tuple(chosen)
    if weights:
        found["sample_weights"] = found["sample_weights"][0][:, 0], tuple(weights)
    return found


def _number(cell: str) -> float:
    """A cell in decimal; integers are exact."""
    number = float(cell)
    if "_" in cell or not cell.isascii() or (INTEGER.fullmatch(cell) and int(number) != int(cell)):
        raise ValueError(f"{cell!r:.60} is no number that is exact in binary64")
    return number


def _listed(names: Any) -> list[str]:  # noqa: ANN401
    return [names] if isinstance(names, str) else list(names)


def _arranged(certificate: Certificate, arrays: Found) -> Found:
    """X, Y, sample weights and mask as a certificate holds them: matrices, class indices as unit vectors."""
    inputs, targets, c = arrays["inputs"], arrays["targets"], certificate.arrays["Y"].shape[1]
    flat, shape = inputs.reshape(len(inputs), -1), certificate.problem.inputs
    fits = inputs.shape[1:] in (shape, flat.shape[1:], ())
    require(fits, "data-link", f"samples of shape {inputs.shape[1:]}, stated are {shape}")
    indices = LOSSES[certificate.problem.loss.name].couples and (targets.ndim == 1 or targets.shape[1:] == (1,))
    if indices:
        classes = targets.reshape(-1)
        require(bool(np.isin(classes, np.arange(c)).all()), "data-link", f"class indices are not below {c}")
        targets = np.eye(c)[classes.astype(np.int64)]
    targets = targets.reshape(len(targets), -1)
    found: Found = {"X": flat, "Y": targets}
    if "mask" in arrays:
        mask = arrays["mask"].reshape(targets.shape)
        require(bool(np.isin(mask, (0, 1)).all()), "data-link", "the mask is not 0 or 1")
        # What the mask hides need not be a number; it is written as 1.
        found["Y"] = np.where((mask == 0) & ~np.isfinite(targets), 1.0, targets)
        found["mask"] = mask.astype(np.uint8)
    if "sample_weights" in arrays:
        found["sample_weights"] = arrays["sample_weights"]
    return found
