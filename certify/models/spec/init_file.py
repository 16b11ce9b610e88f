"""Draft a problem file from what a checkpoint, and perhaps a data file, show."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import torch

from certify.models.data.data_file import data_shapes
from certify.models.data.entry_arrays import TRIPLETS
from certify.models.inspect import Inspection, LayerRow, inspect_model
from certify.models.lowering.factor_suggestion import suggested_factorization
from certify.models.readers.coordinate_matrix import KEYS
from certify.models.spec.problem_file import SCHEMA, problem_file_beside
from certify.problem import FACTORIZATIONS, LOSSES

INPUT_NAMES = ("X", "x", "inputs", "features", "data", "X_train", "x_train")
TARGET_NAMES = ("y", "Y", "targets", "target", "labels", "label", "y_train")
# Formats that hold weights and no layers.
WEIGHTS_ALONE = ("pt", "safetensors", "ckpt", "npz")

_FAMILIES = tuple(kind.name for kind in FACTORIZATIONS.values())
_PLAIN = re.compile(r"[A-Za-z_][\w./-]*\Z")
_TYPED = {"null", "true", "false"}


def draft_problem_file(model: str | Path, data: str | Path | None = None) -> str:
    """The text of a problem file to stand beside the model.

    Args:
        model: path of the model file.
        data: path of the data file, if known.

    Raises:
        UsageError: a missing file.
        RefusedError: unsafe, corrupt or non-finite content.
    """
    found = inspect_model(model)
    folder = problem_file_beside(model).parent
    lines = [
        "# Problem file of `certify`: what is minimized, and how close to the global optimum is close enough.",
        "# Lines marked CHANGE hold a guess that the checkpoint cannot show.",
        f"schema: {SCHEMA}",
        "model:",
        f"  path: {_scalar(Path(model).name)}",
        *_layer_lines(found),
        *_data_lines(data, folder, found),
        f"loss: {{name: mse, reduction: mean, scale: 1.0}}   # CHANGE: {', '.join(LOSSES)}",
        "penalty: {weight_decay: 1.0e-3}   # CHANGE: the weight_decay given to torch.optim.SGD or Adam (not AdamW)",
        *_bias_lines(found),
        "tolerance: {relative_gap: 1.0e-3, absolute_gap: 0.0}",
        "budget: {seconds: 60}",
    ]
    return "\n".join(lines) + "\n"


def _layer_lines(found: Inspection) -> list[str]:
    if found.format not in WEIGHTS_ALONE:
        return []
    blank = {name: torch.empty(shape, device="meta") for name, shape in found.parameters.items()}
    factorization = None if found.layers else suggested_factorization(blank)
    if factorization is not None:
        return [f"  layers: [{factorization}]   # CHANGE if wrong: which arrays are factors and biases"]
    rows = [_entry_of(row) for row in found.layers if row.op != "add"]
    if rows:
        assumed = [note for note in found.notes if note.startswith("assumed")]
        comment = [f"  # CHANGE if wrong; {note}" for note in assumed]
    else:
        names = [name.removesuffix(".weight") for name in found.parameters if name.endswith(".weight")] or ["NAME"]
        rows = [("linear", _scalar(name)) for name in names]
        comment = ["  # CHANGE: list the layers in the order in which they run, with relu, abs or square between them"]
    entries = [f"    - {op}: {value}" if value else f"    - {op}" for op, value in rows]
    return [
        *comment,
        "  layers:   # linear, relu, leaky_relu: SLOPE, abs, square; skip: NAME for a linear layer beside them",
        *entries,
    ]


def _entry_of(row: LayerRow) -> tuple[str, str]:
    """A layer as an entry of the list, and what stands after its colon."""
    if row.op == "scale":
        return row.op, row.remark.removeprefix("× ")
    op = "frozen" if row.remark == "frozen" else row.op
    return op, _scalar(row.name) if row.shapes else ""


def _entry_data(shapes: dict[str, tuple[int, ...]], path: str, found: Inspection) -> str | None:
    """Data of a factorization: ratings, a matrix in coordinates, places with values, or all targets."""
    triple = next((names for names in TRIPLETS if set(names) <= set(shapes)), None)
    if triple is not None and not any(shapes.values()):
        return f"data: {{path: {path}}}   # columns {', '.join(triple)}: places and values"
    targets = _guess(TARGET_NAMES, shapes)
    places = shapes.get("X", ())
    if len(places) == 2 and shapes.get(targets, ())[:1] == places[:1] and len(shapes.get(targets, ())) == 1:
        return f"data: {{path: {path}, inputs: X, targets: {_scalar(targets)}}}   # a row of places for each value"
    extents = {shape[0] for shape in found.parameters.values() if shape}
    whole = [name for name, shape in shapes.items() if len(shape) == 2 and set(shape) <= extents]
    alike = [name for name in whole if name != targets and shapes[name] == shapes.get(targets)]
    if alike:
        weights = alike[0]
        return (
            f"data: {{path: {path}, targets: {targets}, sample_weights: {weights}}}   # CHANGE: a weight for each entry"
        )
    return (
        f"data: {{path: {path}, targets: {targets}}}   # the whole matrix, NaN where nothing is known"
        if whole
        else None
    )


def _data_lines(data: str | Path | None, folder: Path, found: Inspection) -> list[str]:
    entries = "factorization" in "".join(_layer_lines(found)) or found.family in _FAMILIES
    if data is None and entries:
        return [
            "data: {path: ratings.csv}   # CHANGE: .csv with user, item, rating; .npz with rows, cols, values, shape"
        ]
    if data is None:
        return ["data: {path: train.npz, inputs: X, targets: y}   # CHANGE: .npz, .safetensors or .csv"]
    shapes = data_shapes(Path(data))
    path = _scalar(os.path.relpath(data, folder))
    if list(shapes) == [str(data)]:
        return [f"data: {{inputs: {path}, targets: y.npy}}   # CHANGE: the .npy file of the targets"]
    known = ", ".join(f"{name} {shape}" if shape else name for name, shape in list(shapes.items())[:20])
    if set(KEYS) <= set(shapes):
        return [f"data: {{path: {path}}}   # a matrix to complete, by its observed entries"]
    if entries and (line := _entry_data(shapes, path, found)) is not None:
        return [line]
    targets = _guess(TARGET_NAMES, shapes)
    comment = [f"# {_one_line(Path(data).name)} holds: {_one_line(known)}"]
    if not any(shapes.values()):
        return [*comment, f"data: {{path: {path}, targets: {_scalar(targets)}}}   # inputs: all other columns"]
    inputs = _guess(INPUT_NAMES, shapes)
    return [*comment, f"data: {{path: {path}, inputs: {_scalar(inputs)}, targets: {_scalar(targets)}}}"]


def _bias_lines(found: Inspection) -> list[str]:
    if found.family in _FAMILIES or (found.family is None and "factorization" in "".join(_layer_lines(found))):
        return [
            "# biases: {output: free}   # where weight decay does not reach the biases",
            "# loss: {name: mse, reduction: sum, unobserved_weight: 1.0}   # where what is not in the data counts as 0",
        ]
    if found.family is None:
        return ["# biases: {hidden: penalized, output: penalized}   # penalized, free or absent"]
    if not found.subnetworks:
        policy = "penalized" if len(found.penalized) > 1 else "absent"
        return [f"biases: {{output: {policy}}}   # penalized, free or absent"]
    own = {name for row in found.subnetworks for name in row.weights}
    skip = {name for row in found.layers if row.op == "skip" for name in row.shapes}
    # A subnetwork has two weights, and its bias where there is one; a bias beside it is that of the outputs.
    present = {
        "hidden": any(len(row.weights) > 2 for row in found.subnetworks),
        "output": bool(set(found.penalized) - own - skip),
    }
    policy = ", ".join(f"{role}: {'penalized' if is_there else 'absent'}" for role, is_there in present.items())
    return [
        "# penalized: weight decay reaches the bias too, as in torch; free: it does not; absent: there is none.",
        f"biases: {{{policy}}}",
    ]


def _guess(usual: Iterable[str], found: dict[str, tuple[int, ...]]) -> str:
    return next((name for name in usual if name in found), next(iter(usual)))


def _one_line(text: str) -> str:
    """Text with escapes of YAML's double quotes in place of what is not printable."""
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)


def _scalar(text: str) -> str:
    """Text as a YAML scalar that reads back as the same text."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return text if _PLAIN.match(text) and text.lower() not in _TYPED else f'"{_one_line(escaped)}"'
