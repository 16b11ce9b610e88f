"""What holds of every registered reader; one joins by its line in the registry and a sample in `hostile.samples`."""

import numpy as np
import pytest

from certify.models.graph.layers import LayerGraph
from certify.models.model_file import reader_of
from certify.models.readers.model_reader import open_model
from certify.models.readers.registry import MODEL_READERS
from tests.models.readers.hostile.samples import MODELS


@pytest.fixture
def sample(tmp_path):
    def write(name):
        path = tmp_path / name
        path.write_bytes(MODELS[name]())
        return path

    return write


def readers_of(path):
    with open_model(path) as opened:
        return [reader for reader in MODEL_READERS if reader.sniff(opened)]


@pytest.mark.parametrize("name", MODELS)
def test_a_sample_is_taken_by_one_reader_whatever_the_order(name, sample):
    assert len(readers_of(sample(name))) == 1


def test_every_reader_takes_a_sample(sample):
    assert {reader for name in MODELS for reader in readers_of(sample(name))} == set(MODEL_READERS)


def test_a_data_file_is_taken_by_no_reader(tmp_path):
    np.save(tmp_path / "X.npy", np.ones((3, 2)))
    (tmp_path / "train.csv").write_text("a,y\n1,2\n")
    assert readers_of(tmp_path / "X.npy") == readers_of(tmp_path / "train.csv") == []


@pytest.mark.parametrize("name", MODELS)
def test_shapes_are_those_of_what_is_read(name, sample):
    path = sample(name)
    with open_model(path) as opened:
        shapes = reader_of(opened).shapes(opened)
    with open_model(path) as opened:
        whole = reader_of(opened).read(opened)
    assert type(shapes) is type(whole)
    assert _told(shapes) == _told(whole)
    if isinstance(whole, LayerGraph):
        assert shapes.layers == whole.layers


def _told(found):
    parameters = [(name, tensor.shape, tensor.dtype) for name, tensor in found.parameters.items()]
    return parameters, found.prefix, found.format, found.path, found.sha256
