"""skops files of scikit-learn's perceptrons: the schema is read as data, and only arrays are unpacked.

Nothing is imported or built, so that the types in the file need no trust. Format: `skops.io.dump`, a zip archive with
`schema.json` and one `.npy` entry per array.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch

from certify.errors import RefusedError, UnsupportedError
from certify.models.readers.archive import Archive
from certify.models.readers.array_file import read_npy
from certify.models.readers.exact_weights import unfit_weight
from certify.models.readers.json_document import parse_json
from certify.models.readers.perceptron import CLASSES, MODULE, Perceptron, perceptron_of

SCHEMA = "schema.json"
# The versions of the format whose nodes this reader knows.
_PROTOCOLS = (1, 2)
_LISTS = ("coefs_", "intercepts_")
MISSHAPEN = (KeyError, TypeError, ValueError, AttributeError)
_ARRAY = ["NdArrayNode", "numpy", "numpy", "ndarray"]
# Most layers that are read.
_MAX_LAYERS = 1_000


def read_skops(archive: Archive) -> Perceptron:
    """The perceptron of a skops file.

    Raises:
        RefusedError: damaged, or of another version of the format.
        UsageError: an estimator that is not fitted.
        UnsupportedError: another estimator.
    """
    schema = parse_json(archive.document(SCHEMA), archive.where)
    try:
        _require_perceptron(schema, archive.where)
        fields = fields_of(schema, archive.where, _LISTS)
        values = {name: _value(node, name, archive) for name, node in fields.items()}
    except MISSHAPEN as error:
        raise RefusedError(
            f"{archive.where}: corrupt: its schema is not that of skops ({type(error).__name__})", code="corrupt-file"
        ) from error
    return perceptron_of(values, archive.where)


def fields_of(schema: Any, where: str, lists: Collection[str]) -> Mapping[str, Any]:  # noqa: ANN401
    """The attributes of the object that a schema describes, as nodes by name; lists are read node by node.

    Raises:
        RefusedError: another version of the format.
        MISSHAPEN: anything that is not as skops writes it.
    """
    if schema["protocol"] not in _PROTOCOLS:
        raise RefusedError(f"{where}: follows another version of skops' format", code="unsupported-schema")
    fields, kinds = schema["content"]["content"], schema["content"]["key_types"]
    read = _read_nodes(fields, lists)
    _require_identities(schema, [schema["content"], kinds, *kinds["content"], *read])
    # skops converts every name to its type.
    types = [(kind["__module__"], kind["__class__"]) for kind in kinds["content"]]
    if types != [("builtins", "str")] * len(fields):
        raise ValueError("key_types")
    found: Mapping[str, Any] = fields
    return found


def _require_perceptron(schema: Any, where: str) -> None:  # noqa: ANN401
    kind, module = str(schema["__class__"]), str(schema["__module__"])
    if kind in CLASSES and module == MODULE and schema["__loader__"] == "ObjectNode":
        return
    shown = "".join(c for c in kind if c.isprintable())[:60]
    remedy = "save its last step alone, and transform the data before" if kind == "Pipeline" else "certify reads these"
    if module.startswith("sklearn.decomposition."):
        remedy = "certify check FILE --data X.npz reads it with the table X that it was fitted to"
    raise UnsupportedError(
        f"{where}: holds a {shown}, not an MLPRegressor or MLPClassifier; {remedy}", code="unsupported-format"
    )


def _read_nodes(fields: Any, lists: Collection[str]) -> Iterator[Any]:  # noqa: ANN401
    """Settings, lists of arrays, and arrays."""
    for name, node in fields.items():
        yield node
        if name in lists:
            yield from node["content"]


def _require_identities(schema: Any, nodes: list[Any]) -> None:  # noqa: ANN401
    """For every node of one `__id__`, skops takes the first; these have no other ones of theirs."""
    found, pending = defaultdict(list), [schema]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            found[part.get("__id__")].append(part)
        if isinstance(part, dict | list):
            pending.extend(part.values() if isinstance(part, dict) else part)
    found.pop(None, None)
    for node in nodes:
        if any(twin != node for twin in found.pop(node.get("__id__"), [])):
            raise ValueError("__id__")


def _value(node: Any, name: str, archive: Archive) -> Any:  # noqa: ANN401
    """A setting or a list of arrays; None for what is not needed."""
    if name in _LISTS:
        entries = node["content"]
        if node["__loader__"] != "ListNode" or len(entries) > _MAX_LAYERS:
            raise ValueError(name)
        return [array_of_node(entry, f"{name}.{index}", archive) for index, entry in enumerate(entries)]
    return setting_of_node(node, archive.where)


def setting_of_node(node: Any, where: str) -> Any:  # noqa: ANN401
    """A number, a text, a list of these, or None; None for what is none of them."""
    if isinstance(node, dict) and node.get("__loader__") == "JsonNode":
        return parse_json(str(node["content"]).encode(), where)
    return None


def array_of_node(node: Any, name: str, archive: Archive) -> torch.Tensor:  # noqa: ANN401
    """The array of a node; floating point numbers."""
    # skops converts an array to what its class says.
    if [node[key] for key in ("__loader__", "type", "__module__", "__class__")] != _ARRAY:
        raise ValueError(name)
    content = archive.read(str(node["file"]))
    array = read_npy(io.BytesIO(content), len(content), f"{archive.where}: array '{name}'")
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise unfit_weight(str(array.dtype), name, archive.where)
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))
