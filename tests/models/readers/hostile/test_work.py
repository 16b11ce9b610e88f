"""Readers work in proportion to what they read: memory and steps against bytes, whatever a file declares."""

import contextlib
import io
import json
import struct
import sys
import tracemalloc
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

import certify
from certify.audits.audit_file import load_audit_file
from certify.audits.baseline import load_baseline
from certify.audits.digests import DigestIndex
from certify.audits.results_file import ResultsFile
from certify.errors import CertifyError
from certify.models.data.data_file import data_shapes, load_arrays
from certify.models.data.data_readers import DATA_READERS
from certify.models.readers.input_file import open_input
from certify.models.readers.json_document import parse_json
from certify.models.readers.model_reader import open_model
from certify.models.readers.registry import MODEL_READERS
from certify.models.spec.problem_file import load_problem_file
from certify.models.spec.problem_sections import DataSpec
from certify.models.spec.yaml_document import load_yaml
from certify.verify import verify_bytes

from .samples import _torch
from .zip_layouts import Entry, Layout

# Python and torch's own objects for a small file, and for each byte of it.
FLOOR, A_BYTE = 8 * 2**20, 40
# Four times the input may take this much more work: 10 % over linear, which sorting stays below.
FOURFOLD = 4.4
# Memory below this is not told apart: tables grow by leaps.
SMALL = 2**17


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


def work_of(read):
    """Lines of Python that run, bytes that the system reads, and the peak of memory."""
    lines = 0

    def count(_frame, event, _argument):
        nonlocal lines
        lines += event == "line"
        return count

    def quiet():
        with contextlib.suppress(CertifyError):
            read()

    before, bytes_before = sys.gettrace(), bytes_read()
    sys.settrace(count)
    try:
        quiet()
    finally:
        sys.settrace(before)
    found = bytes_read() - bytes_before
    tracemalloc.start()
    quiet()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {"lines": lines, "bytes": found, "memory": max(peak, SMALL)}


def bytes_read():
    return int(Path("/proc/self/io").read_text().split()[1])


def archive(entries):
    return Layout([Entry(name.encode(), content) for name, content in entries]).written()


def npy(shape):
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(8 * int(np.prod(shape)))


def pt2(count):
    """Many values, each of a call of its own."""
    names = [f"v{i}" for i in range(count + 1)]
    calls = [
        {
            "target": "torch.ops.aten.relu.default",
            "inputs": [{"name": "self", "arg": {"as_tensor": {"name": before}}}],
            "outputs": [{"as_tensor": {"name": after}}],
        }
        for before, after in zip(names, names[1:], strict=False)
    ]
    signature = {
        "input_specs": [{"user_input": {"arg": {"as_tensor": {"name": "v0"}}}}],
        "output_specs": [{"user_output": {"arg": {"as_tensor": {"name": names[-1]}}}}],
    }
    module = {"graph": {"nodes": calls, "tensor_values": {}}, "signature": signature}
    program = {"schema_version": {"major": 8, "minor": 0}, "graph_module": module}
    entries = {"m/archive_format": b"pt2", "m/models/model.json": json.dumps(program).encode()}
    return archive(entries.items())


def onnx(count):
    one = b"\x0a\x01a\x12\x01b\x22\x04Relu"
    nodes = b"".join(b"\x0a" + bytes([len(one)]) + one for _ in range(count))
    length, sizes = len(nodes), b""
    while length > 127:
        sizes, length = sizes + bytes([length & 127 | 128]), length >> 7
    return b"\x08\x08\x3a" + sizes + bytes([length]) + nodes


def skops(count):
    node = {"__loader__": "ListNode", "content": [], "__class__": "list", "__module__": "builtins"}
    schema = {
        "__class__": "MLPRegressor",
        "__module__": "sklearn.neural_network._multilayer_perceptron",
        "__loader__": "ObjectNode",
        "protocol": 2,
        "content": {"content": {f"x{i}": node for i in range(count)}},
    }
    return archive([("schema.json", json.dumps(schema).encode())])


def empty_tensors(count, zipped=True):
    return _torch({f"{i}.weight": torch.empty(2**28, 0) for i in range(count)}, zipped)


def named_tensors(count):
    entry = {"dtype": "F64", "shape": [2**28, 0], "data_offsets": [0, 0]}
    header = json.dumps({f"{i}.weight": entry for i in range(count)}).encode()
    return struct.pack("<Q", len(header)) + header


# By the reader in the registry: adversarial contents that grow with a count.
def parquet(columns):
    """The bytes of a table as pyarrow writes it."""
    import pyarrow
    from pyarrow import parquet as tables

    written = io.BytesIO()
    tables.write_table(pyarrow.table(columns), written)
    return written.getvalue()


