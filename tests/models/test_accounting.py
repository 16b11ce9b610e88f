"""Every tensor of a model is accounted for: trained and penalized, trained and free, frozen, or left out with a note.

Otherwise the objective certified is not the one that torch computes with weight decay on the module's parameters.
"""

import io

import numpy as np
import pytest
import torch
from torch import nn

import certify
from certify.errors import CertifyError, UnsupportedError
from certify.models.spec.problem_file import load_problem_file

DECAY = 0.1
X = torch.randn(12, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
Y = torch.randn(12, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def chain():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)).double()


class Own(nn.Module):
    """The same with a forward of its own, so that it is traced."""

    def __init__(self):
        super().__init__()
        inner = chain()
        self.first, self.second = inner[0], inner[2]

    def forward(self, inputs):
        return self.second(torch.relu(self.first(inputs)))


MODULES = {"chain": (chain, "0", "2"), "traced": (Own, "first", "second")}


def objective_of_torch(module):
    """Mean squared error, and weight decay on the parameters that take gradients, all of them."""
    with torch.no_grad():
        penalty = sum((p**2).sum() for p in module.parameters() if p.requires_grad)
        return float(((module(X) - Y) ** 2).mean() + DECAY / 2 * penalty)


def problem_of(module, **arguments):
    return certify.Problem.from_torch(module, X, Y, **{"weight_decay": DECAY} | arguments)


def objective_of(problem):
    return problem.objective.evaluate(problem.network).objective


@pytest.mark.parametrize("kind", MODULES)
def test_what_is_trained_whole_is_as_in_torch(kind):
    module = MODULES[kind][0]()
    assert objective_of(problem_of(module)) == pytest.approx(objective_of_torch(module), rel=1e-12)


@pytest.mark.parametrize("kind", MODULES)
def test_a_model_frozen_whole_after_training_is_taken_as_trained(kind):
    module = MODULES[kind][0]()
    expected = objective_of_torch(module)
    assert objective_of(problem_of(module.requires_grad_(False))) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("how", ["buffer", "gradient"])
@pytest.mark.parametrize("name", ["first.weight", "first.bias", "second.weight", "second.bias"])
@pytest.mark.parametrize("kind", MODULES)
def test_a_tensor_that_is_not_trained_is_not_certified_as_trained(kind, name, how):
    module = MODULES[kind][0]()
    place, role = name.split(".")
    layer = module.get_submodule(MODULES[kind][1 if place == "first" else 2])
    values = getattr(layer, role).detach()
    if how == "buffer":
        delattr(layer, role)
        layer.register_buffer(role, values)
    else:
        getattr(layer, role).requires_grad_(False)
    with pytest.raises(UnsupportedError, match="not trained") as caught:
        problem_of(module)
    assert caught.value.code == "unsupported-architecture"


@pytest.mark.parametrize("kind", MODULES)
def test_a_parameter_in_no_layer_is_refused_unless_it_is_not_penalized(kind):
    module = MODULES[kind][0]()
    module.register_parameter("extra", nn.Parameter(torch.ones(5, dtype=torch.float64)))
    with pytest.raises(UnsupportedError, match="'extra' is in no layer") as caught:
        problem_of(module)
    assert caught.value.code == "unused-parameter"
    free = problem_of(module, weight_decay={"extra": 0.0, "*": DECAY})
    assert any("'extra', which no layer uses" in note for note in free.source.notes)
    with torch.no_grad():
        module.extra.zero_()
    assert objective_of(problem_of(module)) == pytest.approx(objective_of_torch(module), rel=1e-12)


def saved(module, form, folder):
    path = folder / f"model.{form}"
    if form == "pt2":
        torch.export.save(torch.export.export(module, (X,), dynamic_shapes=({0: torch.export.Dim.AUTO},)), path)
    else:
        stream = io.BytesIO()
        torch.save(module, stream)
        path.write_bytes(stream.getvalue())
    np.savez(folder / "data.npz", X=X.numpy(), y=Y.numpy())
    (folder / "problem.yaml").write_text(
        f"schema: certify.problem/1\nmodel: {{path: {path.name}}}\ndata: {{path: data.npz}}\n"
        f"penalty: {{weight_decay: {DECAY}}}\n"
    )
    return certify.Problem.from_files(load_problem_file(folder / "problem.yaml"))


@pytest.mark.parametrize("form", ["pt", "pt2"])
def test_files_of_modules_tell_what_is_not_trained(tmp_path, form):
    module = chain()
    assert objective_of(saved(module, form, tmp_path)) == pytest.approx(objective_of_torch(module), rel=1e-12)
    module[2].bias.requires_grad_(False)
    with pytest.raises(UnsupportedError, match="not trained"):
        saved(module, form, tmp_path)
    module[2].bias.requires_grad_(True)
    module.register_parameter("extra", nn.Parameter(torch.ones(5, dtype=torch.float64)))
    with pytest.raises(UnsupportedError, match="'extra' is in no layer"):
        saved(module, form, tmp_path)


def random_module(rng):
    """A module of two or three layers with some tensors frozen, unused, buffered, tied or pruned."""
    layers = [nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)]
    if rng.integers(4) == 0:
        layers[1:1] = [nn.BatchNorm1d(4, affine=bool(rng.integers(2)))]
    module = nn.Sequential(*layers).double()
    if rng.integers(2):
        inner = module

        class Wrapped(nn.Module):
            def __init__(self):
                super().__init__()
                self.net = inner

            def forward(self, inputs):
                return self.net(inputs)

        module = Wrapped()
    linear = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    for _ in range(rng.integers(3)):
        layer, role = linear[rng.integers(len(linear))], ("weight", "bias")[rng.integers(2)]
        # A weight norm has made it a function of others.
        if getattr(layer, role, None) is None or not getattr(layer, role).is_leaf:
            continue
        match rng.integers(5):
            case 0:
                getattr(layer, role).requires_grad_(False)
            case 1:
                values = getattr(layer, role).detach()
                delattr(layer, role)
                layer.register_buffer(role, values)
            case 2:
                module.register_parameter("extra", nn.Parameter(torch.ones(3, dtype=torch.float64)))
            case 3:
                layer.register_parameter("more", nn.Parameter(torch.ones(3, dtype=torch.float64)))
            case 4 if role == "weight":
                torch.nn.utils.parametrizations.weight_norm(layer)
    return module.eval()


def silent_differences(seed, count):
    """How many modules are problems, of how many, and those whose objective is another than torch's, in silence."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    problems, wrong = 0, []
    for _ in range(count):
        module = random_module(rng)
        try:
            problem = problem_of(module)
        except CertifyError:
            continue
        problems += 1
        differs = abs(objective_of(problem) - objective_of_torch(module)) > 1e-9
        if differs and not problem.source.departures:
            wrong.append(module)
    return problems, wrong


def test_no_module_is_certified_about_another_objective_in_silence():
    problems, wrong = silent_differences(0, 60)
    assert problems > 10
    assert wrong == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 21))
def test_no_module_of_many_is_certified_about_another_objective_in_silence(seed):
    problems, wrong = silent_differences(seed, 500)
    assert problems > 100
    assert wrong == []
