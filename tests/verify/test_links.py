"""The link to files: digests, recipes of parameters, and values read again without torch from every format."""

import copy
import hashlib
import io
import subprocess
import sys

import numpy as np
import pytest
import safetensors.torch
import torch

from certify.verify import Rejection, verify_bytes
from certify.verify.links.model_file import read_model, read_safetensors

from .building import Branch, build
from .packing import packed

NAMES = dict.fromkeys(("inputs", "targets", "sample_weights", "mask"))


def files_of(folder, weights_dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Identity(), torch.nn.Linear(4, 2)).to(weights_dtype)
    x = torch.randn(9, 3, generator=generator)
    y = torch.randn(9, 2, generator=generator)
    np.savez(folder / "train.npz", X=x.numpy(), y=y.numpy())
    np.save(folder / "x.npy", x.numpy())
    np.save(folder / "y.npy", y.numpy())
    safetensors.torch.save_file({"X": x, "y": y}, folder / "train.safetensors")
    names = ["a", "b", "c", "p", "q"]
    rows = [",".join(names)] + [",".join(repr(float(v)) for v in row) for row in torch.cat([x, y], 1)]
    (folder / "train.csv").write_text("\n".join(rows) + "\n")
    torch.save(model.state_dict(), folder / "model.pt")
    wrapped = {f"module.{name}": value for name, value in model.state_dict().items()}
    safetensors.torch.save_file(wrapped, folder / "model.safetensors")
    return model.double(), x.double().numpy(), y.double().numpy()


def whole(name):
    return [{"name": name, "axis": None, "group": 1}]


def along(name, axis, group=1):
    return {"name": name, "axis": axis, "group": group}


def linked(built, recipes, model, files, names=None):
    """The certificate with digests and names of files."""
    header, arrays = built.made
    header["sources"] |= {"model": hashlib.sha256(model).hexdigest(), "parameters": recipes}
    digests = [hashlib.sha256(data).hexdigest() for data in files]
    joined = hashlib.sha256("".join(digest + "\n" for digest in digests).encode()).hexdigest()
    header["statement"]["data"] = {"sha256": joined if len(files) > 1 else digests[0], "names": names or dict(NAMES)}
    return header, arrays


DATA = {
    "train.npz": NAMES,
    "train.safetensors": NAMES | {"inputs": "X", "targets": "y"},
    "train.csv": NAMES | {"targets": ["p", "q"]},
    "x.npy": NAMES | {"inputs": "x", "targets": "y"},
}


