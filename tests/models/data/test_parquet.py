"""Parquet tables: what csv gives, from the columns that are asked for alone."""

import contextlib
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from certify.cli.main import cli
from certify.errors import CertifyError
from certify.models.data.data_file import entry_extents, load_arrays, load_table
from certify.models.spec.problem_sections import DataSpec

RNG = np.random.default_rng(0)
ROWS = 30


def spec(path, **sections):
    return DataSpec.model_validate({"path": path} | sections)


@pytest.fixture
def pyarrow():
    pytest.importorskip("pyarrow.parquet")
    return sys.modules["pyarrow"]


def saved(pyarrow, path, **columns):
    pyarrow.parquet.write_table(pyarrow.table(columns), path, row_group_size=7)
    names = [name for name, values in columns.items() if np.asarray(values).dtype.kind in "fiu"]
    lines = [",".join(map(repr, row)) for row in zip(*(np.asarray(columns[n]).tolist() for n in names), strict=True)]
    path.with_suffix(".csv").write_text("\n".join([",".join(names), *lines]) + "\n")
    return path


def places():
    chosen = RNG.permutation(5 * 8)[:ROWS]
    return {"user": (chosen // 8).astype(np.int64), "item": (chosen % 8).astype(np.int32)}


def same(one, other):
    assert torch.equal(one.inputs, other.inputs)
    assert torch.equal(one.targets, other.targets)
    pairs = one.sample_weights, other.sample_weights
    assert pairs == (None, None) or torch.equal(*pairs)


def test_ratings_are_those_of_csv(pyarrow, tmp_path):
    given = places() | {"rating": RNG.standard_normal(ROWS), "title": ["a"] * ROWS, "w": RNG.random(ROWS)}
    path = saved(pyarrow, tmp_path / "r.parquet", **given)
    for more in ({}, {"sample_weights": "w"}, {"inputs": ["item", "user"], "targets": "w"}):
        found = load_arrays(spec(path, **more), (5, 8))
        same(found, load_arrays(spec(path.with_suffix(".csv"), **more), (5, 8)))
        assert found.inputs.shape == (ROWS, 2)
    assert entry_extents(spec(path)) == (given["user"].max() + 1, given["item"].max() + 1)


def test_tables_are_those_of_csv(pyarrow, tmp_path):
    given = {"a": RNG.standard_normal(ROWS), "b": RNG.standard_normal(ROWS).astype(np.float32), "y": np.arange(ROWS)}
    path = saved(pyarrow, tmp_path / "t.parquet", **given)
    for more in ({}, {"targets": "b"}, {"targets": ["a", "y"]}, {"inputs": ["a"], "sample_weights": "y"}):
        same(load_arrays(spec(path, **more)), load_arrays(spec(path.with_suffix(".csv"), **more)))
    assert load_table(spec(path))[0].shape == (ROWS, 3)


@pytest.mark.parametrize(
    ("column", "words", "code"),
    [
        (["x"] * ROWS, "holds string, not numbers", "not-numeric"),
        ([1.0, None] * (ROWS // 2), "15 values are missing", "non-finite"),
        ([float("nan")] * ROWS, "non-finite", "non-finite"),
        ([2**53 + 1] * ROWS, "not exact", "dtype"),
    ],
)
def test_columns_that_are_no_numbers_are_refused(pyarrow, tmp_path, column, words, code):
    path = tmp_path / "t.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"a": column, "y": np.arange(ROWS)}), path)
    with pytest.raises(CertifyError, match=words) as caught:
        load_arrays(spec(path))
    assert caught.value.code == code


def test_a_name_that_is_not_there_is_named(pyarrow, tmp_path):
    path = saved(pyarrow, tmp_path / "t.parquet", a=np.ones(ROWS), y=np.ones(ROWS))
    with pytest.raises(CertifyError, match="no array or column 'z'"):
        load_arrays(spec(path, targets="z"))
    with pytest.raises(CertifyError, match="say which hold the places"):
        load_arrays(spec(path), (5, 8))


def test_damage_anywhere_is_refused_or_changes_nothing_unseen(pyarrow, tmp_path):
    """Pages have no checksums by default: a changed byte may give other numbers, but no crash; the digest tells."""
    path = saved(pyarrow, tmp_path / "t.parquet", a=RNG.standard_normal(ROWS), y=RNG.standard_normal(ROWS))
    content = path.read_bytes()
    for at in [*range(4, len(content), 37), len(content) - 5]:
        changed = bytearray(content)
        changed[at] ^= 0xFF
        path.write_bytes(changed)
        with contextlib.suppress(CertifyError):
            assert load_arrays(spec(path)).inputs.shape == (ROWS, 1)
    path.write_bytes(content[:-40])
    with pytest.raises(CertifyError, match="not a sound Parquet file"):
        load_arrays(spec(path))


def test_a_factorization_is_checked_and_the_checker_says_that_it_reads_no_parquet(pyarrow, tmp_path):
    path = saved(pyarrow, tmp_path / "r.parquet", **places(), rating=RNG.standard_normal(ROWS))
    tables = {"U": torch.zeros(5, 1, dtype=torch.float64), "V": torch.zeros(8, 1, dtype=torch.float64)}
    torch.save(tables, tmp_path / "m.pt")
    text = "schema: certify.problem/1\npenalty: {weight_decay: 1.0}\nloss: {reduction: sum}\ndata: {path: r.parquet}\n"
    layers = "[{factorization: {left: U, right: V}}]"
    (tmp_path / "m.problem.yaml").write_text(text + f"model: {{path: m.pt, layers: {layers}}}\n")
    out, proof = str(tmp_path / "out.pt"), str(tmp_path / "proof")
    runner = CliRunner()
    grown = runner.invoke(cli, ["grow", str(tmp_path / "m.pt"), "-o", out, "--certificate", proof])
    assert grown.exit_code == 0, grown.output
    assert runner.invoke(cli, ["verify", proof, "--model", out]).exit_code == 0
    verified = runner.invoke(cli, ["verify", proof, "--data", str(path)])
    assert verified.exit_code != 0
    assert "Parquet" in verified.output


def test_without_pyarrow_the_message_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1" + bytes(100))
    with pytest.raises(CertifyError, match=r"certify-optimality\[parquet\]") as caught:
        load_arrays(spec(path))
    assert caught.value.code == "missing-extra"
