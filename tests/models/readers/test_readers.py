"""Model files: written by torch and safetensors, then damaged, disguised or made hostile."""

import io
import json
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
import safetensors.torch
import torch

from certify.errors import CertifyError, ExitCode, RefusedError, UnsupportedError, UsageError
from certify.models.model_file import read_model_file as read_weights
from certify.models.readers import input_file


def refusal(path, code, *words):
    with pytest.raises(RefusedError) as caught:
        read_weights(path)
    assert caught.value.exit_code == ExitCode.REFUSED
    assert caught.value.code == code
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("zipped", [True, False])
def test_a_state_dict_is_read_exactly(tmp_path, network, zipped):
    path = tmp_path / "weights.bin"
    torch.save(network.state_dict(), path, _use_new_zipfile_serialization=zipped)
    weights = read_weights(path)
    assert weights.format == "pt"
    assert list(weights.parameters) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    for name, tensor in network.state_dict().items():
        assert weights.parameters[name].dtype == torch.float64
        assert torch.equal(weights.parameters[name], tensor.double())


def test_the_format_is_told_by_content(tmp_path, network):
    path = tmp_path / "model.pt"
    safetensors.torch.save_file(network.state_dict(), path)
    assert read_weights(path).format == "safetensors"


def test_safetensors_names_are_in_numeric_order(tmp_path):
    path = tmp_path / "m.safetensors"
    safetensors.torch.save_file({f"{i}.weight": torch.ones(2, 2) * i for i in (10, 2)}, path)
    assert list(read_weights(path).parameters) == ["2.weight", "10.weight"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_narrow_floats_are_converted_exactly_with_a_note(tmp_path, dtype):
    path = tmp_path / "m.pt"
    tensor = torch.randn(5, 5, generator=torch.Generator().manual_seed(0)).to(dtype)
    torch.save({"a.weight": tensor}, path)
    weights = read_weights(path)
    assert torch.equal(weights.parameters["a.weight"].to(dtype), tensor)
    assert str(dtype).removeprefix("torch.") in weights.notes[0]


def test_float64_needs_no_note(tmp_path):
    torch.save({"a.weight": torch.ones(2, 2).double()}, tmp_path / "m.pt")
    assert read_weights(tmp_path / "m.pt").notes == ()


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod.model."])
def test_prefixes_of_wrappers_are_taken_off(tmp_path, prefix):
    torch.save({f"{prefix}a.weight": torch.ones(2, 2), f"{prefix}b.weight": torch.ones(2, 2)}, tmp_path / "m.pt")
    weights = read_weights(tmp_path / "m.pt")
    assert weights.prefix == prefix
    assert list(weights.parameters) == ["a.weight", "b.weight"]


def test_a_prefix_that_not_all_share_stays(tmp_path):
    torch.save({"module.a.weight": torch.ones(2, 2), "b.weight": torch.ones(2, 2)}, tmp_path / "m.pt")
    assert read_weights(tmp_path / "m.pt").prefix == ""


class Bomb:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_code_in_a_file_is_named_and_never_run(tmp_path, form):
    path, marker = tmp_path / "model.pt", tmp_path / "ran"
    content = {"a.weight": torch.ones(1), "b": Bomb(marker)}
    if form == "pickle":
        path.write_bytes(pickle.dumps({"b": Bomb(marker)}))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    refusal(path, "unsafe-file", "a pickle" if form == "pickle" else "posix.system", "torch.save(model.state_dict()")
    assert not marker.exists()


def test_a_torchscript_archive_is_refused(tmp_path):
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("model/data.pkl", "model/constants.pkl"):
            archive.writestr(name, b"\x80\x02}q\x00.")
    refusal(path, "unsafe-file", "TorchScript")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (torch.ones(2), ["Tensor"]),
        ([torch.ones(2)], ["list"]),
        ({"epoch": 3}, ["'epoch'", "int"]),
        ({"model": {"a": torch.ones(1)}, "state_dict": {"a": torch.ones(1)}}, ["'state_dict' and 'model'"]),
        ({1: torch.ones(1)}, ["under a int"]),
        (None, ["NoneType"]),
    ],
)
def test_what_is_no_state_dict_is_refused(tmp_path, content, words):
    path = tmp_path / "m.pt"
    torch.save(content, path)
    refusal(path, "not-a-state-dict", *words)


