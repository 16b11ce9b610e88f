"""Tensors as exact float64: dense, real, finite and each under one name only."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from certify.errors import RefusedError, UnsupportedError
from certify.models.readers.input_file import require_bytes

# The longest name of a parameter, in characters.
MAX_NAME = 1_000
# Every float of these types is a float64, so that conversion is exact.
EXACT_TYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def exact_parameters(found: Mapping[str, Tensor], where: str) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors as float64, and notes on what was converted.

    Raises:
        RefusedError: a tensor that is not dense, real, floating point and finite.
        UnsupportedError: two names share one tensor.
    """
    for name, tensor in found.items():
        if (sort := _unfit(tensor)) is not None:
            raise unfit_weight(sort, name, where)
    require_bytes(sum(8 * tensor.numel() for tensor in found.values()), where)
    _require_untied(found, where)
    exact = {name: tensor.detach().to("cpu", torch.float64, copy=True).contiguous() for name, tensor in found.items()}
    for name, tensor in exact.items():
        require_finite(tensor, f"{where}: parameter '{name}' has")
    narrow = sorted({str(t.dtype).removeprefix("torch.") for t in found.values() if t.dtype != torch.float64})
    note = f"weights stored as {', '.join(narrow)}, converted exactly to float64"
    return exact, (note,) if narrow else ()


def digest_of(parameters: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, shapes and float64 values."""
    digest = hashlib.sha256()
    for name, tensor in parameters.items():
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode(errors="surrogatepass"))
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def require_plain_names(names: Iterable[str], where: str) -> None:
    """Refuse names that would break a line of a report.

    Raises:
        RefusedError: a name with control characters, or longer than `MAX_NAME`.
    """
    for name in names:
        if not name.isprintable() or len(name) > MAX_NAME:
            raise RefusedError(
                f"{where}: corrupt: a parameter's name has control characters or over {MAX_NAME} characters",
                code="corrupt-file",
            )


def require_finite(tensor: Tensor, subject: str) -> None:
    """Refuse values that are not finite; `subject` and a verb open the message.

    Raises:
        RefusedError: says how many there are, and where the first is.
    """
    wrong = ~torch.isfinite(tensor)
    if bool(wrong.any()):
        first = tuple(wrong.nonzero()[0].tolist())
        raise RefusedError(
            f"{subject} {int(wrong.sum())} non-finite of {tensor.numel()} values, the first at index {first}",
            code="non-finite",
        )


def unfit_weight(sort: str, name: str, where: str) -> RefusedError:
    """The error for a tensor that is no weight: `sort` completes the sentence `parameter 'x' is …`."""
    return RefusedError(
        f"{where}: parameter '{name}' is {sort}; weights must be dense float16, bfloat16, float32 or float64",
        code="weight-type",
    )


def _unfit(tensor: Tensor) -> str | None:
    if torch.nn.parameter.is_lazy(tensor):
        return "not initialized (a lazy layer that has not run)"
    if tensor.layout != torch.strided or tensor.is_nested:
        return "sparse or nested"
    if tensor.is_quantized:
        return "quantized"
    if tensor.is_meta:
        return "a meta tensor without values"
    if tensor.dtype not in EXACT_TYPES:
        return str(tensor.dtype).removeprefix("torch.")
    return None


def _require_untied(found: Mapping[str, Tensor], where: str) -> None:
    places = defaultdict(list)
    for name, tensor in found.items():
        if tensor.numel():
            places[tensor.data_ptr()].append(name)
    for names in places.values():
        if len(names) > 1:
            raise UnsupportedError(
                f"{where}: parameters '{names[0]}' and '{names[1]}' share one tensor; tied weights are another "
                "problem (weight decay counts them once). If they are not tied, save clones",
                code="tied-weights",
            )
