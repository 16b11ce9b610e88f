"""What holds of every registered data reader; one joins by its line in the registry and a sample here."""

import numpy as np
import pytest
import safetensors.numpy

from certify.models.data.data_file import DATA_READERS, data_reader_of
from certify.models.readers.input_file import open_input
from certify.models.spec.problem_sections import DataSpec

X, Y = np.arange(6.0).reshape(3, 2), np.arange(3.0)
SAMPLES = {
    "arrays.npz": lambda path: np.savez(path, X=X, y=Y),
    "array.npy": lambda path: np.save(path, X),
    "arrays.safetensors": lambda path: safetensors.numpy.save_file({"X": X, "y": Y}, path),
    "table.csv": lambda path: path.write_text("X,y\n0,0\n2,1\n4,2\n"),
    # Its marks alone; `test_parquet` reads whole files.
    "table.parquet": lambda path: path.write_bytes(b"PAR1" + bytes(100)),
}


@pytest.fixture
def opened(tmp_path):
    def open_sample(name):
        SAMPLES[name](tmp_path / name)
        return open_input(tmp_path / name, "data file")

    return open_sample


def readers_of(file):
    return [reader for reader in DATA_READERS if reader.sniff(file)]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_taken_by_one_reader_whatever_the_order(name, opened):
    with opened(name) as file:
        assert len(readers_of(file)) == 1


def test_every_reader_takes_a_sample(opened):
    taken = set()
    for name in SAMPLES:
        with opened(name) as file:
            taken.update(readers_of(file))
    assert taken == set(DATA_READERS)


@pytest.mark.parametrize("name", [name for name in SAMPLES if not name.endswith((".npy", ".parquet"))])
def test_arrays_have_the_names_and_shapes_that_are_told(name, opened):
    with opened(name) as file:
        shapes = data_reader_of(file).shapes(file)
    with opened(name) as file:
        found = data_reader_of(file).read(file, DataSpec(path=file.path, inputs="X", targets="y"))
    assert set(shapes) == {"X", "y"}
    for role, array in (("X", found["inputs"]), ("y", found["targets"])):
        # A column is told without a shape.
        assert shapes[role] in (tuple(array.shape), ())
