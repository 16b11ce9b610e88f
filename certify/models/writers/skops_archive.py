"""An estimator of scikit-learn with other weights, as a skops file: that which was read, its arrays replaced.

Nothing is imported or built: classes, labels and settings stay as they are in the file; what `fit` keeps for going on
with the old weights (the optimizer, and copies of the best weights) is left out.
"""

from __future__ import annotations

import io
import itertools
import json
import zipfile
from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

from certify.errors import RefusedError, UsageError
from certify.models.graph.layers import LayerGraph
from certify.models.readers.archive import Archive, open_archive
from certify.models.readers.input_file import open_input
from certify.models.readers.json_document import parse_json
from certify.models.readers.skops_file import SCHEMA

_T = TypeVar("_T")
_OF_FIT = ("_optimizer", "_best_coefs", "_best_intercepts", "_coef_indptr", "_intercept_indptr")


def skops_bytes(graph: LayerGraph) -> bytes:
    """The file.

    Args:
        graph: parameters `coefs_.0`, `intercepts_.0`, …; `path` is the file of the estimator.

    Raises:
        UsageError: the file of the estimator is gone, or has changed since it was read.
        RefusedError: it is damaged.
    """
    if graph.path is None:
        raise UsageError(f"{graph.label}: there is no .skops file to take the estimator from", code="unwritable")
    with open_input(graph.path, "model file") as file:
        archive = open_archive(file)
        if file.sha256 != graph.sha256:
            raise UsageError(
                f"{graph.path}: has changed since it was read; its estimator is needed to write another",
                code="unwritable",
            )
        schema = parse_json(archive.document(SCHEMA), archive.where)
        try:
            return _archive(archive, schema, _replaced(schema, graph))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RefusedError(
                f"{archive.where}: corrupt: its schema is not that of skops ({type(error).__name__})",
                code="corrupt-file",
            ) from error


def _replaced(schema: Any, graph: LayerGraph) -> dict[str, bytes]:  # noqa: ANN401
    """Put the weights of `graph` into the schema; returns the new entries by name."""
    fields, fresh = schema["content"]["content"], _unused(schema)
    for name in _OF_FIT:
        fields.pop(name, None)
    schema["content"]["key_types"]["content"] = schema["content"]["key_types"]["content"][: len(fields)]
    arrays = {}
    for name, tensor in graph.parameters.items():
        key, _, index = name.partition(".")
        entry = f"{next(fresh)}.npy"
        node = {key: value for key, value in fields[key]["content"][int(index)].items() if key != "content"}
        fields[key]["content"][int(index)] = node | {"file": entry, "__id__": next(fresh)}
        # scikit-learn keeps (inputs, outputs).
        arrays[entry] = _npy(tensor.T if tensor.ndim == 2 else tensor)
    biases = (graph.parameters[f"intercepts_.{index}"] for index in range(len(fields["intercepts_"]["content"]) - 1))
    number = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "is_json": True}
    fields["hidden_layer_sizes"] = {
        "__class__": "tuple",
        "__module__": "builtins",
        "__loader__": "TupleNode",
        "content": [number | {"content": str(len(bias)), "__id__": next(fresh)} for bias in biases],
        "__id__": next(fresh),
    }
    return arrays


def _unused(node: Any) -> Iterator[int]:  # noqa: ANN401
    """Numbers that no node of the schema has."""
    return itertools.count(1 + max(_named(node, "__id__", int), default=0))


def _named(node: Any, key: str, kind: type[_T]) -> Iterator[_T]:  # noqa: ANN401
    """What the schema, at any depth, has under a key, if it is of a kind."""
    if isinstance(node, dict):
        if isinstance(node.get(key), kind):
            yield node[key]
        node = list(node.values())
    for value in node if isinstance(node, list) else ():
        yield from _named(value, key, kind)


def _npy(tensor: Tensor) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(tensor.cpu().numpy()), allow_pickle=False)
    return stream.getvalue()


def _archive(source: Archive, schema: Any, arrays: dict[str, bytes]) -> bytes:  # noqa: ANN401
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as target:
        # The entries that the schema names.
        for name in sorted(set(_named(schema, "file", str))):
            target.writestr(zipfile.ZipInfo(name), arrays[name] if name in arrays else source.read(name))
        target.writestr(zipfile.ZipInfo(SCHEMA), json.dumps(schema, indent=2))
    return stream.getvalue()