MODEL_FILES = {
    "safetensors": {"empty tensors": named_tensors},
    "pt2": {"calls": pt2},
    "skops": {"settings": skops},
    "torch-zip": {
        "empty tensors": empty_tensors,
        "members": lambda n: archive([("m/data.pkl", b"\x80\x02}."), *((f"m/data/{i}", b"") for i in range(n))]),
        "nesting": lambda n: archive([("m/data.pkl", b"\x80\x02" + b"]" * n + b"a" * (n - 1) + b".")]),
    },
    "torch-legacy": {"empty tensors": lambda n: empty_tensors(n, zipped=False)},
    "onnx": {"nodes": onnx},
    "npz": {
        "arrays": lambda n: archive([(f"{i}.npy", npy((2,))) for i in range(n)]),
        "names": lambda n: archive([(f"{i:0200d}.npy", npy((1,))) for i in range(n)]),
    },
}
DATA_FILES = {
    ".npz": {
        "members": lambda n: archive([(f"{i}.npy", npy((2**28, 0))) for i in range(n)] + [("X.npy", npy((3, 2)))]),
        "names": lambda n: archive([(f"{i:0200d}.npy", npy((1,))) for i in range(n)]),
    },
    ".npy": {"values": lambda n: npy((n, 100))},
    ".safetensors": {
        "tensors": named_tensors,
        "rows": lambda n: safetensors.numpy.save({"X": np.ones((n, 9)), "y": np.ones(n)}),
    },
    ".csv": {
        "rows": lambda n: b"a,b,y\n" + b"1,2,3\n" * n,
        "columns": lambda n: ",".join(f"c{i}" for i in range(n)).encode() + b",y\n" + b"1," * n + b"1\n",
        "targets of a wide table": lambda n: b"y," + ",".join(f"{i:09}x" for i in range(n)).encode() + b"\n",
    },
}
if find_spec("pyarrow") is not None:
    DATA_FILES[".parquet"] = {
        "rows": lambda n: parquet({"a": np.arange(100.0 * n), "y": np.ones(100 * n)}),
        "columns": lambda n: parquet({f"c{i}": np.ones(1) for i in range(n)} | {"y": np.ones(1)}),
    }
RECORD = {"schema": "certify.audit-record/1", "run": "r", "name": "x", "key": "k", "seconds": 1, "certificate": None}
PROBLEM = "schema: certify.problem/1\nmodel: {path: m.pt%s}\ndata: {path: d.npz}\npenalty: {weight_decay: %s}\n"
TEXTS = {
    "yaml keys": (lambda path: load_yaml(path, "file"), lambda n: "".join(f"k{i}: 1\n" for i in range(n))),
    "yaml nesting": (lambda path: load_yaml(path, "file"), lambda n: "[" * n),
    "yaml text": (lambda path: load_yaml(path, "file"), lambda n: "k: '" + "x" * 100 * n + "'"),
    "yaml faults": (load_problem_file, lambda n: PROBLEM % ("", 1) + "".join(f"k{i}: 1\n" for i in range(n))),
    "problem layers": (load_problem_file, lambda n: PROBLEM % (f", layers: [{'relu, ' * n}]", 1)),
    "problem decays": (
        load_problem_file,
        lambda n: PROBLEM % ("", "{" + ", ".join(f"p{i}: 1" for i in range(n)) + "}"),
    ),
    "audit entries": (load_audit_file, lambda n: "schema: certify.audit/1\nmodels:\n" + "  - {path: m.pt}\n" * n),
    "audit records": (
        ResultsFile,
        lambda n: (json.dumps(RECORD | {"result": {}, "asked": "", "inputs": []}) + "\n") * n,
    ),
    "audit nesting": (ResultsFile, lambda n: ("[" * 1000 + "\n") * (n // 10)),
    "baseline": (
        load_baseline,
        lambda n: json.dumps(
            {
                "schema": "certify.audit-baseline/1",
                "items": {f"i{i}": {"outcome": "failed", "relative_gap": None} for i in range(n)},
            }
        ),
    ),
    "digests": (DigestIndex, lambda n: json.dumps({f"f{i}": [1, 2, 3, 4, "d"] for i in range(n)})),
    "json": (lambda path: parse_json(path.read_bytes(), "file"), lambda n: "[" * n),
    "certificate": (lambda path: verify_bytes(path.read_bytes()), lambda n: "x" * n),
}


def require_linear(path, read, made):
    """Of an input and four times as much of it; the first reading imports what is imported late."""
    found = []
    for count in (200, 200, 800):
        content = made(count)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        found.append(work_of(lambda: read(path)))
    _, once, fourfold = found
    assert all(fourfold[unit] <= FOURFOLD * once[unit] for unit in once), (once, fourfold)


def cases(files):
    return [pytest.param(name, made, id=f"{name} {sort}") for name, by in files.items() for sort, made in by.items()]


def read_model(path):
    with open_model(path) as opened:
        next(reader for reader in MODEL_READERS if reader.sniff(opened)).read(opened)


@pytest.mark.parametrize(("name", "made"), cases(MODEL_FILES))
def test_model_readers_work_in_proportion(tmp_path, name, made):
    require_linear(tmp_path / "model", read_model, made)


def test_every_model_reader_has_files_here(tmp_path):
    taken = set()
    for by in MODEL_FILES.values():
        (tmp_path / "model").write_bytes(next(iter(by.values()))(1))
        with open_model(tmp_path / "model") as opened:
            taken.add(next(place for place, reader in enumerate(MODEL_READERS) if reader.sniff(opened)))
    assert taken == set(range(len(MODEL_READERS)))


@pytest.mark.parametrize(("name", "made"), cases(DATA_FILES))
def test_data_readers_work_in_proportion(tmp_path, name, made):
    path = tmp_path / f"data{name}"
    require_linear(path, data_shapes, made)
    require_linear(path, lambda path: load_arrays(DataSpec(path=path)), made)


def test_every_data_reader_has_files_here(tmp_path):
    pytest.importorskip("pyarrow")
    taken = set()
    for suffix, by in DATA_FILES.items():
        path = tmp_path / f"data{suffix}"
        path.write_bytes(next(iter(by.values()))(1))
        with open_input(path, "data file") as file:
            taken.add(next(place for place, reader in enumerate(DATA_READERS) if reader.sniff(file)))
    assert taken == set(range(len(DATA_READERS)))


@pytest.mark.parametrize(("read", "made"), TEXTS.values(), ids=TEXTS)
def test_readers_of_text_work_in_proportion(tmp_path, read, made):
    require_linear(tmp_path / "file.yaml", read, made)