@pytest.mark.parametrize(
    ("tensor", "word"),
    [
        (torch.eye(3).to_sparse(), "sparse"),
        (torch.ones(2, dtype=torch.int64), "int64"),
        (torch.ones(2, dtype=torch.bool), "bool"),
        (torch.ones(2, dtype=torch.complex64), "complex64"),
        (torch.ones(2).to(torch.float8_e4m3fn), "float8_e4m3fn"),
        (torch.ones(2, device="meta"), "meta"),
    ],
)
def test_weights_of_other_kinds_are_refused(tmp_path, tensor, word):
    path = tmp_path / "m.pt"
    torch.save({"a.weight": tensor}, path)
    refusal(path, "weight-type", "'a.weight'", word)


@pytest.mark.filterwarnings("ignore")
def test_quantized_weights_are_refused(tmp_path):
    path = tmp_path / "m.pt"
    torch.save({"a.weight": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)}, path)
    with pytest.raises(RefusedError):
        read_weights(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_non_finite_weights_are_refused_by_name_count_and_index(tmp_path, value, suffix):
    tensor = torch.ones(2, 3)
    tensor[1, 2] = value
    path = tmp_path / f"m.{suffix}"
    save = torch.save if suffix == "pt" else safetensors.torch.save_file
    save({"a.weight": tensor}, path)
    refusal(path, "non-finite", "'a.weight'", "1 non-finite of 6", "(1, 2)")


def test_tied_weights_are_unsupported(tmp_path):
    tensor = torch.ones(2, 3)
    torch.save({"a.weight": tensor, "b.weight": tensor.T}, tmp_path / "m.pt")
    with pytest.raises(UnsupportedError, match=r"'a.weight' and 'b.weight' share") as caught:
        read_weights(tmp_path / "m.pt")
    assert caught.value.code == "tied-weights"


def test_a_small_file_that_declares_a_huge_tensor_is_refused(tmp_path):
    path = tmp_path / "m.pt"
    torch.save({"a.weight": torch.ones(1).expand(2**20, 2**20)}, path)
    refusal(path, "over-limit", "over the limit")


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "m.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data/0", bytes(2**20))
    monkeypatch.setattr(input_file, "MAX_BYTES", 2**19)
    refusal(path, "over-limit")


def test_a_large_file_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "m.pt"
    with path.open("wb") as stream:
        stream.truncate(input_file.MAX_BYTES + 1)
    refusal(path, "over-limit")


@pytest.mark.parametrize("zipped", [True, False])
def test_every_truncation_of_a_torch_file_is_refused(tmp_path, network, zipped):
    path = tmp_path / "model.pt"
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer, _use_new_zipfile_serialization=zipped)
    whole = buffer.getvalue()
    for length in sorted({*range(0, len(whole), 17), *range(120), *range(len(whole) - 120, len(whole))}):
        path.write_bytes(whole[:length])
        if zipped:
            refusal(path, "corrupt-file")
        else:
            # Half the name of a class is the name of no safe class.
            with pytest.raises(RefusedError):
                read_weights(path)


def test_every_truncation_of_safetensors_is_refused(tmp_path, network):
    path = tmp_path / "m.safetensors"
    whole = safetensors.torch.save(network.state_dict())
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        refusal(path, "corrupt-file")


@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
def test_flipped_bytes_are_read_or_refused(tmp_path, network, form):
    path = tmp_path / "model.pt"
    buffer = io.BytesIO()
    if form == "safetensors":
        buffer.write(safetensors.torch.save(network.state_dict()))
    else:
        torch.save(network.state_dict(), buffer, _use_new_zipfile_serialization=form == "zip")
    whole, rng = bytearray(buffer.getvalue()), np.random.default_rng(0)
    for _ in range(400):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), size=rng.integers(1, 4)):
            damaged[at] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            read_weights(path)
        except CertifyError as error:
            assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89HDF\r\n\x1a\n" + bytes(100), bytes(1000), b"\x80\x02\x8a\n"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "m.pt"
    path.write_bytes(content)
    refusal(path, "corrupt-file")


def test_a_safetensors_header_that_declares_too_much_is_refused(tmp_path):
    header = json.dumps({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    path = tmp_path / "m.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    refusal(path, "corrupt-file")


@pytest.mark.parametrize("name", ["absent.pt", "a\0b.pt", "x" * 5000])
def test_a_path_that_does_not_open_is_a_usage_error(tmp_path, name):
    with pytest.raises(UsageError) as caught:
        read_weights(tmp_path / name)
    assert caught.value.exit_code == ExitCode.USAGE


def test_a_pipe_is_a_usage_error_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.pt")
    with pytest.raises(UsageError, match="not a regular file"):
        read_weights(tmp_path / "pipe.pt")