@pytest.mark.parametrize("weights", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("model", ["model.pt", "model.safetensors"])
@pytest.mark.parametrize("data", DATA)
def test_every_format_is_read_again_bit_by_bit(tmp_path, data, model, weights):
    network, x, y = files_of(tmp_path, weights)
    first, second = network[0], network[2]
    arrays = {
        "X": x,
        "Y": y,
        "F0.0": first.weight,
        "F0.bias": first.bias,
        "F0.1": second.weight.T,
        "C0": second.bias[None],
    }
    arrays = {name: np.ascontiguousarray(torch.as_tensor(values).detach().numpy()) for name, values in arrays.items()}
    branch = Branch(("linear", "linear"), "spectral", bias="penalized")
    built = build(branch, samples=9, outside=[("ones", 0.05)], arrays=arrays)
    prefix = "module." if "safetensors" in model else ""
    recipes = {"F0.0": whole(f"{prefix}0.weight"), "F0.bias": whole(f"{prefix}0.bias")}
    recipes |= {"F0.1": [along(f"{prefix}2.weight", 1)], "C0": whole(f"{prefix}2.bias")}
    names = ["x.npy", "y.npy"] if data == "x.npy" else [data]
    files = tuple((tmp_path / name).read_bytes() for name in names)
    content = (tmp_path / model).read_bytes()
    header, arrays = linked(built, recipes, content, files, DATA[data])
    verdict = verify_bytes(packed(header, arrays), content, files)
    assert (verdict.status, verdict.message) == ("valid", "")
    for name in ("F0.1", "X", "Y"):
        changed = arrays | {name: np.nextafter(arrays[name], 0.5)}
        header["claim"].update(upper=(2.0**100).hex(), lower=(-(2.0**100)).hex())
        assert verify_bytes(packed(header, changed), content, files).rule in ("model-link", "data-link")


class TwoPaths(torch.nn.Module):
    """A convolutional branch whose second weight reads flattened positions, two linear paths in one, a skip."""

    def __init__(self):
        super().__init__()
        self.conv, self.last = torch.nn.Conv2d(2, 3, 2), torch.nn.Linear(12, 2)
        self.up, self.down = torch.nn.Linear(18, 2, bias=False), torch.nn.Linear(2, 2, bias=False)
        self.left, self.right = torch.nn.Linear(18, 1, bias=False), torch.nn.Linear(1, 2, bias=False)
        self.skip = torch.nn.Linear(18, 2, bias=False)

    def forward(self, x):
        flat = x.flatten(1)
        paths = self.down(self.up(flat)) + self.right(self.left(flat))
        return self.last(self.conv(x).relu().flatten(1)) + paths + self.skip(flat)


RECIPES = {
    "F0.0": [along("conv.weight", 0)],
    "F0.bias": [along("conv.bias", 0)],
    "F0.1": [along("last.weight", 1, 4)],
    "F1.0": [along("up.weight", 0), along("left.weight", 0)],
    "F1.1": [along("down.weight", 1), along("right.weight", 1)],
    "C0": whole("last.bias"),
    "C1": [along("skip.weight", 1)],
}


def two_paths():
    """The certificate of that module with its files; parameters are put together here by torch alone."""
    torch.manual_seed(0)
    model = TwoPaths().double()
    x, y = torch.randn(5, 2, 3, 3, dtype=torch.float64), torch.randn(5, 2, dtype=torch.float64)
    arrays = {
        "X": x.flatten(1),
        "Y": y,
        "F0.0": model.conv.weight.flatten(1),
        "F0.bias": model.conv.bias,
        "F0.1": model.last.weight.reshape(2, 3, 4).transpose(0, 1).flatten(1),
        "F1.0": torch.cat([model.up.weight, model.left.weight]),
        "F1.1": torch.cat([model.down.weight, model.right.weight], 1).T,
        "C0": model.last.bias[None],
        "C1": model.skip.weight.T,
    }
    arrays = {name: np.ascontiguousarray(values.detach().numpy()) for name, values in arrays.items()}
    kernel = {"kernel": [2, 2], "stride": [1, 1], "padding": [0, 0], "dilation": [1, 1]}
    built = build(
        Branch((("convolution", kernel), "relu", "linear"), "norm-products", bias="penalized", width=3),
        Branch(("linear", "linear"), "spectral", width=3),
        inputs=(2, 3, 3),
        samples=5,
        outside=[("ones", 0.05), ("inputs", 0.05)],
        arrays=arrays,
    )
    stream, data = io.BytesIO(), io.BytesIO()
    torch.save(model.state_dict(), stream)
    np.savez(data, X=x.numpy(), y=y.numpy())
    header, arrays = linked(built, copy.deepcopy(RECIPES), stream.getvalue(), (data.getvalue(),))
    return header, arrays, stream.getvalue(), data.getvalue(), model, x, y


def test_a_module_of_several_branches_is_put_together_again():
    header, arrays, model, data, module, x, y = two_paths()
    verdict = verify_bytes(packed(header, arrays), model, (data,))
    assert (verdict.status, verdict.message) == ("valid", "")
    squares = sum(float((parameter.detach() ** 2).sum()) for parameter in module.parameters())
    value = float(((module(x).detach() - y) ** 2).mean()) + 0.025 * squares
    assert verdict.objective[0] == pytest.approx(value, rel=1e-12)


def rename(role, index=0, **changes):
    return lambda recipes: recipes[role][index].update(changes)


@pytest.mark.parametrize(
    "change",
    [
        rename("F0.1", group=1),
        rename("F0.1", group=12),
        rename("F0.1", group=3),
        rename("F0.1", axis=0),
        rename("F0.1", axis=2),
        rename("F1.1", axis=0),
        rename("F1.0", axis=1),
        rename("F1.0", name="left.weight"),
        rename("F1.0", name="unknown"),
        rename("F1.0", axis=None),
        rename("C1", axis=None),
        rename("C1", axis=0),
        lambda recipes: recipes["F1.0"].reverse(),
        lambda recipes: recipes["F1.0"].pop(),
        lambda recipes: recipes["F1.0"].append(along("skip.weight", 0)),
        lambda recipes: recipes["F1.0"].clear(),
    ],
)
def test_other_recipes_are_rejected(change):
    header, arrays, model, data, *_ = two_paths()
    change(header["sources"]["parameters"])
    assert verify_bytes(packed(header, arrays), model, (data,)).rule == "model-link"


@pytest.mark.parametrize(
    "change",
    [
        lambda recipes: recipes.pop("C1"),
        lambda recipes: recipes.update(C2=whole("skip.weight")),
        rename("F0.0", group=0),
        rename("F0.0", axis=-1),
        rename("F0.0", axis="0"),
        rename("F0.0", name=3),
        rename("F0.0", more=None),
        lambda recipes: recipes.update(C1=along("skip.weight", 1)),
    ],
)
def test_malformed_recipes_are_refused(change):
    header, arrays, *_ = two_paths()
    change(header["sources"]["parameters"])
    verdict = verify_bytes(packed(header, arrays))
    assert (verdict.status, verdict.rule) == ("refused", "schema")


def test_samples_of_another_shape_are_not_those_of_the_statement():
    header, arrays, model, _, _, x, y = two_paths()
    for shape, rule in (((5, 18), ""), ((5, 3, 3, 2), "data-link"), ((5, 6, 3), "data-link")):
        stream = io.BytesIO()
        np.savez(stream, X=x.reshape(shape).numpy(), y=y.numpy())
        header["statement"]["data"]["sha256"] = hashlib.sha256(stream.getvalue()).hexdigest()
        assert verify_bytes(packed(header, arrays), model, (stream.getvalue(),)).rule == rule


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
    header, arrays, model, data, *_ = two_paths()
    for damaged in (model[:100], b"", b"PK\x03\x04", b"\x80\x02", model[:-30]):
        header["sources"]["model"] = hashlib.sha256(damaged).hexdigest()
        assert verify_bytes(packed(header, arrays), damaged).status == "refused"
    for damaged in (data[:100], b"x", b"PK\x03\x04", data[:-30]):
        header["statement"]["data"]["sha256"] = hashlib.sha256(damaged).hexdigest()
        assert verify_bytes(packed(header, arrays), None, (damaged,)).status != "valid"


def test_verification_imports_neither_torch_nor_a_solver():
    source = (
        "import sys; import certify.workflows.verify, certify.cli.main; "
        "print([m for m in ('torch', 'cvxpy', 'scipy', 'pydantic') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_certificate_is_written_whole_or_not_at_all(tmp_path):
    from certify.errors import UsageError
    from certify.whole_file import write_whole

    write_whole(tmp_path / "c", b"one")
    write_whole(tmp_path / "c", b"two")
    assert (tmp_path / "c").read_bytes() == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
    with pytest.raises(UsageError):
        write_whole(tmp_path / "no" / "c", b"")
