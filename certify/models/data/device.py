"""The device that work runs on, by name."""

from __future__ import annotations

import torch

from certify.errors import UsageError


def find_device(name: str) -> torch.device:
    """The device `cpu`, `cuda`, `cuda:i`, or `auto` for cuda where there is one.

    Raises:
        UsageError: unknown, not there, or without float64.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise UsageError(f"unknown device '{name}'; use auto, cpu, cuda or cuda:i", code="device") from error
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"device '{name}' has no float64; use auto, cpu, cuda or cuda:i", code="device")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"device '{name}' is not there ({torch.cuda.device_count()} CUDA devices found)", code="device"
        )
    return device
