"""The formats in which models arrive, as results name them."""

from typing import Literal

Format = Literal["pt", "safetensors", "npz", "live", "ckpt", "module", "pt2", "onnx", "skops", "sklearn"]
