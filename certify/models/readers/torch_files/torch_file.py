"""Torch files, `.pt`, `.pth` and Lightning's `.ckpt`: tensors by name, or a whole module of layers that torch knows.

The pickle inside is read as data (see `pickle_data`): nothing in it is imported, called or built.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import final

from torch import Tensor

from certify.errors import RefusedError
from certify.models.readers.archive import Archive
from certify.models.readers.exact_weights import require_plain_names
from certify.models.readers.formats import Format
from certify.models.readers.input_file import InputFile
from certify.models.readers.torch_files.module_tree import ModuleNode, is_module, pickled_module
from certify.models.readers.torch_files.pickle_data import Pickle
from certify.models.readers.torch_files.pickle_values import Call, Global
from certify.models.readers.torch_files.torch_storages import LEGACY_MAGIC, legacy_content, zip_content
from certify.models.readers.torch_files.torch_tensors import (
    STORAGES,
    TENSOR_CALLS,
    Storages,
    StoredTensor,
    is_tensor,
    read_tensors,
    stored_tensor,
)

ReadTensors = Callable[[Mapping[str, StoredTensor], Storages, str], dict[str, Tensor]]

# Keys under which training scripts nest the weights, or the module.
NESTS = ("state_dict", "model_state_dict", "model")
# The entry that only archives of TorchScript have.
_SCRIPT = "constants.pkl"
# What files of tensors, numbers and settings import; none of it is imported here.
_KNOWN = (
    TENSOR_CALLS
    | set(STORAGES)
    | {"torch.storage.UntypedStorage", "torch.Size", "torch.device", "torch.Tensor", "torch.nn.parameter.Parameter"}
    | {f"collections.{name}" for name in ("OrderedDict", "defaultdict", "Counter", "deque")}
    | {
        f"{module}.{name}"
        for module in ("builtins", "__builtin__")
        for name in ("set", "frozenset", "bytearray", "complex", "dict", "list", "tuple", "int", "float", "str", "bool")
    }
    | {f"pathlib.{name}" for name in ("Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")}
    | {"argparse.Namespace", "_codecs.encode", "numpy.dtype", "numpy.ndarray"}
    | {f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")}
)
_KNOWN_FAMILIES = re.compile(r"torch\.nn\.modules\.\w+\.\w+$|torch\.(u?int|b?float|complex|bool)\w*$")


@final
@dataclass(frozen=True, slots=True)
class TorchContent:
    """What a torch file holds.

    Attributes:
        tensors: parameters (and, of a state dict, buffers) by name.
        module: the module tree, or None for tensors alone.
        format: `pt`, `ckpt` or `module`.
        notes: what was left aside.
    """

    tensors: Mapping[str, Tensor]
    module: ModuleNode | None
    format: Format
    notes: tuple[str, ...]


def looks_like_torch_zip(members: Collection[str]) -> bool:
    """Whether an archive with these entries is one of torch's, TorchScript included, and no archive of NumPy."""
    named = any(name.rpartition("/")[2] in ("data.pkl", _SCRIPT) for name in members)
    return named and not any(name.endswith(".npy") for name in members)


def read_torch_zip(archive: Archive, read: ReadTensors = read_tensors) -> TorchContent:
    """What a zip archive of torch holds.

    Args:
        archive: the archive.
        read: makes tensors of what is stored: `read_tensors`, or `tensor_shapes` where values do not matter.

    Raises:
        RefusedError: damaged, holds code, or neither tensors by name nor a module of known layers.
    """
    if any(name.rpartition("/")[2] == _SCRIPT for name in archive.members):
        raise RefusedError(f"{archive.where}: a TorchScript archive holds code. {_remedy()}", code="unsafe-file")
    return _content(*zip_content(archive), archive.where, read)


