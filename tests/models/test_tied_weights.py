"""Linear autoencoders whose decoder is the transposed encoder: read in every way, judged, grown, verified."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn
from torch.nn import functional

import certify
from certify.cli.main import cli
from certify.errors import CertifyError
from certify.models.inspect import inspect_model
from certify.models.loading import Problem
from certify.models.model_file import read_model_file

from ..soundness.planted_tied import Autoencoder, orthogonal_problem, thresholded
from .readers.test_onnx_files import exported

D, R, N = 4, 3, 10
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, D))
Y = X + 0.3 * RNG.standard_normal((N, D))


class Weight(nn.Module):
    """One weight (r, d), or (d, r)."""

    def __init__(self, *shape):
        super().__init__()
        values = np.random.default_rng(1).standard_normal(shape or (R, D))
        self.W = nn.Parameter(torch.from_numpy(values))


class Linear(Weight):
    def forward(self, x):
        return functional.linear(functional.linear(x, self.W), self.W.T)


class Products(Weight):
    def forward(self, x):
        return x @ self.W.T @ self.W


class Transposes(Weight):
    def forward(self, x):
        return torch.matmul(torch.mm(x, self.W.transpose(0, 1)), self.W)


class Columns(Weight):
    def __init__(self):
        super().__init__(D, R)

    def forward(self, x):
        return x @ self.W @ self.W.t()


class Biased(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Linear(D, R, dtype=torch.float64)
        self.decoder_bias = nn.Parameter(torch.ones(D, dtype=torch.float64))

    def forward(self, x):
        return functional.linear(self.encoder(x), self.encoder.weight.t(), self.decoder_bias)


class Added(Biased):
    def forward(self, x):
        return (x @ self.encoder.weight.T + self.encoder.bias) @ self.encoder.weight + self.decoder_bias


WAYS = [Linear, Products, Transposes, Columns, Biased, Added]
LAYERS = {
    Linear: [{"tied": "W"}],
    Columns: [{"tied": "W.T"}],
    Biased: [{"tied": {"weight": "encoder.weight", "hidden_bias": "encoder.bias", "output_bias": "decoder_bias"}}],
}


def objective_of(model, decay=0.1):
    """Mean squared error and weight decay, by torch; each parameter counts once."""
    with torch.no_grad():
        loss = functional.mse_loss(model(torch.from_numpy(X)), torch.from_numpy(Y))
        return float(loss + decay / 2 * sum((p**2).sum() for p in model.parameters()))


@pytest.mark.parametrize("kind", WAYS)
def test_a_module_has_the_objective_that_torch_computes(kind):
    model = kind()
    problem = Problem.from_torch(model, X, Y, weight_decay=0.1)
    assert problem.source.family == "tied"
    assert (problem.source.degree, problem.network.width) == (2, R)
    value = problem.objective.evaluate(problem.network)
    assert value.objective == pytest.approx(objective_of(model), rel=1e-13)
    torch.testing.assert_close(value.outputs, model(torch.from_numpy(X)).detach(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kind", WAYS)
def test_a_grown_module_loads_where_it_came_from_and_is_optimal(kind, tmp_path):
    program, data, out = tmp_path / "model.pt2", tmp_path / "data.npz", tmp_path / "out.pt2"
    torch.export.save(torch.export.export(kind(), (torch.from_numpy(X),)), program)
    np.savez(data, X=X, y=Y)
    (tmp_path / "model.problem.yaml").write_text("data: {path: data.npz}\npenalty: {weight_decay: 0.1}\n" + HEAD)
    runner = CliRunner()
    grown = runner.invoke(cli, ["grow", str(program), "-o", str(out), "--certificate", str(tmp_path / "c")])
    assert grown.exit_code == 0, grown.output
    checked = runner.invoke(cli, ["check", str(out)])
    assert checked.exit_code == 0, checked.output
    for exact in ([], ["--exact"]):
        assert runner.invoke(cli, ["verify", *exact, str(tmp_path / "c"), "--data", str(data)]).exit_code == 0


HEAD = "schema: certify.problem/1\nmodel: {path: model.pt2}\ntolerance: {relative_gap: 1.0e-6}\n"


@pytest.mark.parametrize("kind", LAYERS)
def test_a_state_dict_with_listed_layers_goes_all_the_way(kind, tmp_path):
    model, data, out = tmp_path / "model.pt", tmp_path / "data.npz", tmp_path / "out.pt"
    torch.save(kind().state_dict(), model)
    np.savez(data, X=X, y=Y)
    text = HEAD.replace("model.pt2", f"model.pt, layers: {LAYERS[kind]}") + "data: {path: data.npz}\n"
    (tmp_path / "model.problem.yaml").write_text(text + "penalty: {weight_decay: 0.1}\n")
    runner = CliRunner()
    assert runner.invoke(cli, ["grow", str(model), "-o", str(out), "--certificate", str(tmp_path / "c")]).exit_code == 0
    assert {name: t.ndim for name, t in torch.load(out).items()} == {n: t.ndim for n, t in kind().state_dict().items()}
    assert runner.invoke(cli, ["check", str(out)]).exit_code == 0
    verified = runner.invoke(cli, ["verify", str(tmp_path / "c"), "--model", str(out), "--data", str(data)])
    assert verified.exit_code == 0
    assert "compared with the model file" in verified.output


def test_the_same_program_from_layers_module_and_file_is_one_problem():
    live = Problem.from_torch(Columns(), X, Y, weight_decay=0.1)
    listed = Problem.from_torch(Columns(), X, Y, weight_decay=0.1, layers=[{"tied": "W.T"}])
    assert live.objective.evaluate(live.network).objective == listed.objective.evaluate(listed.network).objective
    assert listed.graph.layers[0].attributes == {"transposed": True}


@pytest.mark.parametrize("seed", range(8))
def test_orthogonal_inputs_soft_threshold_the_eigenvalues(seed):
    """Closed form: the positive eigenvalues of the symmetric part of XᵀY less s/2, and nothing of the others."""
    problem, optimum = orthogonal_problem(np.random.default_rng(seed))
    result = certify.check(problem)
    assert result.verdict == "certified"
    assert result.lower_bound <= optimum * (1 + 1e-12)
    assert result.lower_bound == pytest.approx(optimum, rel=1e-6)


def test_the_identity_as_inputs_factorizes_a_matrix_as_u_u_transposed(tmp_path):
    """A matrix with eigenvalues 3, 1, −2: at s = 1 they become 2.5, 0.5, 0, with costs ½(0.25 + 0.25 + 4) + ½ · 3."""
    turn = np.linalg.qr(RNG.standard_normal((3, 3)))[0]
    matrix = turn @ np.diag([3.0, 1, -2]) @ turn.T
    rows, cols = np.indices(matrix.shape).reshape(2, -1)
    np.savez(tmp_path / "m.npz", rows=rows, cols=cols, values=matrix.ravel(), shape=np.array(matrix.shape))
    torch.save({"U": torch.ones(3, 1, dtype=torch.float64)}, tmp_path / "u.pt")
    text = HEAD.replace("model.pt2", "u.pt, layers: [{tied: U.T}]").replace("1.0e-6", "1.0e-7")
    text += "data: {path: m.npz}\npenalty: {weight_decay: 1.0}\nloss: {name: mse, reduction: sum, scale: 0.5}\n"
    (tmp_path / "u.problem.yaml").write_text(text)
    out = tmp_path / "out.pt"
    grown = CliRunner().invoke(cli, ["grow", str(tmp_path / "u.pt"), "-o", str(out)])
    assert grown.exit_code == 0, grown.output
    factor = torch.load(out)["U"].numpy()
    assert factor.shape == (3, 2)
    np.testing.assert_allclose(factor @ factor.T, turn @ np.diag([2.5, 0.5, 0]) @ turn.T, atol=1e-4)
    value = ((factor @ factor.T - matrix) ** 2).sum() / 2 + (factor**2).sum() / 2
    assert value == pytest.approx(0.5 * 4.5 + 0.5 * 3.0, rel=1e-6)


def test_nothing_is_learned_where_no_eigenvalue_is_positive():
    matrix = -np.diag([1.0, 2.0, 0.5])
    problem = Problem.from_torch(Autoencoder(np.zeros((1, 3))), np.eye(3), matrix, weight_decay=0.01, scale=0.5)
    result = certify.check(problem)
    assert result.verdict == "certified"
    assert result.objective == pytest.approx(thresholded(np.eye(3), matrix, 0.0)[0] / 9, rel=1e-12)


@pytest.mark.parametrize("decays", [0.1, {"encoder.weight": 0.2, "encoder.bias": 0.05, "decoder_bias": 0.0}])
def test_no_restart_is_below_the_bound(decays):
    """L-BFGS of torch on the module itself, at a width beyond the inputs."""
    best = np.inf
    for seed in range(6):
        model = Biased()
        torch.manual_seed(seed)
        model.encoder = nn.Linear(D, D + 1, dtype=torch.float64)
        own = dict(model.named_parameters())
        strengths = {name: decays if isinstance(decays, float) else decays[name] for name in own}
        optimizer = torch.optim.LBFGS(model.parameters(), max_iter=800, tolerance_grad=1e-12, tolerance_change=0)

        def value(model=model, optimizer=optimizer, own=own, strengths=strengths):
            optimizer.zero_grad()
            penalty = sum(strengths[name] / 2 * (p**2).sum() for name, p in own.items())
            loss = functional.mse_loss(model(torch.from_numpy(X)), torch.from_numpy(Y)) + penalty
            loss.backward()
            return loss

        optimizer.step(value)
        best = min(best, value().item())
    result = certify.grow(Problem.from_torch(Biased(), X, Y, weight_decay=decays, relative_gap=1e-7)).result
    assert result.verdict == "certified"
    assert result.lower_bound <= best
    assert result.objective == pytest.approx(best, rel=1e-6)


def test_a_product_of_norms_is_half_as_strong_a_weight_decay():
    penalty = {"product_of_norms": {"strength": 0.05, "norms": [2], "powers": [2]}}
    of_norms = certify.grow(Problem.from_torch(Linear(), X, Y, penalty=penalty)).result
    of_decay = certify.grow(Problem.from_torch(Linear(), X, Y, weight_decay=0.1)).result
    assert of_norms.verdict == "certified"
    assert of_norms.objective == pytest.approx(of_decay.objective, rel=1e-9)


def test_a_factorization_of_one_array_twice_says_how_to_write_it():
    layers = [{"factorization": {"left": "W", "right": "W"}}]
    with pytest.raises(CertifyError, match=r"tied: U\.T"):
        Problem.from_torch(Linear(), X, Y, weight_decay=0.1, layers=layers)


class Square(Weight):
    """x Wᵀ Wᵀ: a weight that is read twice the same way."""

    def __init__(self):
        super().__init__(D, D)

    def forward(self, x):
        return functional.linear(functional.linear(x, self.W), self.W)


class Symmetric(Square):
    """Where W is symmetric, x W W has the outputs of x Wᵀ W, and other gradients."""

    def __init__(self):
        super().__init__()
        self.W.data = self.W.data + self.W.data.T

    def forward(self, x):
        return x @ self.W @ self.W


class Kinked(Weight):
    def forward(self, x):
        return functional.linear(torch.relu(functional.linear(x, self.W)), self.W.T)


class Deeper(Weight):
    def forward(self, x):
        return torch.relu(functional.linear(functional.linear(x, self.W), self.W.T))


class Thrice(Square):
    def forward(self, x):
        return x @ self.W @ self.W.T @ self.W


class Residual(Weight):
    def forward(self, x):
        return x + functional.linear(functional.linear(x, self.W), self.W.T)


class BiasTwice(Square):
    """One bias for both layers."""

    def __init__(self):
        super().__init__()
        self.b = nn.Parameter(torch.ones(D, dtype=torch.float64))

    def forward(self, x):
        return functional.linear(functional.linear(x, self.W, self.b), self.W.T, self.b)


class Frozen(Biased):
    """A hidden bias that is not trained."""

    def __init__(self):
        super().__init__()
        self.encoder.bias.requires_grad_(False)


@pytest.mark.parametrize("kind", [Square, Symmetric, Kinked, Deeper, Thrice, Residual, BiasTwice])
def test_other_ties_are_refused(kind):
    with pytest.raises(CertifyError) as caught:
        Problem.from_torch(kind(), X, Y, weight_decay=0.1)
    assert caught.value.code == "tied-weights"


def test_a_fixed_bias_inside_is_refused():
    with pytest.raises(CertifyError, match="hidden_bias of layer 'encoder', is not trained"):
        Problem.from_torch(Frozen(), X, Y, weight_decay=0.1)


@pytest.mark.parametrize("given", [{"biases": {"hidden": "free"}}, {"weight_decay": {"encoder.bias": 0, "*": 0.1}}])
def test_a_free_hidden_bias_is_refused_with_a_reason(given):
    with pytest.raises(CertifyError, match="hidden bias") as caught:
        Problem.from_torch(Biased(), X, Y, **({"weight_decay": 0.1} | given))
    assert caught.value.code == "no-bound-yet"


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([{"tied": "V"}], "no parameter 'V'"),
        ([{"tied": "W.T"}], "reads 3 inputs"),
        ([{"tied": "W"}, "relu"], "no other layers"),
        ([{"tied": {"hidden_bias": "b"}}], "needs the name"),
        ([{"tied": {"weight": "W", "hidden_bias": "W"}}], "has 'W'"),
        ([{"tied": 3.5}], "needs the name"),
    ],
)
def test_layers_that_do_not_fit_say_so(layers, words):
    with pytest.raises(CertifyError, match=words):
        Problem.from_torch(Linear(), X, Y, weight_decay=0.1, layers=layers)


@pytest.mark.parametrize("kind", WAYS)
def test_an_onnx_file_that_holds_a_copy_of_the_weight_is_refused(kind, tmp_path):
    """torch writes the transposed weight as a tensor of its own."""
    path = exported(tmp_path, kind(), torch.from_numpy(X))
    with pytest.raises(CertifyError, match="bit for bit") as caught:
        read_model_file(path)
    assert caught.value.code == "tied-weights"


def test_outputs_of_another_size_are_refused():
    with pytest.raises(CertifyError):
        Problem.from_torch(Linear(), X, Y[:, :2], weight_decay=0.1)


def test_an_inspection_tells_degree_and_bound(tmp_path):
    found = inspect_model(Biased(), inputs=torch.from_numpy(X))
    assert found.family == "tied"
    assert found.weight_degrees == {"encoder.weight": 2, "encoder.bias": 1, "decoder_bias": 1}
    program = tmp_path / "model.pt2"
    torch.export.save(torch.export.export(Biased(), (torch.from_numpy(X),)), program)
    shown = CliRunner().invoke(cli, ["inspect", str(program)])
    assert shown.exit_code == 0
    assert "eigenvalue" in shown.output


def test_training_from_scratch_starts_from_no_units():
    blank = Autoencoder(np.zeros((0, D)))
    grown = certify.grow(Problem.from_torch(blank, X, Y, weight_decay=0.1))
    full = certify.grow(Problem.from_torch(Linear(), X, Y, weight_decay=0.1))
    assert grown.result.verdict == "certified"
    assert grown.result.objective == pytest.approx(full.result.objective, rel=1e-3)
