"""One small model in every format, and seeded damage to it."""

import io
import warnings
import zipfile

import numpy as np
import safetensors.torch
import skops.io
import torch
from sklearn.neural_network import MLPRegressor
from torch import nn


class Net(nn.Module):
    """Enough operations that damage meets more than a chain."""

    def __init__(self):
        super().__init__()
        self.conv, self.first, self.second = nn.Conv1d(1, 2, 2), nn.Linear(6, 4), nn.Linear(4, 2)

    def forward(self, inputs):
        hidden = nn.functional.max_pool1d(torch.relu(self.conv(inputs)), 2, stride=1)
        wide = self.first(torch.flatten(hidden, 1))
        return self.second(torch.cat([wide[:, :2].square() * 0.5, torch.abs(wide[:, 2:])], 1))


def _torch(value, zipped=True):
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def _sequential():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


def _checkpoint():
    module = _sequential()
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    return _torch({"epoch": 3, "state_dict": module.state_dict(), "optimizer": optimizer.state_dict()})


def _pt2():
    torch.manual_seed(0)
    buffer = io.BytesIO()
    samples = ({0: torch.export.Dim.AUTO},)
    torch.export.save(torch.export.export(Net().eval(), (torch.randn(3, 1, 5),), dynamic_shapes=samples), buffer)
    return buffer.getvalue()


def _onnx():
    torch.manual_seed(0)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(Net().eval(), (torch.randn(3, 1, 5),), buffer, dynamo=False)
    return buffer.getvalue()


def _skops():
    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = MLPRegressor(hidden_layer_sizes=(4,), solver="lbfgs", max_iter=5)
        estimator.fit(rng.normal(size=(20, 3)), rng.normal(size=20))
    return skops.io.dumps(estimator)


def _npz():
    buffer = io.BytesIO()
    np.savez(buffer, left=np.arange(6.0).reshape(3, 2), right=np.arange(8.0).reshape(4, 2))
    return buffer.getvalue()


MODELS = {
    "state-dict": lambda: _torch(_sequential().state_dict()),
    "legacy": lambda: _torch(_sequential().state_dict(), zipped=False),
    "legacy-module": lambda: _torch(_sequential(), zipped=False),
    "checkpoint": _checkpoint,
    "module": lambda: _torch(_sequential()),
    "safetensors": lambda: safetensors.torch.save(
        _sequential().state_dict() | {"1.num_batches_tracked": torch.ones(1)}
    ),
    "pt2": _pt2,
    "onnx": _onnx,
    "skops": _skops,
    "npz": _npz,
}
# Entries of archives that are damaged behind a checksum that fits again.
INNER = {
    "state-dict": "data.pkl",
    "checkpoint": "data.pkl",
    "module": "data.pkl",
    "pt2": "models/model.json",
    "pt2-weights": "model_weights_config.json",
    "skops": "schema.json",
}


def damaged(content, rng):
    """One to four changes: a byte, a bit, a cut, a repetition, or a number put where one may stand."""
    found = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        at, kind = int(rng.integers(0, len(found))), rng.integers(0, 6)
        if kind == 0:
            found[at] = rng.integers(0, 256)
        elif kind == 1:
            found[at] ^= 1 << int(rng.integers(0, 8))
        elif kind == 2:
            del found[at : at + int(rng.integers(1, 9))]
        elif kind == 3:
            found[at:at] = found[at : at + int(rng.integers(1, 65))]
        elif kind == 4:
            found[at : at + 4] = bytes([255, 255, 255, rng.choice([0, 127, 255])])
        else:
            start = int(rng.integers(0, len(found)))
            found[at : at + 8] = found[start : start + 8]
        if not found:
            return b""
    return bytes(found)


def with_entry(content, suffix, change):
    """An archive with one entry changed and every checksum fitting."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(target, "w") as archive:
        (changed,) = [name for name in source.namelist() if name.endswith(suffix)]
        for name in source.namelist():
            entry = source.read(name)
            archive.writestr(name, change(entry) if name == changed else entry)
    return target.getvalue()
