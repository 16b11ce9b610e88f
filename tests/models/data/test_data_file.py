import io
import zipfile

import numpy as np
import pytest
import safetensors.numpy
import torch

from certify.errors import CertifyError, ExitCode, RefusedError, UsageError
from certify.models.data.data_file import data_shapes, load_arrays
from certify.models.readers import input_file
from certify.models.spec.problem_sections import DataSpec


def spec(**sections):
    return DataSpec.model_validate(sections)


def failure(kind, code, /, *words, **sections):
    with pytest.raises(kind) as caught:
        load_arrays(spec(**sections))
    assert caught.value.code == code
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_is_read_exactly(tmp_path, arrays, save):
    X, y = arrays
    save(tmp_path / "d.npz", X=X.astype(np.float32), y=y, w=np.arange(20), m=y > 0)
    found = load_arrays(spec(path=tmp_path / "d.npz", inputs="X", targets="y", sample_weights="w", mask="m"))
    assert torch.equal(found.inputs, torch.tensor(X.astype(np.float32)).double())
    assert torch.equal(found.targets, torch.tensor(y))
    assert torch.equal(found.sample_weights, torch.arange(20).double())
    assert torch.equal(found.mask, torch.tensor(y > 0))
    assert len(found.sha256) == 64


def test_fortran_order_and_big_endian_are_read(tmp_path, arrays):
    np.savez(tmp_path / "d.npz", X=np.asfortranarray(arrays[0]), y=arrays[1].astype(">f4"))
    found = load_arrays(spec(path=tmp_path / "d.npz"))
    assert torch.equal(found.inputs, torch.tensor(arrays[0]))
    assert torch.equal(found.targets, torch.tensor(arrays[1].astype(np.float32)).double())


def test_a_pair_of_npy_is_read(tmp_path, arrays):
    np.save(tmp_path / "X.npy", arrays[0])
    np.save(tmp_path / "y.npy", arrays[1])
    content = {"inputs": "X.npy", "targets": "y.npy"}
    found = load_arrays(DataSpec.model_validate(content, context={"folder": tmp_path}))
    assert torch.equal(found.inputs, torch.tensor(arrays[0]))
    assert found.path == tmp_path / "X.npy"


def test_safetensors_are_read(tmp_path, arrays):
    safetensors.numpy.save_file({"X": arrays[0], "y": np.arange(20)}, tmp_path / "d.safetensors")
    found = load_arrays(spec(path=tmp_path / "d.safetensors"))
    assert torch.equal(found.targets, torch.arange(20).double())


def test_csv_columns_are_chosen_by_name(tmp_path):
    (tmp_path / "d.csv").write_text("\ufeffa, b,w,y\n1,2,1,0.1\n3,-4e2,2,1e-3\n\n", encoding="utf-8")
    found = load_arrays(spec(path=tmp_path / "d.csv", targets="y", sample_weights="w"))
    assert found.inputs.tolist() == [[1, 2], [3, -400]]
    assert found.targets.tolist() == [0.1, 1e-3]
    assert found.sample_weights.tolist() == [1, 2]
    two = load_arrays(spec(path=tmp_path / "d.csv", inputs=["b", "a"], targets=["y", "w"]))
    assert two.inputs.tolist() == [[2, 1], [-400, 3]]
    assert two.targets.tolist() == [[0.1, 1], [1e-3, 2]]


def test_one_dimensional_inputs_are_one_column(tmp_path):
    np.savez(tmp_path / "d.npz", X=np.arange(5.0), y=np.arange(5.0))
    assert load_arrays(spec(path=tmp_path / "d.npz")).inputs.shape == (5, 1)


def test_targets_outside_the_mask_may_be_non_finite(tmp_path):
    y = np.array([1.0, np.nan, 3.0])
    np.savez(tmp_path / "d.npz", X=np.eye(3), y=y, m=np.isfinite(y))
    found = load_arrays(spec(path=tmp_path / "d.npz", mask="m"))
    assert found.targets.shape == found.mask.shape == (3, 1)
    assert torch.isfinite(found.targets).all()
    assert found.targets[[0, 2], 0].tolist() == [1, 3]


