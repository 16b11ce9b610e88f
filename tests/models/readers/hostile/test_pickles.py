"""Pickles that call out, that lie or that swell: nothing in them is imported or called, in any form of torch file."""

import builtins
import io
import os
import pickle
import subprocess
import sys
import zipfile

import pytest
import torch

from certify.errors import RefusedError
from certify.models.model_file import read_model_file
from certify.models.readers.torch_files import pickle_data
from certify.models.readers.torch_files.pickle_data import read_pickle
from certify.models.readers.torch_files.pickle_values import Call, Global


class Calls:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def attacks(marker):
    """What would write the marker, or say that it ran, if anybody ran it."""
    write = f"open({str(marker)!r}, 'w').close()"
    return {
        "os.system": Calls(os.system, f"touch {marker}"),
        "eval": Calls(builtins.eval, write),
        "exec": Calls(builtins.exec, write),
        "getattr": Calls(getattr, Calls(__import__, "os"), "system"),
        "open": Calls(open, str(marker), "w"),
        "subprocess": Calls(subprocess.check_call, ["touch", str(marker)]),
        "torch.load": Calls(torch.load, str(marker)),
        "torch.hub": Calls(torch.hub.load, "a", "b"),
        "function": torch.nn.functional.relu,
    }


def zipped(content):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("m/data.pkl", content)
        archive.writestr("m/version", b"3\n")
    return buffer.getvalue()


def refused(path, content):
    path.write_bytes(content)
    with pytest.raises(RefusedError) as caught:
        read_model_file(path)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("name", attacks("x"))
@pytest.mark.parametrize("place", ["alone", "beside", "nested", "in settings", "in a module"])
@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_calls_are_named_and_never_made(tmp_path, name, place, form):
    marker, path = tmp_path / "ran", tmp_path / "model.pt"
    attack = attacks(marker)[name]
    module = torch.nn.Sequential(torch.nn.Linear(2, 2))
    module.extra = attack
    content = {
        "alone": attack,
        "beside": {"a.weight": torch.ones(1), "b": attack},
        "nested": {"state_dict": {"a.weight": torch.ones(1)}, "callbacks": [attack]},
        "in settings": {"state_dict": {"a.weight": torch.ones(1)}, "hyper_parameters": {"f": attack}},
        "in a module": module,
    }[place]
    torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    error = refused(path, path.read_bytes())
    assert error.code == "unsafe-file"
    assert "would run pickled code" in str(error) or "would import" in str(error)
    assert not marker.exists()


@pytest.mark.parametrize(
    "opcodes",
    [
        b"cos\nsystem\n(S'touch ran'\ntR.",
        b"(S'touch ran'\nios\nsystem\n.",
        b"(cos\nsystem\nS'touch ran'\no.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x09touch ran\x85R.",
        b"\x80\x02cos\nsystem\nU\x09touch ran\x85\x81.",
        b"\x80\x04cos\nsystem\n)}\x92.",
        b"cos\nsystem\n0}.",
        b"}cos\nsystem\nb.",
        b"(dcos\nsystem\nq\x000h\x00(tR.",
    ],
)
def test_every_opcode_that_calls_is_inert(tmp_path, monkeypatch, opcodes):
    monkeypatch.chdir(tmp_path)
    error = refused(tmp_path / "model.pt", zipped(opcodes))
    assert error.code in ("unsafe-file", "corrupt-file")
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.pt"]


def test_no_module_is_imported_by_reading(tmp_path):
    name = "this_is_never_imported"
    (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')\n")
    sys.path.insert(0, str(tmp_path))
    try:
        refused(tmp_path / "model.pt", zipped(f"c{name}\nf\n.".encode()))
    finally:
        sys.path.remove(str(tmp_path))
    assert name not in sys.modules


def test_a_pickle_is_read_as_the_values_that_python_reads():
    value = {"a": [1, -5, 2**70, 1.5, None, True, b"x", "é", (1, (2,)), {"b": []}], 3: "c", "long": "y" * 300}
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        found = read_pickle(pickle.dumps(value, protocol), "m")
        if protocol:
            assert found.value == value or protocol < 3  # Bytes are a call before protocol 3.
            assert found.end == len(pickle.dumps(value, protocol))
        else:
            assert isinstance(found.value, dict)


def test_calls_and_states_are_kept_as_data():
    found = read_pickle(pickle.dumps(Calls(os.system, "a"), 2), "m")
    assert isinstance(found.value, Call)
    assert found.value.callee == Global("posix.system" if os.name == "posix" else "nt.system")
    assert found.value.arguments == ("a",)
    assert found.called == (found.value.callee.path,)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "truncated or corrupt"),
        (b".", "truncated or corrupt"),
        (b"\x80\x02}q\x00", "truncated or corrupt"),
        (b"(((.", "truncated or corrupt"),
        (b"\x80\x05\x97.", "opcode NEXT_BUFFER"),
        (b"\x80\x02\x82\x01.", "opcode EXT1"),
        (b"\x80\x02\x8b\xff\xff\xff\x7f.", "truncated or corrupt"),
        (b"I" + b"9" * 5000 + b"\n.", "truncated or corrupt"),
        (b"\x80\x02h\x07.", "truncated or corrupt"),
        (b"\x80\xff).", "holds a tuple, not tensors by name"),
    ],
)
def test_broken_pickles_are_refused(tmp_path, content, words):
    assert words in str(refused(tmp_path / "model.pt", zipped(content if content else b"")))


def test_a_pickle_of_too_many_operations_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(pickle_data, "MAX_OPERATIONS", 1000)
    assert refused(tmp_path / "model.pt", zipped(b"]" + b"0]" * 1000 + b".")).code == "over-limit"


def test_tuples_of_tuples_that_would_hash_forever_are_no_keys(tmp_path):
    """A tuple whose hash takes 2**60 steps, as a key of a dict."""
    levels = b"".join(b"h%ch%c\x86\x940" % (level, level) for level in range(60))
    found = read_pickle(b"\x80\x04)\x940" + levels + b"}h\x3cK\x01s.", "m")
    assert isinstance(found.value, dict)
    assert len(found.value) == 0


def test_a_list_that_holds_itself_is_refused(tmp_path):
    refused(tmp_path / "model.pt", zipped(b"\x80\x02]q\x00h\x00a."))
    refused(tmp_path / "model.pt", zipped(b"\x80\x02}q\x00(X\x01\x00\x00\x00ah\x00u."))


def test_a_module_that_holds_itself_is_refused(tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(2, 2))
    module._modules["self"] = module
    buffer = io.BytesIO()
    torch.save(module, buffer)
    assert refused(tmp_path / "model.pt", buffer.getvalue()).code == "over-limit"
