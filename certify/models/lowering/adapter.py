"""Low-rank adapters: a frozen layer W_0 plus (α/r) B A, with α and r in the file `adapter_config.json` beside (PEFT).

Source: Hu et al. 2022, LoRA; α/√r where `use_rslora` is set (Kalajdzievski 2023).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from certify.errors import UnsupportedError, UsageError
from certify.models.readers.input_file import open_input
from certify.models.readers.json_document import parse_json
from certify.models.readers.weight_file import WeightFile
from certify.models.spec.layer_list import LayerEntry

CONFIG = "adapter_config.json"
# Largest configuration that is read, in bytes.
_MOST_BYTES = 2**20
_FIRST = re.compile(r"(?P<layer>.*)\.lora_A(?P<adapter>(\.\w+)?)\.weight")
_BASE = "base_layer"


def adapter_entries(weights: WeightFile) -> tuple[tuple[LayerEntry, ...], tuple[str, ...]] | None:
    """The layers that an adapter of one layer is, and where their factor comes from; None for any other file.

    Raises:
        UsageError: adapters of several layers, or no configuration to tell the factor.
        UnsupportedError: an adapter that is no product of two matrices.
    """
    found = [match for name in weights.parameters if (match := _FIRST.fullmatch(name))]
    if not found:
        return None
    where = str(weights.path or "model")
    if len(found) > 1:
        raise UsageError(
            f"{where}: holds adapters of {len(found)} layers ({found[0]['layer']}, …), each a product of two matrices "
            "on the inputs of its own layer; save one of them, with those inputs and its targets as data",
            code="layers-needed",
        )
    layer, adapter = found[0]["layer"], found[0]["adapter"]
    names = [f"{layer}.lora_{side}{adapter}" for side in "AB"]
    config = _config(weights)
    if config is None:
        raise UsageError(
            f"{where}: a low-rank adapter is scaled by alpha/r, which {CONFIG} beside it would tell; it is not there. "
            f"Write model.layers as [{{linear: {names[0]}}}, {{linear: {names[1]}}}, {{scale: ALPHA/R}}], a number",
            code="layers-needed",
        )
    factor, said = _factor(config, where, rank=len(weights.parameters[f"{names[0]}.weight"]))
    entries = [*(LayerEntry("linear", name) for name in names), LayerEntry("scale", None, (("factor", factor),))]
    base = f"{layer}.{_BASE}"
    if f"{base}.weight" in weights.parameters:
        entries.append(LayerEntry("frozen", base))
    return tuple(entries), (said,)


def unscaled_note(weights: WeightFile, entries: Sequence[LayerEntry]) -> tuple[str, ...]:
    """A note where layers are listed without the factor that the configuration has."""
    adapted = any(entry.name is not None and ".lora_A" in f".{entry.name}" for entry in entries)
    if not adapted or any(entry.op == "scale" for entry in entries) or (config := _config(weights)) is None:
        return ()
    factor, said = _factor(config, str(weights.path), None)
    return () if factor == 1 else (f"model.layers leaves out the adapter's factor ({said}); add {{scale: {factor:g}}}",)


def _config(weights: WeightFile) -> dict[str, Any] | None:
    path = None if weights.path is None else weights.path.parent / CONFIG
    if path is None or not path.is_file():
        return None
    with open_input(Path(path), "adapter's configuration", _MOST_BYTES) as file:
        found = parse_json(file.stream.read(), str(path))
    if not isinstance(found, dict):
        raise UsageError(f"{path}: not the configuration of an adapter", code="layers-needed")
    return found


def _factor(config: dict[str, Any], where: str, rank: int | None) -> tuple[float, str]:
    """α/r, or α/√r, and how it came about."""
    alpha: Any = config.get("lora_alpha")
    r: Any = config.get("r")
    if config.get("use_dora") or config.get("peft_type", "LORA") != "LORA":
        kind = "DoRA" if config.get("use_dora") else str(config.get("peft_type"))[:40]
        raise UnsupportedError(
            f"{where}: {CONFIG} says {kind}, whose layers are no product of two matrices",
            code="unsupported-architecture",
        )
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (alpha, r))
    own = bool(config.get("rank_pattern") or config.get("alpha_pattern"))
    if not numbers or own or not r > 0 or (rank is not None and rank != r):
        raise UsageError(
            f"{where}: {CONFIG} does not tell the factor: lora_alpha {alpha!r}, r {r!r}"
            + (f", for {rank} rows of lora_A" if rank is not None else "")
            + (", and patterns of layers with their own" if own else "")
            + "; write model.layers with {scale: FACTOR} at the end",
            code="layers-needed",
        )
    root = bool(config.get("use_rslora"))
    factor = alpha / math.sqrt(r) if root else alpha / r
    return factor, f"scale {factor:g} = lora_alpha {alpha:g} / {'√' if root else ''}r {r:g} of {CONFIG}"
