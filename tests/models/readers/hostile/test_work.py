"""Readers work in proportion to what they read: memory against bytes of the file, whatever its shapes declare."""

import tracemalloc

import pytest
import torch

import certify
from certify.errors import CertifyError

from .samples import MODELS, _torch

# Python and torch's own objects for a small file, and for each byte of it.
FLOOR, A_BYTE = 8 * 2**20, 40


def peak_of(path, content):
    path.write_bytes(content)
    tracemalloc.start()
    try:
        certify.inspect(path)
    except CertifyError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


HOSTILE = {
    "empty tensors of large shapes": lambda: _torch(
        {"a.weight": torch.empty(2**28, 0), "b.weight": torch.empty(0, 2**28)}
    ),
    "many tensors of one storage": lambda: _torch(
        {f"{i}.weight": torch.zeros(1000).expand(1000, 1000) for i in range(50)}
    ),
    "text instead of layers": lambda: b"\x80" + b"(" * 10**6,
    "a long safetensors header": lambda: (10**7).to_bytes(8, "little") + b'{"a":' + b"[" * (10**7 - 5),
    "a header longer than the file": lambda: (2**62).to_bytes(8, "little") + b"{}",
    "an onnx file of empty nodes": lambda: b"\x08\x08" + b"\x3a\x04" + b"\x0a\x02\x0a\x00" * 10**5,
}


@pytest.mark.parametrize("name", MODELS)
def test_samples_take_memory_in_proportion(tmp_path, name):
    content = MODELS[name]()
    assert peak_of(tmp_path / "model", content) < FLOOR + A_BYTE * len(content)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_take_memory_in_proportion(tmp_path, name):
    content = HOSTILE[name]()
    assert peak_of(tmp_path / "model", content) < FLOOR + A_BYTE * len(content)
