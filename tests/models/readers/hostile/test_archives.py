"""Archives that lie about sizes or places, in every format that is a zip archive, and in little memory."""

import io
import json
import resource
import struct
import subprocess
import sys
import zipfile

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from certify.errors import RefusedError
from certify.models.model_file import read_model_file
from certify.models.readers import archive as archive_reader
from certify.models.readers import input_file, zip_entries
from tests.models.readers.hostile.samples import MODELS, with_entry

ARCHIVES = ("state-dict", "checkpoint", "module", "pt2", "skops")
# Address space, in bytes, in which every hostile file must be refused: torch itself takes about 3 GiB of it.
MEMORY = 6 * 2**30


def refused(tmp_path, content, code, *words):
    path = tmp_path / "model"
    path.write_bytes(content)
    with pytest.raises(RefusedError) as caught:
        read_model_file(path)
    assert caught.value.code == code, caught.value
    assert all(word in str(caught.value) for word in words), caught.value


def rebuilt(name, extra=(), **options):
    """The archive written again, with entries added."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(MODELS[name]())) as source, zipfile.ZipFile(target, "w", **options) as archive:
        for entry in source.namelist():
            archive.writestr(entry, source.read(entry))
        for entry, content in extra:
            archive.writestr(entry, content)
    return bytearray(target.getvalue())


@pytest.mark.parametrize("name", ARCHIVES)
@pytest.mark.parametrize("entry", ["../evil", "a/../../evil", "/etc/evil", "\\evil", "..\\evil", "C:\\evil"])
def test_entries_that_leave_their_folder_are_refused(tmp_path, name, entry):
    refused(tmp_path, rebuilt(name, [(entry, b"x")]), "unsafe-file", "leaves its folder")
    assert [found.name for found in tmp_path.rglob("*")] == ["model"]


@pytest.mark.parametrize("name", ARCHIVES)
def test_entries_of_one_name_are_refused(tmp_path, name):
    with pytest.warns(UserWarning, match="Duplicate name"):
        content = rebuilt(name, [("twice", b"x"), ("twice", b"y")])
    refused(tmp_path, content, "corrupt-file", "two entries have the same name")


def directory_entries(content):
    """Positions of the entries of the central directory."""
    end = content.rfind(b"PK\x05\x06")
    found, at = [], struct.unpack_from("<I", content, end + 16)[0]
    while at >= 0:
        found.append(at)
        at = content.find(b"PK\x01\x02", at + 4)
    return found


@pytest.mark.parametrize("name", ARCHIVES)
def test_entries_that_overlap_are_refused(tmp_path, name):
    content = rebuilt(name)
    first, second = directory_entries(content)[:2]
    content[second + 42 : second + 46] = content[first + 42 : first + 46]
    refused(tmp_path, content, "corrupt-file", "overlap")


@pytest.mark.parametrize("name", ARCHIVES)
@pytest.mark.parametrize("field", [20, 24])
@pytest.mark.parametrize("size", [0, 1, 2**31, 2**32 - 2])
def test_sizes_that_are_not_true_are_refused(tmp_path, name, field, size):
    content = rebuilt(name)
    for at in directory_entries(content):
        content[at + field : at + field + 4] = struct.pack("<I", size)
    path = tmp_path / "model"
    path.write_bytes(content)
    with pytest.raises(RefusedError):
        read_model_file(path)


@pytest.mark.parametrize("name", ARCHIVES)
def test_encrypted_entries_and_unknown_packings_are_refused(tmp_path, name):
    content = rebuilt(name)
    at = directory_entries(content)[0]
    content[at + 8] |= 1
    refused(tmp_path, content, "corrupt-file", "encrypted")
    refused(tmp_path, rebuilt(name, compression=zipfile.ZIP_LZMA), "corrupt-file", "unknown method")


@pytest.mark.parametrize("name", ARCHIVES)
def test_more_than_may_be_unpacked_is_refused_before_it_is(tmp_path, monkeypatch, name):
    bomb = rebuilt(name, [("bomb", bytes(2**24))], compression=zipfile.ZIP_DEFLATED)
    assert len(bomb) < 2**18
    monkeypatch.setattr(input_file, "MAX_BYTES", 2**23)
    refused(tmp_path, bomb, "over-limit", "unpacked")


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_directory_of_too_many_entries_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.setattr(zip_entries, "MAX_DIRECTORY", 4096)
    refused(tmp_path, rebuilt(name, [(f"entry{i}", b"") for i in range(200)]), "corrupt-file", "4096 bytes")


def test_a_document_over_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_reader, "MAX_DOCUMENT", 100)
    for name in ARCHIVES:
        refused(tmp_path, rebuilt(name), "over-limit", "over the limit of 100")


def huge_tensor():
    buffer = io.BytesIO()
    torch.save({"a.weight": torch.ones(1).expand(2**30, 2**10)}, buffer)
    return buffer.getvalue()


def huge_pt2():
    """A weight of 2**40 values, all at one place."""

    def change(content):
        config = json.loads(content)
        meta = config["config"]["first.weight"]["tensor_meta"]
        meta["sizes"], meta["strides"] = [{"as_int": 2**20}] * 2, [{"as_int": 0}] * 2
        return json.dumps(config)

    return with_entry(MODELS["pt2"](), "model_weights_config.json", change)


def bomb():
    """Nine gigabytes of zeros, packed, as the storage of a tensor of two values."""
    target = io.BytesIO()
    small = io.BytesIO()
    torch.save({"a.weight": torch.zeros(2)}, small)
    with zipfile.ZipFile(small) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in source.namelist():
            if name.endswith("data/0"):
                with archive.open(name, "w", force_zip64=True) as stream:
                    for _ in range(9 * 64):
                        stream.write(bytes(2**24))
            else:
                archive.writestr(name, source.read(name))
    return target.getvalue()


def huge_onnx():
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [2, 2], np.ones(4, np.float32))
    tensor.dims[0] = 2**40
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "y")]
    graph = helper.make_graph([node], "g", ends[:1], ends[1:], [tensor])
    return helper.make_model(graph, ir_version=10).SerializeToString()


def swelling_onnx():
    """Empty nodes: two bytes each in the file, and a hundred in memory."""
    graph = b"\x0a\x00" * (2**24)
    model = onnx.ModelProto(ir_version=10, opset_import=[helper.make_opsetid("", 21)]).SerializeToString()
    length, size = b"", len(graph)
    while size >= 128:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return model + b"\x3a" + length + bytes([size]) + graph


def deep_json():
    return with_entry(MODELS["pt2"](), "models/model.json", lambda _: b"[" * 10**6)


def huge_npy():
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1048576, 1048576), }".ljust(117) + b"\n"
    content = MODELS["skops"]()
    with zipfile.ZipFile(io.BytesIO(content)) as source:
        schema = json.loads(source.read("schema.json"))
    entry = schema["content"]["content"]["coefs_"]["content"][0]["file"]
    return with_entry(content, entry, lambda _: b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)


BOMB = pytest.param(bomb, marks=pytest.mark.slow)
HUGE = [huge_tensor, huge_pt2, huge_onnx, swelling_onnx, deep_json, huge_npy, BOMB]
INSPECT = "import sys; from certify.cli.main import main; sys.argv = ['certify', 'inspect', sys.argv[1]]; main()"


@pytest.mark.parametrize("make", HUGE, ids=lambda make: make.__name__)
def test_small_files_that_would_take_much_memory_end_in_one_line_and_little_memory(tmp_path, make):
    path = tmp_path / "model"
    path.write_bytes(make())
    command = [sys.executable, "-c", INSPECT, str(path)]

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (60, 60))

    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, check=False)
    assert done.returncode == 5, done.stderr
    assert "Traceback" not in done.stderr
    assert [found.name for found in tmp_path.iterdir()] == ["model"]
