"""One reading of JSON beside arrays: what certify and torch, or skops, both accept is the same model, bit for bit.

Each file differs in its JSON, in the names of its entries, in the bytes of one, or in the layout of its archive.
"""

import contextlib
import copy
import io
import json
import zipfile
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import skops.io
import torch
from sklearn.neural_network import MLPRegressor

from certify.models.readers.exported_program import program_of_export
from certify.models.readers.model_reader import OpenedModel, open_archive
from certify.models.readers.perceptron import live_perceptron
from certify.models.readers.pt2_file import read_pt2
from certify.models.readers.skops_file import read_skops

from .samples import damaged
from .test_one_reading import REFUSED, _bounded_memory, opened, reading, wide  # noqa: F401
from .zip_layouts import mutant

ROUNDS, MUTANTS = 20, 1000
# Attributes of the estimator that are kept, so that changes meet them.
KEPT = ("shuffle", "activation", "solver", "batch_size", "loss", "tol", "alpha", "early_stopping", "out_activation_")


class Net(torch.nn.Module):
    """Every kind of tensor that a program has: parameters, buffers that are saved or not, and a constant."""

    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2).double()
        self.register_buffer("saved", torch.linspace(0, 1, 2))
        self.register_buffer("unsaved", torch.linspace(2, 3, 2), persistent=False)
        self.constant = torch.linspace(4, 5, 2)

    def forward(self, inputs):
        hidden = torch.relu(self.first(inputs) * self.saved + self.unsaved + self.constant)
        return hidden + self.second(inputs.double())


def _pt2():
    buffer = io.BytesIO()
    torch.manual_seed(0)
    torch.export.save(torch.export.export(Net().eval(), (torch.ones(4, 3),)), buffer)
    return buffer.getvalue()


def _perceptron_file():
    """An estimator with few attributes, and two hidden layers of the same shape."""
    rng = np.random.default_rng(0)
    estimator = MLPRegressor(hidden_layer_sizes=(3, 3), solver="sgd", max_iter=2, tol=0.5, early_stopping=True)
    estimator.fit(rng.normal(size=(20, 3)), rng.normal(size=20))
    for name in vars(estimator).keys() - {*KEPT, "coefs_", "intercepts_"}:
        delattr(estimator, name)
    return skops.io.dumps(estimator)


def by_torch(content):
    """What torch would run: a constant may have the name of a parameter."""
    exported = torch.export.load(io.BytesIO(content))
    program, signature = program_of_export(exported), exported.graph_signature
    buffers = dict(exported.named_buffers())
    held = {value: buffers[name] for value, name in signature.inputs_to_buffers.items()}
    held |= {value: exported.state_dict[name] for value, name in signature.inputs_to_parameters.items()}
    held |= {value: exported.constants[name] for value, name in signature.inputs_to_lifted_tensor_constants.items()}
    return _program(program, held)


def _program(program, held=None):
    held = held or {value: constant.tensor for value, constant in program.constants.items()}
    constants = {
        value: (constant.name, *wide(held[value]), constant.trained, constant.is_parameter)
        for value, constant in program.constants.items()
    }
    return program.inputs, constants, program.calls, program.outputs


def _perceptron(found):
    """All fields; arrays as their bits."""
    fields = {name: getattr(found, name) for name in found.__slots__}
    return fields | {name: [wide(tensor) for tensor in fields[name]] for name in ("weights", "biases")}


def _archive(content):
    file = opened(content)
    return OpenedModel(file, open_archive(file)).archive


# Format: a file, the library's reading, and that of certify.
FORMATS = {
    "pt2": (_pt2, by_torch, lambda content: _program(read_pt2(_archive(content)))),
    "skops": (
        _perceptron_file,
        lambda content: _perceptron(live_perceptron(skops.io.loads(content))),
        lambda content: _perceptron(read_skops(_archive(content))),
    ),
}


@cache
def members(name):
    with zipfile.ZipFile(io.BytesIO(FORMATS[name][0]())) as archive:
        return [(entry, archive.read(entry)) for entry in archive.namelist()]


def places(tree):
    """Every container of a JSON value with every key of it."""
    for key, value in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
        yield tree, key
        if isinstance(value, dict | list):
            yield from places(value)


