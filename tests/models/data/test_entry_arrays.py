"""Entries of a full matrix: what a mask may hold, and types that NumPy does not know."""

import numpy as np
import pytest
import safetensors.torch
import torch

from certify.errors import UsageError
from certify.models.data.data_file import load_arrays
from certify.models.spec.problem_sections import DataSpec

VALUES = np.arange(6.0).reshape(2, 3)


def loaded(path, **names):
    return load_arrays(DataSpec(path=path, targets="y", **names), (2, 3))


@pytest.mark.parametrize("kind", [bool, np.uint8, np.float64])
def test_a_mask_leaves_entries_out(tmp_path, kind):
    seen = np.array([[1, 0, 1], [0, 1, 0]])
    np.savez(tmp_path / "t.npz", y=VALUES, seen=seen.astype(kind))
    found = loaded(tmp_path / "t.npz", mask="seen")
    assert found.inputs.tolist() == [[0, 0], [0, 2], [1, 1]]
    assert found.targets.tolist() == [0, 2, 4]


@pytest.mark.parametrize("mask", [1 + VALUES, np.full((2, 3), np.nan), np.ones(3), np.ones((3, 2))])
def test_what_is_no_mask_is_no_mask(tmp_path, mask):
    np.savez(tmp_path / "t.npz", y=VALUES, seen=mask)
    with pytest.raises(UsageError, match="booleans") as refusal:
        loaded(tmp_path / "t.npz", mask="seen")
    assert refusal.value.code == "mask"


def test_short_floats_are_read(tmp_path):
    tensors = {"y": torch.tensor(VALUES, dtype=torch.bfloat16), "w": torch.ones(2, 3, dtype=torch.float16)}
    safetensors.torch.save_file(tensors, tmp_path / "t.safetensors")
    found = loaded(tmp_path / "t.safetensors", sample_weights="w")
    assert (found.targets.tolist(), found.sample_weights.tolist()) == (VALUES.ravel().tolist(), [1.0] * 6)
