"""`loss.unobserved_weight` at the command line: the case of a library of implicit feedback, flags, and refusals."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner

from certify.cli.main import cli

USERS, ITEMS, ALPHA, REGULARIZATION = 14, 9, 2.0, 0.8
RNG = np.random.default_rng(30)
COUNTS = RNG.poisson(0.5, (USERS, ITEMS)).astype(float)
CONFIDENCE, LIKED = 1 + ALPHA * COUNTS, (COUNTS > 0).astype(float)
ROWS, COLUMNS = np.nonzero(COUNTS)
LAYERS = [{"factorization": {"left": "user_factors", "right": "item_factors"}}]
LOSS = {"name": "mse", "reduction": "sum", "unobserved_weight": 1.0}


def alternated(sweeps, rank=9):
    """Alternating least squares of Hu, Koren and Volinsky on the dense matrices, a row at a time."""
    users, items = (0.1 * np.random.default_rng(1).standard_normal((n, rank)) for n in (USERS, ITEMS))
    for _ in range(sweeps):
        users = solved(items, CONFIDENCE, LIKED)
        items = solved(users, CONFIDENCE.T, LIKED.T)
    return users, items


def solved(fixed, confidence, liked):
    systems = [(fixed.T * row) @ fixed + REGULARIZATION * np.eye(fixed.shape[1]) for row in confidence]
    return np.stack([np.linalg.solve(a, fixed.T @ (c * p)) for a, c, p in zip(systems, confidence, liked, strict=True)])


def dense_objective(users, items):
    squares = (users**2).sum() + (items**2).sum()
    return (CONFIDENCE * (LIKED - users @ items.T) ** 2).sum() + REGULARIZATION * squares


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A model, its observed entries with their confidences, and a problem file."""
    monkeypatch.chdir(tmp_path)
    users, items = alternated(400)
    np.savez("model.npz", user_factors=users, item_factors=items)
    weights = CONFIDENCE[ROWS, COLUMNS]
    np.savez("train.npz", rows=ROWS, cols=COLUMNS, values=np.ones(len(ROWS)), weights=weights, shape=[USERS, ITEMS])
    problem()
    return tmp_path


def problem(name="model", data=None, loss=LOSS, layers=LAYERS, **sections):
    content = {"schema": "certify.problem/1", "model": {"path": f"{name}.npz", "layers": layers}}
    content |= {"data": {"path": "train.npz"} | (data or {}), "loss": loss, "penalty": {"weight_decay": 1.6}}
    with open(f"{name}.problem.yaml", "w") as file:
        yaml.safe_dump(content | {"tolerance": {"relative_gap": 1e-6}} | sections, file)


def run(*words, code=0):
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == code, result.output
    return result.stdout if code < 2 else result.output


def checked(*words, code=0):
    return json.loads(run(*words, "--format", "json", code=code))


@pytest.mark.usefixtures("folder")
def test_a_model_of_implicit_feedback_is_certified_and_its_certificate_verified_both_ways():
    found = checked("check", "model.npz", "--certificate", "model.cert")
    assert found["verdict"] == "certified"
    users, items = (np.load("model.npz")[name] for name in ("user_factors", "item_factors"))
    assert found["objective"] == pytest.approx(dense_objective(users, items), rel=1e-9)
    for exact in ((), ("--exact",)):
        verified = checked("verify", *exact, "model.cert", "--model", "model.npz", "--data", "train.npz")
        assert verified["status"] == "valid"
        assert verified["certified"]
        assert verified["data_compared"]
        assert "unobserved entries 0 with weight 1" in verified["problem"]