def test_missing_arrays_are_named_with_those_there(tmp_path, arrays):
    np.savez(tmp_path / "d.npz", inputs=arrays[0], targets=arrays[1])
    failure(UsageError, "missing-array", "'input'", "did you mean 'inputs'?", "targets", path=tmp_path / "d.npz",
            inputs="input", targets="targets")  # fmt: skip
    (tmp_path / "d.csv").write_text("a,b\n1,2\n")
    failure(UsageError, "missing-array", "'y'", "a, b", path=tmp_path / "d.csv")
    safetensors.numpy.save_file({"X": arrays[0]}, tmp_path / "d.safetensors")
    failure(UsageError, "missing-array", "'y'", path=tmp_path / "d.safetensors")


def test_a_missing_file_is_a_usage_error(tmp_path):
    failure(UsageError, "missing-file", "absent.npz", path=tmp_path / "absent.npz")


@pytest.mark.parametrize(
    ("X", "y", "kind", "code", "words"),
    [
        (np.ones((3, 2)), np.ones(4), UsageError, "shape-mismatch", ["3 inputs but 4 targets"]),
        (np.ones((0, 2)), np.ones(0), UsageError, "shape-mismatch", ["no data"]),
        (np.float64(1), np.ones(1), UsageError, "shape-mismatch", ["()"]),
        (np.array([[1, np.nan], [np.inf, 1]]), np.ones(2), RefusedError, "non-finite", ["2 non-finite of 4", "(0, 1)"]),
        (np.ones((1, 2)), np.array([np.nan]), RefusedError, "non-finite", ["targets", "(0,)"]),
        (np.ones((2, 2), dtype=complex), np.ones(2), RefusedError, "dtype", ["complex128"]),
        (np.array([["a"]]), np.ones(1), RefusedError, "dtype", ["<U1"]),
        (np.array([["2020-01-01"]], dtype="M8[D]"), np.ones(1), RefusedError, "dtype", ["datetime64"]),
        (np.ones((1, 1), dtype=np.longdouble), np.ones(1), RefusedError, "dtype", ["float128"]),
        (np.array([[2**60 + 1]]), np.ones(1), RefusedError, "dtype", ["2^53"]),
        (np.array([[2**64 - 1]], dtype=np.uint64), np.ones(1), RefusedError, "dtype", ["2^53"]),
    ],
)
def test_unfit_arrays_are_named(tmp_path, X, y, kind, code, words):
    np.savez(tmp_path / "d.npz", X=X, y=y)
    failure(kind, code, "d.npz", *words, path=tmp_path / "d.npz")


def test_masks_hold_booleans_of_the_shape_of_the_targets(tmp_path):
    np.savez(tmp_path / "d.npz", X=np.eye(3), y=np.ones((3, 2)), m=np.full((3, 2), 0.5), k=np.ones((2, 2)))
    failure(UsageError, "mask", "booleans", path=tmp_path / "d.npz", mask="m")
    failure(UsageError, "shape-mismatch", "mask has shape (2, 2)", path=tmp_path / "d.npz", mask="k")


def test_pickled_arrays_are_refused_and_never_loaded(tmp_path):
    class Trap:
        def __reduce__(self):
            return open, (str(tmp_path / "ran"), "w")

    np.savez(tmp_path / "d.npz", X=np.array([[Trap()]], dtype=object), y=np.ones(1))
    failure(RefusedError, "unsafe-file", "pickle", path=tmp_path / "d.npz")
    assert not (tmp_path / "ran").exists()


def npy_header(shape):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def test_a_header_that_declares_too_much_is_refused(tmp_path):
    for name, shape in (("over-limit", (2**40, 2**10)), ("corrupt-file", (100, 2))):
        with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
            archive.writestr("X.npy", npy_header(shape))
            archive.writestr("y.npy", npy_header((0,)))
        failure(RefusedError, name, path=tmp_path / "d.npz")


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "d.npz", X=np.zeros((2**15, 4)), y=np.zeros(2**15))
    assert (tmp_path / "d.npz").stat().st_size < 2**16
    monkeypatch.setattr(input_file, "MAX_BYTES", 2**19)
    failure(RefusedError, "over-limit", path=tmp_path / "d.npz")


