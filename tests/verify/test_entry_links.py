"""Links of factorizations to files: entries and tables read again from every format, and files that say otherwise."""

import hashlib
import io
import zipfile

import numpy as np
import pytest
import safetensors.numpy
import torch
import yaml

from certify.models.loading import Problem
from certify.models.spec.problem_file import load_problem_file
from certify.verify import verify_bytes
from certify.workflows.check import CheckOptions, run_check

from .packing import packed, unpacked

SHAPE = (5, 4)
RNG = np.random.default_rng(96)
PLACES = np.stack(np.unravel_index(np.sort(RNG.permutation(20)[:13]), SHAPE), 1)
VALUES, WEIGHTS = RNG.standard_normal(13), RNG.random(13)
TABLES = {"U": RNG.standard_normal((5, 2)), "V": RNG.standard_normal((2, 4)), "b": RNG.standard_normal((4, 1))}


def npz(**arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def full(values, blank=np.nan):
    """All of the matrix."""
    found = np.full(SHAPE, blank)
    found[tuple(PLACES.T)] = values
    return found


def coordinates(**changes):
    rows, cols = PLACES.T
    given = {"rows": rows, "cols": cols, "values": VALUES, "shape": np.array(SHAPE), "weights": WEIGHTS}
    return npz(**(given | changes))


def triplets(titles):
    lines = [f"{i},{j},{value!r}" for (i, j), value in zip(PLACES.tolist(), VALUES.tolist(), strict=True)]
    return "\n".join([titles, *lines, ""]).encode()


MASK = full(1.0, 0.0).astype(bool)
FULL = {"y": full(VALUES), "w": full(WEIGHTS, 1.0)}
DATA = {
    "coordinates": ("npz", {}, coordinates()),
    "coordinates, other weights": ("npz", {"sample_weights": "other"}, coordinates(other=WEIGHTS**2)),
    "places": ("npz", {"inputs": "at", "targets": "r"}, npz(at=PLACES, r=VALUES)),
    "places, tensors": ("safetensors", {"inputs": "at"}, safetensors.numpy.save({"at": PLACES, "y": VALUES})),
    "full": ("npz", {"sample_weights": "w"}, npz(**FULL)),
    "full, masked": ("npz", {"mask": "m"}, npz(y=full(VALUES, 7.0), m=MASK)),
    "full, tensors": ("safetensors", {"mask": "m"}, safetensors.numpy.save({"y": full(VALUES, 7.0), "m": MASK})),
    "ratings": ("csv", {}, triplets("user,item,rating")),
    "named columns": ("csv", {"inputs": ["a", "b"], "targets": "c"}, triplets("a,b,c")),
}


def model_bytes():
    stream = io.BytesIO()
    torch.save({name: torch.from_numpy(values.copy()) for name, values in TABLES.items()}, stream)
    return stream.getvalue()


def certificate(folder, suffix, names, data):
    """A certificate of the tables on the data, with both files."""
    model = model_bytes()
    (folder / "model.pt").write_bytes(model)
    (folder / f"data.{suffix}").write_bytes(data)
    content = {
        "schema": "certify.problem/1",
        "model": {
            "path": "model.pt",
            "layers": [{"factorization": {"left": "U", "right": "V.T", "column_bias": "b", "scale": 0.5}}],
        },
        "data": {"path": f"data.{suffix}"} | names,
        "loss": {"name": "mse", "reduction": "mean"},
        "penalty": {"weight_decay": 0.1, "entry_counts": True},
        "budget": {"seconds": 1.0},
    }
    (folder / "problem.yaml").write_text(yaml.safe_dump(content))
    problem = Problem.from_files(load_problem_file(folder / "problem.yaml"))
    return run_check(problem, CheckOptions()).certificate, model, data


@pytest.mark.parametrize("name", DATA)
def test_entries_of_every_format_are_read_again(tmp_path, name):
    made, model, data = certificate(tmp_path, *DATA[name])
    verdict = verify_bytes(made, model, (data,))
    assert verdict.status == "valid", verdict.message
    assert verdict.model_compared.keys() == {"F0.0", "F0.1", "C0"}
    assert {"X", "Y"} <= verdict.data_compared.keys()
    _, arrays = unpacked(made)
    np.testing.assert_array_equal(arrays["X"], PLACES)
    np.testing.assert_array_equal(arrays["Y"][:, 0], VALUES)
    np.testing.assert_array_equal(arrays["F0.1"], TABLES["V"])
    if "sample_weights" in arrays:
        expected = WEIGHTS**2 if "other" in str(DATA[name][1]) else WEIGHTS
        np.testing.assert_array_equal(arrays["sample_weights"], expected)


def doubled_member():
    """`y` as `y.npy`, and again under a name that numpy takes for it."""
    stream = io.BytesIO(npz(at=PLACES, r=VALUES))
    with zipfile.ZipFile(stream, "a") as archive:
        array = io.BytesIO()
        np.save(array, VALUES + 1)
        archive.writestr("r.npy.npy", array.getvalue())
    return stream.getvalue()


FEWER = full(np.where(np.arange(13) == 5, np.nan, VALUES))
OTHERS = {
    "another value": ("coordinates", coordinates(values=np.nextafter(VALUES, 9)), "data-link"),
    "another place": ("coordinates", coordinates(rows=PLACES[::-1, 0].copy()), "data-link"),
    "another order": ("places", npz(at=PLACES[::-1].copy(), r=VALUES[::-1].copy()), "data-link"),
    "another shape": ("coordinates", coordinates(shape=np.array([6, 4])), "data-link"),
    "a shape that is no integer": ("coordinates", coordinates(shape=np.array([5.0, 4.0])), "data-file"),
    "places that are no integers": ("coordinates", coordinates(rows=PLACES[:, 0] + 0.0), "data-file"),
    "other weights": ("coordinates", coordinates(weights=WEIGHTS * 2), "data-link"),
    "a missing entry": (
        "full",
        npz(**FULL | {"y": FEWER}),
        "data-link",
    ),
    "a matrix of another shape": ("full", npz(**FULL | {"y": full(VALUES).T}), "data-link"),
    "a mask that is neither 0 nor 1": ("full, masked", npz(y=full(VALUES, 7.0), m=2.0 * MASK), "data-link"),
    "a mask of another shape": ("full, masked", npz(y=full(VALUES, 7.0), m=MASK[:1]), "data-link"),
    "an array that is not there": ("places", npz(at=PLACES, q=VALUES), "data-file"),
    "a member twice": ("places", doubled_member(), "data-file"),
    "other columns": ("ratings", triplets("user,rating,item"), "data-link"),
    "columns of no known name": ("ratings", triplets("a,b,c"), "data-file"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_files_that_say_otherwise_are_told(tmp_path, name):
    base, data, rule = OTHERS[name]
    made, model, _ = certificate(tmp_path, *DATA[base])
    header, arrays = unpacked(made)
    header["statement"]["data"]["sha256"] = hashlib.sha256(data).hexdigest()
    assert verify_bytes(packed(header, arrays), model, (data,)).rule == rule


@pytest.mark.parametrize("names", [{"inputs": ["at"]}, {"targets": ["r"]}, {"sample_weights": ["r"]}, {"mask": "r"}])
def test_names_that_do_not_fit_the_file_are_told(tmp_path, names):
    for base in ("places", "places, tensors"):
        made, model, data = certificate(tmp_path, *DATA[base])
        header, arrays = unpacked(made)
        header["statement"]["data"]["names"] |= names
        assert verify_bytes(packed(header, arrays), model, (data,)).rule in ("data-file", "data-link")


def test_a_table_that_is_not_transposed_is_told(tmp_path):
    made, model, data = certificate(tmp_path, *DATA["coordinates"])
    header, arrays = unpacked(made)
    header["sources"]["parameters"]["F0.1"][0]["axis"] = 1
    assert verify_bytes(packed(header, arrays), model, (data,)).rule == "model-link"
