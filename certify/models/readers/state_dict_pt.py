"""Torch files: a state dict, read with torch's weights-only unpickler, which runs no code from the file."""

from __future__ import annotations

import pickle
import re
import struct
import warnings
import zipfile
import zlib
from typing import Any

import torch
from torch import Tensor

from certify.errors import RefusedError
from certify.models.input_file import InputFile, require_bytes

# What zipfile and torch.load raise on damaged or hostile bytes; found by truncating and flipping files.
DAMAGE = (
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    RuntimeError,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    MemoryError,
    ImportError,
    OSError,
)
# Keys under which training scripts nest the weights.
NESTS = ("state_dict", "model_state_dict", "model")
# How torch's files before the zip format open: a pickled magic number.
_LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_WANTED = re.compile(r"GLOBAL ([\w.]+)")


def looks_like_torch(file: InputFile) -> bool:
    """Whether the content is a zip archive or a pickle."""
    return file.head.startswith((b"PK\x03\x04", b"\x80"))


def read_state_dict(file: InputFile) -> dict[str, Tensor]:
    """Tensors by name.

    Raises:
        RefusedError: corrupt, holds more than tensors by name, or needs code to load.
    """
    if file.head.startswith(b"PK"):
        _inspect_archive(file)
    elif not file.head.startswith(_LEGACY_MAGIC) and not _LEGACY_MAGIC.startswith(file.head):
        raise RefusedError(f"{file.path}: a pickle, which may run code, not a torch file. {_remedy()}", "unsafe-file")
    return _tensors(_load(file), file)


def _inspect_archive(file: InputFile) -> None:
    """Refuse archives that unpack to too much, or that are no state dict."""
    try:
        with zipfile.ZipFile(file.stream) as archive:
            members = archive.infolist()
    except DAMAGE as error:
        raise RefusedError(f"{file.path}: truncated or corrupt torch file", code="corrupt-file") from error
    require_bytes(sum(member.file_size for member in members), str(file.path))
    names = [member.filename.rpartition("/")[2] for member in members]
    if "constants.pkl" in names:
        raise RefusedError(f"{file.path}: a TorchScript archive holds code. {_remedy()}", code="unsafe-file")
    if any(name.endswith(".npy") for name in names):
        raise RefusedError(f"{file.path}: a NumPy archive, not a model. {_remedy()}", code="not-a-state-dict")
    file.stream.seek(0)


def _load(file: InputFile) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded: object = torch.load(file.stream, map_location="cpu", weights_only=True)
    except DAMAGE as error:
        wanted = _wanted(str(error))
        if wanted:
            raise RefusedError(
                f"{file.path}: loading would run pickled code ({wanted}), which is refused. {_remedy()}",
                code="unsafe-file",
            ) from error
        raise RefusedError(f"{file.path}: truncated or corrupt torch file. {_remedy()}", code="corrupt-file") from error
    return loaded


def _wanted(message: str) -> str | None:
    """The class or function that the unpickler refused, if that is what the message is about."""
    found = _WANTED.search(message) if "Weights only load failed" in message else None
    return found.group(1) if found else None


def _tensors(loaded: Any, file: InputFile) -> dict[str, Tensor]:  # noqa: ANN401
    if isinstance(loaded, Tensor) or not isinstance(loaded, dict):
        raise RefusedError(
            f"{file.path}: holds a {type(loaded).__name__}, not tensors by name. {_remedy()}", code="not-a-state-dict"
        )
    for name, value in loaded.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            shown = f"'{name:.60}'" if isinstance(name, str) else f"under a {type(name).__name__}"
            raise RefusedError(
                f"{file.path}: entry {shown} is a {type(value).__name__}, not a tensor by name. "
                + _remedy(next((nest for nest in NESTS if isinstance(loaded.get(nest), dict)), None)),
                code="not-a-state-dict",
            )
    return dict(loaded)


def _remedy(nest: str | None = None) -> str:
    if nest is not None:
        return f"Save the weights alone: torch.save(checkpoint['{nest}'], path)"
    return "Save the weights alone: torch.save(model.state_dict(), path)"
