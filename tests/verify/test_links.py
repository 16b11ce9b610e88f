"""The link to files: digests, and values read again without torch; and the command line on top."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from certify.models.data.data_file import load_arrays
from certify.models.loading import Problem
from certify.models.spec.problem_file import load_problem_file
from certify.verify import verify_bytes
from certify.verify.links.model_file import read_model, read_safetensors
from certify.verify.rejection import Rejection
from certify.workflows.certificate_of import LossTerms, settled_certificate

from .cases import Case, packed, unpacked

CERTIFIED = sorted(path.parent for path in Path("fixtures/certified").glob("*/model.problem.yaml"))
# Heads have features that no file holds: `test_features`.
SIMPLE = [path for path in CERTIFIED if "relu" not in path.name and "head" not in path.name]


def settled_fixture(folder):
    spec = load_problem_file(str(folder / "model.problem.yaml"))
    data = load_arrays(spec.data)
    case = Case(Problem.from_files(spec), LossTerms.of(spec, data))
    kind = "quadratic-form" if "quadratic" in folder.name else "spectral"
    return spec, settled_certificate(case.problem, case.terms, case.bound(kind))


@pytest.mark.parametrize("folder", SIMPLE, ids=lambda path: path.name)
def test_fixtures_link_to_their_files(folder):
    spec, settled = settled_fixture(folder)
    model, data = spec.model.path.read_bytes(), spec.data.path.read_bytes()
    verdict = verify_bytes(settled.data, model, (data,))
    assert verdict.status == "valid", verdict.message
    assert verdict.model_linked
    assert verdict.data_linked
    assert not verdict.message
    assert verify_bytes(settled.data, model + b"\0", (data,)).rule == "model-digest"
    assert verify_bytes(settled.data, model, (data + b"\0",)).rule == "data-digest"


@pytest.mark.parametrize("folder", SIMPLE[:2], ids=lambda path: path.name)
def test_values_that_are_not_those_of_the_files_are_found_behind_right_digests(folder):
    spec, settled = settled_fixture(folder)
    model, data = spec.model.path.read_bytes(), spec.data.path.read_bytes()
    for name in ("W1", "X", "Y"):
        header, arrays = unpacked(settled.data)
        arrays[name].flat[0] = np.nextafter(arrays[name].flat[0], 0.5)
        header["claim"].update(upper=(2.0**100).hex(), lower=(-(2.0**100)).hex())
        verdict = verify_bytes(packed(header, arrays), model, (data,))
        assert verdict.rule in ("model-link", "data-link", "targets")


def test_without_files_the_verdict_says_what_was_not_checked():
    _, settled = settled_fixture(SIMPLE[0])
    assert "only the claim about the arrays" in verify_bytes(settled.data).message


def files_of(tmp_path, weights_dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Identity(), torch.nn.Linear(4, 2)).to(weights_dtype)
    x = torch.randn(9, 3, generator=generator)
    y = torch.randn(9, 2, generator=generator)
    np.savez(tmp_path / "train.npz", X=x.numpy(), y=y.numpy())
    np.save(tmp_path / "x.npy", x.numpy())
    np.save(tmp_path / "y.npy", y.numpy())
    safetensors.torch.save_file({"X": x, "y": y}, tmp_path / "train.safetensors")
    names = ["a", "b", "c", "p", "q"]
    rows = [",".join(names)] + [",".join(repr(float(v)) for v in row) for row in torch.cat([x, y], 1)]
    (tmp_path / "train.csv").write_text("\n".join(rows) + "\n")
    torch.save(model.state_dict(), tmp_path / "model.pt")
    wrapped = {f"module.{name}": value for name, value in model.state_dict().items()}
    safetensors.torch.save_file(wrapped, tmp_path / "model.safetensors")
    return tmp_path


DATA = {
    "train.npz": "{path: train.npz}",
    "train.safetensors": "{path: train.safetensors, inputs: X, targets: y}",
    "train.csv": "{path: train.csv, targets: [p, q]}",
    "x.npy": "{inputs: x.npy, targets: y.npy}",
}


@pytest.mark.parametrize("weights", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("model", ["model.pt", "model.safetensors"])
@pytest.mark.parametrize("data", DATA)
def test_every_format_is_read_again_bit_by_bit(tmp_path, data, model, weights):
    files_of(tmp_path, weights)
    (tmp_path / "p.yaml").write_text(
        f"schema: certify.problem/1\nmodel: {{path: {model}, layers: [{{linear: '0'}}, {{linear: '2'}}]}}\n"
        f"data: {DATA[data]}\nloss: {{name: mse}}\npenalty: {{weight_decay: 0.1}}\n"
    )
    spec = load_problem_file(str(tmp_path / "p.yaml"))
    case = Case(Problem.from_files(spec), LossTerms.of(spec, load_arrays(spec.data)))
    settled = settled_certificate(case.problem, case.terms, case.bound("spectral"))
    names = ["x.npy", "y.npy"] if data == "x.npy" else [data]
    files = tuple((tmp_path / name).read_bytes() for name in names)
    verdict = verify_bytes(settled.data, (tmp_path / model).read_bytes(), files)
    assert (verdict.status, verdict.message) == ("valid", "")


@pytest.mark.parametrize("model", ["model.pt", "model.safetensors"])
def test_models_read_as_torch_reads_them(tmp_path, model):
    files_of(tmp_path)
    expected = torch.load(tmp_path / "model.pt", weights_only=True)
    found = read_model((tmp_path / model).read_bytes())
    assert [name.removeprefix("module.") for name in sorted(found)] == sorted(expected)
    for name, values in found.items():
        assert (values == expected[name.removeprefix("module.")].double().numpy()).all()
    assert set(read_safetensors((tmp_path / "train.safetensors").read_bytes())) == {"X", "y"}


def test_views_and_shared_storages_are_read_by_their_strides(tmp_path):
    base = torch.arange(24, dtype=torch.float64)
    views = {"t": base.reshape(4, 6).T, "part": base[3:9], "whole": base}
    torch.save(views, tmp_path / "m.pt")
    found = read_model((tmp_path / "m.pt").read_bytes())
    for name, view in views.items():
        assert (found[name] == view.numpy()).all()


class Danger:
    def __reduce__(self):
        return (print, ("run",))


@pytest.mark.parametrize("content", [{"a": Danger()}, {"a": torch.nn.Linear(2, 2)}, [1, 2], {"a": 3}])
def test_other_pickles_are_refused_and_not_run(tmp_path, content, capsys):
    torch.save(content, tmp_path / "m.pt")
    with pytest.raises(Rejection):
        read_model((tmp_path / "m.pt").read_bytes())
    assert "run" not in capsys.readouterr().out


def test_damaged_files_behind_right_digests_are_refused():
    spec, settled = settled_fixture(SIMPLE[0])
    model, data = spec.model.path.read_bytes(), spec.data.path.read_bytes()
    for damaged in (model[:100], b"", b"PK\x03\x04", b"\x80\x02", model[:-30]):
        header, arrays = unpacked(settled.data)
        header["sources"]["model"] = hashlib.sha256(damaged).hexdigest()
        assert verify_bytes(packed(header, arrays), damaged).status == "refused"
    for damaged in (data[:100], b"x", b"PK\x03\x04", data[:-30]):
        header, arrays = unpacked(settled.data)
        header["sources"]["data"] = hashlib.sha256(damaged).hexdigest()
        assert verify_bytes(packed(header, arrays), None, (damaged,)).status != "valid"


def run(*arguments):
    command = [sys.executable, "-c", "from certify.cli.main import main; main()", "verify", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_speaks_in_exit_codes_text_and_json(tmp_path):
    spec, settled = settled_fixture(SIMPLE[0])
    path = tmp_path / "c.certificate"
    path.write_bytes(settled.data)
    done = run(path, "--model", spec.model.path, "--data", spec.data.path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "compared with the model and data file" in done.stdout
    done = run(path, "--format", "json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["status"], found["model_compared"]) == (0, "valid", False)
    assert found["objective_upper"] == settled.verdict.upper
    path.write_bytes(settled.data[:-1])
    done = run(path)
    assert done.returncode == 5
    assert "digest" in done.stdout
    header, arrays = unpacked(settled.data)
    header["claim"]["lower"] = (100.0).hex()
    path.write_bytes(packed(header, arrays))
    done = run(path, "--format", "json")
    assert (done.returncode, json.loads(done.stdout)["rule"]) == (1, "dual-value")
    assert run(tmp_path / "none").returncode == 2


def test_verification_imports_neither_torch_nor_a_solver():
    source = (
        "import sys; import certify.workflows.verify, certify.cli.main; "
        "print([m for m in ('torch', 'cvxpy', 'scipy', 'pydantic') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_certificate_is_written_whole_or_not_at_all(tmp_path):
    from certify.certificates.certificate_file import save_certificate
    from certify.errors import UsageError

    save_certificate(tmp_path / "c", b"one")
    save_certificate(tmp_path / "c", b"two")
    assert (tmp_path / "c").read_bytes() == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
    with pytest.raises(UsageError):
        save_certificate(tmp_path / "no" / "c", b"")
