"""Models of which torch or skops would take other values than the file seems to name, one change each."""

import io
import json
from types import SimpleNamespace

import pytest
import torch

from certify.errors import RefusedError
from certify.models.readers.pt2_file import read_pt2

from .test_one_program import FORMATS, Net, _archive, _pt2, by_torch, members
from .test_one_reading import REFUSED, reading
from .zip_layouts import mutant


def _as_sibling(tree, key):
    """The second array is said to be what the first is, in one respect."""
    first, second, *_ = tree["content"]["content"]["coefs_"]["content"]
    second[key] = first[key]


def _of_another_class(tree):
    for layer in tree["content"]["content"]["coefs_"]["content"]:
        layer["__class__"] = "float32"


def _of_two_types(tree):
    """Two float64 values are also four of float32."""
    weights = tree["config"]
    weights["second.bias"]["path_name"] = weights["first.weight"]["path_name"]


def _as_constant(tree):
    tree["config"]["saved"] = tree["config"]["unsaved"]


def _out_of_order(tree):
    """What remains of these positional arguments moves forward."""
    (node,) = [node for node in tree["graph_module"]["graph"]["nodes"] if "_assert_tensor" in node["target"]]
    node["inputs"] = [dict(entry, kind=1) for entry in node["inputs"] if entry["name"] in ("a", "dtype")]


def _nameless(tree):
    """Attributes of which skops makes the key True."""
    content = tree["content"]
    for name, kind in zip(content["content"], content["key_types"]["content"], strict=True):
        if name == "early_stopping":
            kind.update(__class__="bool", __id__=1)


def _of_no_name(tree):
    """An argument that the operation does not have."""
    (node,) = [node for node in tree["graph_module"]["graph"]["nodes"] if "_assert_tensor" in node["target"]]
    node["inputs"][-1]["name"] = "another"


CONSTANTS, WEIGHTS = "data/constants/model_constants_config.json", "data/weights/model_weights_config.json"
CRAFTED = {
    "one identity of two arrays": ("skops", {"schema.json": lambda tree: _as_sibling(tree, "__id__")}),
    "one file of two arrays": ("skops", {"schema.json": lambda tree: _as_sibling(tree, "file")}),
    "an array of another class": ("skops", {"schema.json": _of_another_class}),
    "an attribute without name": ("skops", {"schema.json": _nameless}),
    "one entry of two types": ("pt2", {WEIGHTS: _of_two_types}),
    "one name of two buffers": ("pt2", {CONSTANTS: _as_constant}),
    "positional arguments with a gap": ("pt2", {"models/model.json": _out_of_order}),
    "an argument of no name": ("pt2", {"models/model.json": _of_no_name}),
}


def crafted(name, edits):
    entries = []
    for entry, content in members(name):
        for suffix, edit in edits.items():
            if entry.endswith(suffix):
                tree = json.loads(content)
                edit(tree)
                content = json.dumps(tree).encode()
        entries.append((entry, content))
    return mutant(entries, SimpleNamespace(integers=lambda *_: 0))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("sort", CRAFTED)
def test_a_crafted_file_is_refused_or_read_as_its_library_reads_it(sort):
    name, edits = CRAFTED[sort]
    _, library, own = FORMATS[name]
    content = crafted(name, edits)
    found = reading(own, content, REFUSED)
    assert library(content) == found or found is None


@pytest.mark.filterwarnings("ignore")
def test_weights_of_an_older_layout_which_torch_prefers_are_refused():
    stream = io.BytesIO()
    torch.manual_seed(1)
    torch.save(Net().state_dict(keep_vars=True), stream)
    content = mutant(
        [*members("pt2"), ("archive/data/weights/model.pt", stream.getvalue())],
        SimpleNamespace(integers=lambda *_: 0),
    )
    assert by_torch(content) != by_torch(_pt2())
    with pytest.raises(RefusedError, match="pickled"):
        read_pt2(_archive(content))
