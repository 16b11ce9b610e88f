"""The model formats that certify reads."""

from __future__ import annotations

from certify.models.readers.model_reader import ModelReader
from certify.models.readers.onnx_files.onnx_reader import OnnxReader
from certify.models.readers.pt2_reader import Pt2Reader
from certify.models.readers.safetensors_reader import SafetensorsReader
from certify.models.readers.skops_reader import SkopsReader
from certify.models.readers.torch_files.torch_reader import TorchLegacyReader, TorchZipReader

# In the order tried: the first that takes a file reads it. A new format joins by a line here.
MODEL_READERS: tuple[ModelReader, ...] = (
    SafetensorsReader(),
    Pt2Reader(),
    SkopsReader(),
    TorchZipReader(),
    TorchLegacyReader(),
    OnnxReader(),
)
