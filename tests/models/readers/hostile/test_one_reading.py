"""One reading of a file: whatever certify and a format's own library both accept is the same, bit for bit.

Each format has a mutator that puts in what readers are known to disagree on, its own library, and the readers of
certify: that of the tool, and that of the checker.
"""

import contextlib
import io
import json
import resource
import struct
import zipfile
from functools import cache
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import safetensors.torch
import torch
from onnx import numpy_helper

from certify.errors import CertifyError
from certify.models.readers.array_file import npz_shapes, read_npy, read_npz
from certify.models.readers.input_file import InputFile
from certify.models.readers.model_reader import OpenedModel, open_archive
from certify.models.readers.onnx_files.onnx_file import read_onnx
from certify.models.readers.safetensors_file import read_safetensors
from certify.models.readers.torch_files.torch_file import read_torch_legacy, read_torch_zip
from certify.verify.links import data_link, model_file
from certify.verify.rejection import Rejection

from .samples import _torch, damaged
from .zip_layouts import mutant

ROUNDS, MUTANTS = 20, 5000
# Address space, in bytes; torch alone takes about 3 GiB of it.
MEMORY = 8 * 2**30
REFUSED = (CertifyError, Rejection, *model_file.DAMAGE)


def weights():
    """Tensors of several types and layouts, two of one storage among them."""
    one = torch.arange(12, dtype=torch.float64).reshape(3, 4) / 7
    both = torch.linspace(0, 1, 6)
    return {"a.weight": one, "b.weight": one.half().T, "c": both, "d": both[2:].clone().bfloat16(), "e": torch.ones(4)}


def arrays():
    rng = np.random.default_rng(0)
    return {"X": rng.normal(size=(4, 3)), "y": np.arange(4), "x": rng.normal(size=4).astype(np.float32)}


def opened(content):
    stream = io.BufferedReader(io.BytesIO(content))
    return InputFile("file", stream, len(content), "", content[:64])


def wide(value):
    """What is compared: shape, and float64 bits; of NaN, that it is one, as a wider type may hold another."""
    array = value.detach().to(torch.float64).numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    array = array.astype(np.float64)
    array[np.isnan(array)] = np.nan
    return array.shape, np.ascontiguousarray(array).tobytes()


@cache
def torch_members():
    with zipfile.ZipFile(io.BytesIO(_torch(weights()))) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


@cache
def numpy_members():
    found = []
    for name, array in arrays().items():
        stream = io.BytesIO()
        np.save(stream, array)
        found.append((f"{name}.npy", stream.getvalue()))
    return found


def torch_mutant(rng):
    """A zip archive of another layout, or another pickle inside, or one whose storages share a key."""
    members = list(torch_members())
    if rng.integers(2):
        pickled = members[0][1]
        at = int(rng.integers(3))
        if at == 0:
            # Storages that two tensors of two types share.
            old, new = rng.integers(0, 5, 2)
            pickled = pickled.replace(b"X\1\0\0\0" + b"%d" % old, b"X\1\0\0\0" + b"%d" % new)
        elif at == 1:
            pickled = damaged(pickled, rng)
        else:
            place = int(rng.integers(len(pickled)))
            pickled = pickled[:place] + bytes([int(rng.integers(256))]) + pickled[place + 1 :]
        members[0] = (members[0][0], pickled)
        if rng.integers(3):
            return mutant(members, SimpleNamespace(integers=lambda *_: 0))
    return mutant(members, rng)


def numpy_mutant(rng):
    members = list(numpy_members())
    if not rng.integers(3):
        at = int(rng.integers(len(members)))
        members[at] = (members[at][0], damaged(members[at][1], rng))
    return mutant(members, rng)


def npy_mutant(rng):
    content = numpy_members()[int(rng.integers(3))][1]
    return damaged(content[:128], rng) + content[128:] if rng.integers(2) else damaged(content, rng)


def safetensors_mutant(rng):
    """Another header, entries of which overlap, leave gaps, come twice or have other shapes; or damage."""
    content = safetensors.torch.save(
        {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in weights().items()}
    )
    if not rng.integers(3):
        return damaged(content, rng)
    length = int.from_bytes(content[:8], "little")
    items, body = list(json.loads(content[8 : 8 + length]).items()), content[8 + length :]
    for _ in range(rng.integers(1, 3)):
        at = int(rng.integers(len(items)))
        name, entry = items[at][0], json.loads(json.dumps(items[at][1]))
        match int(rng.integers(9)):
            case 0:
                entry["data_offsets"][int(rng.integers(2))] += int(rng.integers(-9, 9))
            case 1:
                entry["shape"] = entry["shape"][::-1]
            case 2:
                entry["shape"] = [1, *entry["shape"]]
            case 3:
                items.append((name, json.loads(json.dumps(items[int(rng.integers(len(items)))][1]))))
            case 4:
                entry["dtype"] = str(rng.choice(["F64", "F32", "F16", "BF16", "I64", "U8", "BOOL"]))
            case 5:
                body += rng.bytes(int(rng.integers(1, 9)))
            case 6:
                other = items[int(rng.integers(len(items)))]
                items[at], name, entry = (name, other[1]), *other
            case 7:
                entry["shape"] = [float(extent) for extent in entry["shape"]]
            case 8:
                items.reverse()
        items[at] = (name, entry)
    text = "{" + ",".join(f"{json.dumps(name)}:{json.dumps(entry)}" for name, entry in items) + "}"
    header = (" " * int(rng.integers(2)) + text + " " * int(rng.integers(8))).encode()
    return struct.pack("<Q", len(header)) + header + body