def changed_json(content, rng):
    """What one entry says said of its sibling; or values in other places, missing or of other kinds."""
    tree = json.loads(content)
    for _ in range(rng.integers(1, 3)):
        found = list(places(tree))
        nested = [held[key] for held, key in found if isinstance(held[key], dict | list)]
        families = [list(one.values()) if isinstance(one, dict) else one for one in nested]
        families = [family for family in families if len(family) > 1 and all(isinstance(one, dict) for one in family)]
        if families and rng.integers(2):
            one, other = rng.choice(families[rng.integers(len(families))], 2)
            alike(one, other, rng)
            continue
        held, key = found[rng.integers(len(found))]
        other, there = found[rng.integers(len(found))]
        match int(rng.integers(4)):
            case 0:
                held[key] = copy.deepcopy(other[there])
            case 1:
                held[key], other[there] = copy.deepcopy(other[there]), copy.deepcopy(held[key])
            case 2:
                del held[key]
            case 3:
                scalars = (None, True, False, 0, 1, 2, 7, 8, 0.5, "float32", "float16", "bytes", "model")
                held[key] = scalars[rng.integers(len(scalars))]
    return json.dumps(tree).encode()


def alike(one, other, rng):
    """Something that the second says is said of the first as well."""
    shared = sorted(one.keys() & other.keys())
    if not shared:
        return
    key = shared[rng.integers(len(shared))]
    if isinstance(one[key], dict) and isinstance(other[key], dict) and rng.integers(4):
        alike(one[key], other[key], rng)
    else:
        one[key] = copy.deepcopy(other[key])


def renamed(entries, at, rng):
    """An entry under another name: that of another, one of an older layout, or one a letter away."""
    name, content = entries[at]
    older = ("weights/model.pt", "constants/model.pt", "version", "byteorder", "archive_format", "extra/model.json")
    match int(rng.integers(4)):
        case 0:
            name = entries[int(rng.integers(len(entries)))][0]
        case 1:
            name = f"archive/{rng.choice(('', 'data/'))}{rng.choice(older)}"
        case 2:
            place = int(rng.integers(len(name)))
            name = name[:place] + str(rng.choice(list("/xX."))) + name[place + int(rng.integers(2)) :]
        case 3:
            name = str(rng.choice(("x", "models/", "/", "archive/models/"))) + name
    return name, content


def file_of(name, rng):
    entries = list(members(name))
    layout = rng if not rng.integers(3) else SimpleNamespace(integers=lambda *_: 0)
    for _ in range(rng.integers(1, 3)):
        at = int(rng.integers(len(entries)))
        entry, content = entries[at]
        documents = [at for at, (entry, _) in enumerate(entries) if entry.endswith(".json")]
        match int(rng.integers(6)):
            case 0:
                entries.insert(int(rng.integers(len(entries) + 1)), renamed(entries, at, rng))
            case 1:
                entries[at] = renamed(entries, at, rng)
            case 2 if not entry.endswith(".pt"):
                # Never the pickle of the sample inputs, which torch trusts.
                entries[at] = (entry, damaged(content or b"0", rng))
            case _ if documents:
                at = documents[int(rng.integers(len(documents)))]
                # Damage before this may have left something else than JSON.
                with contextlib.suppress(ValueError, TypeError):
                    entries[at] = (entries[at][0], changed_json(entries[at][1], rng))
    return mutant(entries, layout)


def campaign(name, seed, count):
    """Number of files that both accept."""
    rng = np.random.default_rng([seed, len(name)])
    _, library, own = FORMATS[name]
    both = 0
    for _ in range(count):
        content = file_of(name, rng)
        found = reading(own, content, REFUSED)
        expected = None if found is None else reading(library, content, Exception)
        if expected is not None:
            both += 1
            assert found == expected
    return both


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FORMATS)
def test_what_both_read_is_the_same_model(name):
    assert campaign(name, 0, 150) > 10


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("turn", range(1, ROUNDS + 1))
@pytest.mark.parametrize("name", FORMATS)
def test_what_both_read_is_the_same_model_in_many_files(name, turn):
    assert campaign(name, turn, MUTANTS) > 100