def read_torch_legacy(file: InputFile) -> TorchContent:
    """What a torch file before the zip format holds.

    Raises:
        RefusedError: as `read_torch_zip`.
    """
    if not file.head.startswith(LEGACY_MAGIC) and not LEGACY_MAGIC.startswith(file.head):
        raise RefusedError(f"{file.path}: a pickle, which may run code, not a torch file. {_remedy()}", "unsafe-file")
    return _content(*legacy_content(file), str(file.path), read_tensors)


def _content(pickle: Pickle, storages: Storages, where: str, read: ReadTensors) -> TorchContent:
    _require_known(pickle, where)
    value: object = pickle.value
    notes: tuple[str, ...] = ()
    source: Format = "pt"
    items = entries(value)
    if items is not None and (nest := _nest(items, where)) is not None:
        source = "ckpt"
        others = [f"'{_shown(key, 40)}'" for key in items if isinstance(key, str) and key != nest]
        notes = (f"weights read from '{nest}'; left aside: {_some(others)}",) if others else ()
        value = items[nest]
    module = pickled_module(value, where) if is_module(value) else None
    found = _named_tensors(value, where) if module is None else dict(module.all_tensors())
    require_plain_names(found, where)
    stored = {name: stored_tensor(tensor, name, where) for name, tensor in found.items()}
    return TorchContent(read(stored, storages, where), module, source if module is None else "module", notes)


def entries(value: object) -> Mapping[str | int, object] | None:
    """Items of a dict, ordered or not; None for what is no dict."""
    if isinstance(value, dict):
        return value
    if isinstance(value, Call) and value.callee == Global("collections.OrderedDict") and not value.arguments:
        return value.items
    return None


def _require_known(pickle: Pickle, where: str) -> None:
    for path in (*pickle.called, *pickle.imported):
        if path not in _KNOWN and not _KNOWN_FAMILIES.match(path):
            shown = _shown(path, 80)
            if path in pickle.called:
                message = f"loading would run pickled code ({shown}), which is refused"
            else:
                message = f"loading would import {shown}, which is refused"
            raise RefusedError(f"{where}: {message}. {_remedy()}", code="unsafe-file")


def _nest(items: Mapping[str | int, object], where: str) -> str | None:
    """The key under which the weights lie, None where they lie at the top."""
    if items and all(is_tensor(value) for value in items.values()):
        return None
    nests = [key for key in NESTS if key in items and (entries(items[key]) or is_module(items[key]))]
    if len(nests) > 1:
        shown = " and ".join(f"'{nest}'" for nest in nests)
        raise RefusedError(f"{where}: holds weights under {shown}. {_remedy(nests[0])}", code="not-a-state-dict")
    return nests[0] if nests else None


def _named_tensors(value: object, where: str) -> dict[str, object]:
    items = entries(value)
    if items is None:
        raise RefusedError(f"{where}: holds a {_kind(value)}, not tensors by name. {_remedy()}", "not-a-state-dict")
    named = {}
    for name, tensor in items.items():
        if not isinstance(name, str) or not is_tensor(tensor):
            shown = f"'{_shown(name, 60)}'" if isinstance(name, str) else f"under a {type(name).__name__}"
            raise RefusedError(
                f"{where}: entry {shown} is a {_kind(tensor)}, not a tensor by name. {_remedy()}",
                code="not-a-state-dict",
            )
        named[name] = tensor
    return named


def _kind(value: object) -> str:
    if is_tensor(value):
        return "Tensor"
    if isinstance(value, Call) and isinstance(value.callee, Global):
        return _shown(value.callee.path.rpartition(".")[2], 60)
    return type(value).__name__


def _shown(text: str, length: int) -> str:
    return "".join(c for c in text if c.isprintable())[:length]


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _remedy(nest: str | None = None) -> str:
    if nest is not None:
        return f"Save the weights alone: torch.save(checkpoint['{nest}'], path)"
    return (
        "Save the weights alone: torch.save(model.state_dict(), path); or weights and layers: "
        "torch.export.save(torch.export.export(model, (inputs,)), path)"
    )