@cache
def onnx_model():
    nodes = [onnx.helper.make_node("Identity", ["a.weight"], ["out"])]
    output = onnx.helper.make_tensor_value_info("out", onnx.TensorProto.DOUBLE, None)
    held = [numpy_helper.from_array(np.ascontiguousarray(t.float().numpy()), name) for name, t in weights().items()]
    return onnx.helper.make_model(
        onnx.helper.make_graph(nodes, "g", [], [output], held),
        ir_version=8,
        opset_imports=[onnx.helper.make_opsetid("", 20)],
    )


def onnx_mutant(rng):
    """Initializers with values in two fields, of one name, with other shapes; or damage."""
    model = onnx.ModelProto()
    model.CopyFrom(onnx_model())
    held = model.graph.initializer
    for _ in range(rng.integers(3)):
        one, other = held[int(rng.integers(len(held)))], held[int(rng.integers(len(held)))]
        match int(rng.integers(8)):
            case 0:
                one.float_data.extend([1.0] * int(np.prod(one.dims)))
            case 1:
                one.ClearField("raw_data")
                one.float_data.extend(rng.normal(size=int(np.prod(one.dims))))
            case 2:
                held.append(other)
            case 3:
                other.name = one.name
            case 4:
                one.data_type = int(rng.integers(1, 17))
            case 5:
                one.dims.reverse() if hasattr(one.dims, "reverse") else None
            case 6:
                one.int32_data.extend([1] * int(np.prod(one.dims)))
            case 7:
                one.double_data.extend([1.0] * int(np.prod(one.dims)))
    content = model.SerializeToString()
    if rng.integers(2):
        # Two messages end to end are one: fields of the second replace, or are added to, those of the first.
        content += model.graph.SerializeToString() if rng.integers(2) else content[: int(rng.integers(len(content)))]
    return damaged(content, rng) if not rng.integers(3) else content


def by_torch(content):
    found = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
    if not isinstance(found, dict):
        raise TypeError("no state dict")
    return {name: wide(tensor) for name, tensor in found.items() if isinstance(name, str)}


def by_the_tool(content):
    file = opened(content)
    if content.startswith(b"PK\3\4"):
        read = read_torch_zip(OpenedModel(file, open_archive(file)).archive)
    else:
        read = read_torch_legacy(file)
    return {name: wide(tensor) for name, tensor in read.tensors.items()} if read.module is None else {}


def by_numpy(content):
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: wide(archive[name]) for name in archive.files}


def by_npz_reader(content):
    names = list(npz_shapes(opened(content)))
    return {name: wide(array) for name, array in zip(names, read_npz(opened(content), names), strict=True)}


def by_npz_checker(content):
    found = {}
    for name in by_npz_reader(content):
        with contextlib.suppress(KeyError):
            found[name] = wide(data_link._read((content,), dict.fromkeys(data_link.ROLES, name))["inputs"])
    return found


def table(values):
    return {name: wide(value) for name, value in values.items()}


# Format: its mutator, its own library, and the readers of certify.
FORMATS = {
    "torch": (torch_mutant, by_torch, by_the_tool, lambda content: table(model_file.read_model(content))),
    "legacy torch": (
        lambda rng: damaged(_torch(weights(), zipped=False), rng),
        by_torch,
        by_the_tool,
    ),
    "npz": (numpy_mutant, by_numpy, by_npz_reader, by_npz_checker),
    "npy": (
        npy_mutant,
        lambda content: table({"x": np.load(io.BytesIO(content), allow_pickle=False)}),
        lambda content: table({"x": read_npy(io.BytesIO(content), len(content), "x")}),
        lambda content: table({"x": data_link._npy(content)}),
    ),
    "safetensors": (
        safetensors_mutant,
        lambda content: table(safetensors.torch.load(content)),
        lambda content: table(read_safetensors(opened(content))),
        lambda content: table(model_file.read_safetensors(content)),
    ),
    "onnx": (
        onnx_mutant,
        lambda content: table(
            {t.name: numpy_helper.to_array(t) for t in onnx.load_from_string(content).graph.initializer}
        ),
        lambda content: table(read_onnx(opened(content)).initializers),
    ),
}


def campaign(name, seed, count):
    """Number of files that certify accepts, and of those that the library accepts too."""
    rng = np.random.default_rng([seed, list(FORMATS).index(name)])
    change, library, *readers = FORMATS[name]
    accepted = both = 0
    for _ in range(count):
        content = change(rng)
        expected = reading(library, content, Exception)
        for reader in readers:
            found = reading(reader, content, REFUSED)
            accepted += found is not None
            if found is not None and expected is not None:
                both += 1
                # A state dict may also hold what is no tensor by name.
                assert {key: expected.get(key) for key in found} == found
                assert found.keys() == expected.keys() or not found
    return accepted, both


def reading(reader, content, errors):
    try:
        return reader(content)
    except errors:
        return None


@pytest.fixture(autouse=True)
def _bounded_memory():
    """The libraries believe sizes that files declare; they fail where there is not so much."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FORMATS)
def test_what_both_read_is_equal(name):
    _, both = campaign(name, 0, 600)
    assert both > 10


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("turn", range(1, ROUNDS + 1))
@pytest.mark.parametrize("name", FORMATS)
def test_what_both_read_is_equal_in_many_files(name, turn):
    _, both = campaign(name, turn, MUTANTS)
    assert both > 100