@pytest.mark.usefixtures("folder")
def test_all_entries_with_their_weights_are_the_same_problem():
    sparse = checked("check", "model.npz")
    np.savez("whole.npz", y=LIKED, c=CONFIDENCE)
    problem(data={"path": "whole.npz", "sample_weights": "c"}, loss={"name": "mse", "reduction": "sum"})
    whole = checked("check", "model.npz")
    assert sparse["objective"] == pytest.approx(whole["objective"], rel=1e-8)
    for one, other in ((sparse, whole), (whole, sparse)):
        assert one["lower_bound"] <= other["objective"]
    masked = {"path": "whole.npz", "sample_weights": "c", "mask": "seen"}
    np.savez("whole.npz", y=LIKED, c=CONFIDENCE, seen=LIKED > 0)
    problem(data=masked)
    assert checked("check", "model.npz")["objective"] == pytest.approx(sparse["objective"], rel=1e-12)


@pytest.mark.usefixtures("folder")
def test_growth_from_scratch_and_after_an_interruption_ends_at_the_same_optimum():
    expected = dense_objective(*alternated(3000))
    scratch = ("grow", "--from-scratch", "--problem", "model.problem.yaml")
    found = checked(*scratch, "-o", "grown.npz", "--certificate", "grown.cert")
    assert found["verdict"] == "certified"
    assert found["objective"] == pytest.approx(expected, rel=1e-6)
    assert checked("verify", "grown.cert", "--model", "grown.npz", "--data", "train.npz")["certified"]
    with np.load("grown.npz") as grown:
        value = dense_objective(grown["user_factors"], grown["item_factors"])
    assert found["objective"] == pytest.approx(value, rel=1e-9)
    users, items = alternated(1, rank=1)
    np.savez("model.npz", user_factors=users, item_factors=items)
    run("grow", "model.npz", "-o", "other.npz", "--state", "state")
    again = checked("grow", "--resume", "state")
    assert again["verdict"] == "certified"
    assert again["objective"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.usefixtures("folder")
def test_a_narrow_model_is_improvable_and_the_better_one_is_written():
    users, items = alternated(300, rank=1)
    np.savez("model.npz", user_factors=users, item_factors=items)
    found = checked("check", "model.npz", "--output-model", "better.npz", code=1)
    assert (found["verdict"], found["reason"]) == ("improvable", "missing-subnetwork")
    with np.load("better.npz") as better:
        value = dense_objective(better["user_factors"], better["item_factors"])
    assert value == pytest.approx(found["best_known"], rel=1e-9)
    assert value < dense_objective(users, items)


@pytest.mark.usefixtures("folder")
def test_the_weight_is_a_flag_and_counts_in_audits(monkeypatch):
    with_flag = checked("check", "model.npz", "--unobserved-weight", "0.25", code=1)
    users, items = (np.load("model.npz")[name] for name in ("user_factors", "item_factors"))
    expected = dense_objective(users, items) - 0.75 * ((users @ items.T)[COUNTS == 0] ** 2).sum()
    assert with_flag["objective"] == pytest.approx(expected, rel=1e-9)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    with open("audit.yaml", "w") as file:
        yaml.safe_dump({"schema": "certify.audit/1", "models": [{"path": "model.npz"}]}, file)
    (found,) = checked("audit", "audit.yaml", "--jobs", "1")["results"]
    assert found["verdict"] == "certified"
    (again,) = checked("audit", "audit.yaml", "--jobs", "1")["results"]
    assert again["objective"] == found["objective"]


@pytest.mark.usefixtures("folder")
def test_a_certificate_of_another_weight_is_of_another_problem():
    run("check", "model.npz", "--certificate", "model.cert")
    assert checked("verify", "model.cert", "--problem", "model.problem.yaml")["status"] == "valid"
    problem(loss=LOSS | {"unobserved_weight": 1.0000001})
    assert checked("verify", "model.cert", "--problem", "model.problem.yaml", code=1)["status"] != "valid"


@pytest.mark.usefixtures("folder")
def test_the_draft_of_a_problem_file_names_the_weight():
    run("init", "model.npz", "--data", "train.npz", "--force")
    lines = Path("model.problem.yaml").read_text().splitlines()
    (offered,) = (line for line in lines if "unobserved_weight" in line)
    kept = [line for line in lines if not line.startswith("loss:") and line != offered]
    text = "\n".join([*kept, offered.removeprefix("# ")]).replace("1.0e-3}   # CHANGE: the", "1.6}   # CHANGE: the")
    Path("model.problem.yaml").write_text(text)
    assert checked("check", "model.npz")["verdict"] == "certified"


@pytest.mark.usefixtures("folder")
def test_flags_alone_state_the_problem():
    Path("model.problem.yaml").unlink()
    np.savez("plain.npz", **dict(np.load("model.npz")))
    words = ("--data", "train.npz", "--loss", "mse", "--weight-decay", "1.6", "--unobserved-weight", "1")
    assert "reduction: sum" in run("check", "plain.npz", *words, code=2)


OTHERS = {
    "mean": {"loss": LOSS | {"reduction": "mean"}},
    "huber": {"loss": LOSS | {"name": "huber"}},
    "nothing": {"loss": LOSS | {"unobserved_weight": 0.0}},
    "biases": {"layers": [{"factorization": LAYERS[0]["factorization"] | {"row_bias": "b"}}]},
    "scale": {"layers": [{"factorization": LAYERS[0]["factorization"] | {"scale": 2.0}}]},
    "counts": {"penalty": {"weight_decay": 1.6, "entry_counts": True}},
    "offset": {"layers": [{"factorization": LAYERS[0]["factorization"] | {"offset": "o"}}]},
    "a tensor": {
        "layers": [{"cp": ["user_factors", "item_factors", "third"]}],
        "penalty": {"product_of_norms": {"strength": 1.0, "norms": [2, 2, 2], "powers": [1, 1, 1]}},
        "data": {"path": "places.npz", "inputs": "X"},
    },
    "linear layers": {"layers": [{"linear": "first"}, {"linear": "second"}]},
}
SAID = {
    "mean": "reduction: sum",
    "huber": "name: mse",
    "nothing": "loss.unobserved_weight",
    "biases": "found biases",
    "scale": "found scale",
    "counts": "found entry_counts",
    "offset": "found an offset",
    "a tensor": "found a tensor of more axes",
    "linear layers": "is for factorizations",
}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", OTHERS)
def test_what_is_not_served_is_refused_with_a_reason(name):
    users, items = alternated(1)
    extra = {"biases": {"b": users[:, 0]}, "offset": {"o": np.ones(1)}, "a tensor": {"third": items}}.get(name, {})
    tables = {"user_factors": users, "item_factors": items} | extra
    linear = {"first.weight": items, "second.weight": items.T}
    np.savez("model.npz", **(linear if name == "linear layers" else tables))
    np.savez("places.npz", X=np.zeros((1, 3)), y=np.ones(1))
    problem(**OTHERS[name])
    usage = name in ("mean", "huber", "nothing", "linear layers")
    assert SAID[name] in run("check", "model.npz", code=2 if usage else 4)


@pytest.mark.usefixtures("folder")
def test_embeddings_take_the_weight_from_python():
    import certify

    users, items = alternated(400)

    class Liking(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.user, self.item = (
                torch.nn.Embedding.from_pretrained(torch.from_numpy(t), False) for t in (users, items)
            )

        def forward(self, pairs):
            return (self.user(pairs[:, 0].long()) * self.item(pairs[:, 1].long())).sum(1)

    found = certify.Problem.from_torch(
        Liking(),
        torch.from_numpy(np.stack([ROWS, COLUMNS], 1)).double(),
        torch.ones(len(ROWS), dtype=torch.float64),
        reduction="sum",
        unobserved_weight=1.0,
        sample_weights=torch.from_numpy(CONFIDENCE[ROWS, COLUMNS]),
        weight_decay=2 * REGULARIZATION,
        relative_gap=1e-6,
    )
    result = certify.check(found)
    assert result.verdict == "certified"
    assert result.objective == pytest.approx(dense_objective(users, items), rel=1e-9)