@pytest.mark.parametrize(
    ("text", "code", "word"),
    [
        ("a,y\n1,x\n", "not-numeric", "row 2, column 'y': 'x' is not a number"),
        ("a,y\n1,\n", "not-numeric", "''"),
        ("a,y\n1,1_0\n", "not-numeric", "'1_0'"),
        ("a,y\n1\n", "corrupt-file", "row 2 has 1 cells, the header 2 columns"),
        ("a,a,y\n1,1,1\n", "corrupt-file", "two columns are named 'a'"),
        ("1,2\n3,4\n", "corrupt-file", "must name the columns"),
        ("a;y\n3;4\n", "corrupt-file", "commas"),
        ("", "corrupt-file", ""),
        ("a,,y\n", "corrupt-file", "name every column"),
        ("a,y\n1,nan\n", "non-finite", "targets"),
        ('a,y\n1,"2\n', "corrupt-file", "CSV"),
        (b"a,y\n1,\xff\n", "corrupt-file", "UTF-8"),
        ("a,y\n1," + "1" * 200_000, "corrupt-file", "CSV"),
    ],
)
def test_faults_of_a_csv_name_row_and_column(tmp_path, text, code, word):
    (tmp_path / "d.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    failure(RefusedError, code, "d.csv", word, path=tmp_path / "d.csv")


def test_a_csv_without_rows_holds_no_data(tmp_path):
    (tmp_path / "d.csv").write_text("a,y\n")
    failure(UsageError, "shape-mismatch", path=tmp_path / "d.csv")


def test_a_column_is_not_both_input_and_target(tmp_path):
    (tmp_path / "d.csv").write_text("a,y\n1,2\n")
    failure(UsageError, "usage", "both an input and a target", path=tmp_path / "d.csv", inputs=["a", "y"], targets="y")


def test_lists_of_columns_are_for_csv(data_file):
    failure(UsageError, "usage", "for .csv", path=data_file, inputs=["a", "b"])


def test_one_npy_alone_is_a_usage_error(tmp_path):
    np.save(tmp_path / "X.npy", np.ones((3, 2)))
    failure(UsageError, "missing-array", "data.inputs and data.targets", path=tmp_path / "X.npy")


@pytest.mark.parametrize("content", [b"", b"hello", bytes(200)])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "d.npz").write_bytes(content)
    failure(RefusedError, "corrupt-file", path=tmp_path / "d.npz")


@pytest.mark.parametrize("form", ["npz", "compressed", "npy", "safetensors", "csv"])
def test_damaged_data_are_read_or_refused(tmp_path, form):
    X, y = np.random.default_rng(0).normal(size=(4, 3)), np.ones(4)
    path = tmp_path / f"d.{form if form in ('csv', 'npy', 'safetensors') else 'npz'}"
    sections = {"path": path}
    if form == "npy":
        np.save(path, X)
        np.save(tmp_path / "y.npy", y)
        sections = {"inputs": str(path), "targets": str(tmp_path / "y.npy")}
    elif form == "safetensors":
        safetensors.numpy.save_file({"X": X, "y": y}, path)
    elif form == "csv":
        path.write_text("a,b,y\n" + "".join(f"{row[0]},{row[1]},1\n" for row in X))
    else:
        (np.savez if form == "npz" else np.savez_compressed)(path, X=X, y=y)
    whole, rng = path.read_bytes(), np.random.default_rng(1)
    samples = [whole[:length] for length in range(0, len(whole), 1 + len(whole) // 300)]
    for _ in range(500):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), size=rng.integers(1, 4)):
            damaged[at] = rng.integers(0, 256)
        samples.append(bytes(damaged))
    for sample in samples:
        path.write_bytes(sample)
        for read in (lambda: load_arrays(spec(**sections)), lambda: data_shapes(path)):
            try:
                read()
            except CertifyError as error:
                assert error.exit_code in (ExitCode.USAGE, ExitCode.REFUSED, ExitCode.UNSUPPORTED)  # noqa: PT017
                assert "\n" not in str(error)  # noqa: PT017
