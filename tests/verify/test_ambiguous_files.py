"""Files that torch, or another reader, would read otherwise than the checker are refused, not linked to."""

import contextlib
import io
import struct
import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest
import safetensors.torch
import torch

from certify.verify import verify_bytes
from certify.verify.links.data_link import _read, _table
from certify.verify.links.model_file import DAMAGE, _Names, exact, read_model, read_safetensors
from certify.verify.rejection import Rejection

from .forging import linked, with_digests
from .handmade import handmade
from .packing import packed

VALUES = torch.tensor([[1.0, 2.0]], dtype=torch.float64)


def saved(tensors):
    stream = io.BytesIO()
    torch.save(tensors, stream)
    return stream.getvalue()


def rewritten(data, change):
    """The archive with the members that `change` gives."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        warnings.simplefilter("ignore")
        for name, content in change(members):
            archive.writestr(name, content)
    return stream.getvalue()


def loaded(data):
    return torch.load(io.BytesIO(data), weights_only=True)


def test_plain_state_dicts_are_read_as_torch_reads_them():
    data = saved({"w": VALUES, "t": VALUES.T, "part": VALUES[:, 1:], "p": torch.nn.Parameter(VALUES.float())})
    found = read_model(rewritten(data, lambda members: members))
    for name, tensor in loaded(data).items():
        assert np.array_equal(found[name], tensor.detach().double().numpy())


def test_negated_views_are_refused():
    data = saved({"w": torch._neg_view(VALUES)})
    assert bool((loaded(data)["w"] == -VALUES).all())
    with pytest.raises(Rejection, match="negated view"):
        read_model(data)


def test_members_that_are_there_twice_are_refused():
    data = rewritten(
        saved({"w": VALUES}), lambda members: members + [(n, bytes(16)) for n, _ in members if "data/" in n]
    )
    assert bool((loaded(data)["w"] == VALUES).all())
    with pytest.raises(ValueError, match="same name"):
        read_model(data)


def test_storages_of_two_types_are_refused():
    """torch reads the second tensor with the type of the first; both have 16 bytes under the key 0."""
    both = saved({"a": torch.zeros(4), "b": VALUES})

    def shared(members):
        kept = [(n, c) for n, c in members if not n.endswith("data/1")]
        return [
            (n, c.replace(b"X\x01\x00\x00\x001", b"X\x01\x00\x00\x000") if n.endswith("data.pkl") else c)
            for n, c in kept
        ]

    data = rewritten(both, shared)
    assert loaded(data)["b"].dtype == torch.float32
    with pytest.raises(Rejection, match="two types"):
        read_model(data)


def test_headers_that_name_a_tensor_twice_are_refused():
    one = b'"w":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}'
    header = b"{" + one + b"," + one.replace(b"0,8", b"8,16") + b"}"
    with pytest.raises(Rejection, match="twice"):
        read_safetensors(struct.pack("<Q", len(header)) + header + bytes(16))


def test_tables_that_name_a_column_twice_are_refused():
    names = dict.fromkeys(("inputs", "targets", "sample_weights", "mask"))
    with pytest.raises(Rejection, match="same name"):
        _table("x,x,y\n1,2,3\n", names)


def test_data_that_are_there_twice_are_refused():
    header, arrays, model, data = linked()
    twice = rewritten(data, lambda members: [*members, members[0]])
    verdict = verify_bytes(packed(with_digests(header, model, twice), arrays), model, (twice,))
    assert verdict.rule == "data-file"
    assert verify_bytes(packed(*handmade())).status == "valid"


def test_a_pickle_that_sets_attributes_on_what_it_names_changes_nothing_for_the_next_file():
    plain = saved({"w": VALUES})
    # OrderedDict.__len__ and .values set to strings by a BUILD with slots, then an empty dictionary as the content.
    hostile = (
        b"\x80\x02ccollections\nOrderedDict\n"
        b"N}(X\x07\x00\x00\x00__len__X\x01\x00\x00\x00aX\x06\x00\x00\x00valuesX\x01\x00\x00\x00bu\x86b0}."
    )

    def poisoned(members):
        return [(name, hostile if name.endswith("data.pkl") else content) for name, content in members]

    with contextlib.suppress(*DAMAGE):
        assert read_model(rewritten(plain, poisoned)) == {}
    assert np.array_equal(read_model(plain)["w"], VALUES.numpy())
    assert "values" not in vars(_Names)


def deviation(name, content):
    """A file that one reader takes for the first, another for the second of two contents."""
    one, two = content
    with zipfile.ZipFile(io.BytesIO(one)) as archive:
        (member,) = [m for m in archive.infolist() if m.filename.endswith(("data/0", "X.npy"))]
        start = member.header_offset
    match name:
        case "two archives":
            return two + one
        case "bytes before":
            return b"\0" * 7 + one
        case "bytes behind":
            return one + b"\0"
        case "a comment":
            return one[:-2] + b"\2\0ab"
        case "another local name":
            return one[: start + 30] + b"q" + one[start + 31 :]
        case "other local sizes":
            return one[: start + 18] + b"\1" + one[start + 19 :]


@pytest.mark.parametrize(
    "name", ["two archives", "bytes before", "bytes behind", "a comment", "another local name", "other local sizes"]
)
@pytest.mark.parametrize("kind", ["model", "data"])
def test_archives_that_readers_read_in_two_ways_are_refused(kind, name):
    header, arrays, model, data = linked()
    model = saved(safetensors.torch.load(model))
    assert verify_bytes(packed(with_digests(header, model, data), arrays), model, (data,)).status == "valid"
    if kind == "model":
        model = deviation(name, (model, saved({"w": VALUES})))
    else:
        data = deviation(name, (data, data))
    verdict = verify_bytes(packed(with_digests(header, model, data), arrays), model, (data,))
    assert verdict.rule == f"{kind}-file"


def test_members_whose_names_differ_in_case_only_are_refused():
    data = rewritten(
        saved({"w": VALUES}), lambda members: members + [(n.upper(), bytes(16)) for n, _ in members if "data/" in n]
    )
    with pytest.raises((Rejection, ValueError)):
        read_model(data)


@pytest.mark.parametrize("kind", [np.int64, np.uint64])
def test_integers_that_would_be_rounded_are_no_data(kind):
    stream = io.BytesIO()
    np.savez(stream, X=np.array([[2**53], [2**53 + 1]], kind), y=np.zeros((2, 1)))
    names = dict.fromkeys(("inputs", "targets", "sample_weights", "mask"))
    read = _read((stream.getvalue(),), names)
    with pytest.raises(ValueError, match="not exact"):
        exact(read["inputs"][0])
    with pytest.raises(ValueError, match="exact"):
        _table("x,y\n9007199254740993,2\n", names)
    assert exact(np.array([2**53], kind)) == 2.0**53


@pytest.mark.parametrize("shape", [(2**28, 0), (0, 2**28), (2**20, 2**20, 0)])
def test_empty_tensors_of_large_shapes_cost_nothing(shape):
    data = saved({"w": torch.empty(shape, dtype=torch.float64), "v": VALUES})
    tracemalloc.start()
    found = read_model(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found["w"].shape == shape
    assert peak < 2**20


@pytest.mark.parametrize("character", ["\x1b", "\n", "\x01", "\x7f"])
def test_members_with_control_characters_in_their_names_are_refused(character):
    data = rewritten(saved({"w": VALUES}), lambda members: [*members, (f"archive/evil{character}", b"")])
    with pytest.raises(ValueError, match="a member named"):
        read_model(data)


@pytest.mark.parametrize("spelling", [b"[0.0,16]", b"[-0,16]", b"[0,1.6e1]"])
def test_offsets_of_safetensors_are_plain_integers(spelling):
    data = safetensors.torch.save({"w": VALUES})
    length = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + length].rstrip().replace(b"[0,16]", spelling)
    changed = len(header).to_bytes(8, "little") + header + data[8 + length :]
    assert spelling in changed
    with pytest.raises(safetensors.SafetensorError):
        safetensors.deserialize(changed)
    with pytest.raises(Rejection, match="the number"):
        read_safetensors(changed)


def test_lone_surrogates_in_names_of_safetensors_are_refused():
    data = safetensors.torch.save({"w": VALUES})
    length = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + length].rstrip().replace(b'"w"', rb'"\ud800"')
    with pytest.raises(DAMAGE):
        read_model(len(header).to_bytes(8, "little") + header + data[8 + length :])
