"""skops files of scikit-learn's decompositions with the table that they were fitted to: what the live estimator is."""

import json
import zipfile

import numpy as np
import pytest
import skops.io
from click.testing import CliRunner
from sklearn import decomposition

from certify.cli.main import cli
from certify.errors import CertifyError
from certify.models.fitted_file import fitted_file, spec_of_decomposition
from certify.models.loading import Problem
from certify.models.spec.overrides import Overrides

pytestmark = pytest.mark.filterwarnings("ignore")
RNG = np.random.default_rng(0)
TABLE = RNG.random((10, 2)) @ RNG.random((2, 6)) + 0.05 * RNG.random((10, 6))
SERVED = [
    decomposition.NMF(3, alpha_W=0.01, alpha_H=0.02, l1_ratio=0.0, random_state=0),
    decomposition.NMF(alpha_W=0.01, l1_ratio=0.0, init="random", solver="mu", random_state=0),
    decomposition.MiniBatchNMF(2, alpha_W=0.02, l1_ratio=0.0, random_state=0),
    decomposition.DictionaryLearning(3, alpha=0.05, max_iter=50, random_state=0),
    decomposition.DictionaryLearning(
        3, alpha=0.05, max_iter=50, positive_code=True, positive_dict=True, fit_algorithm="cd", random_state=0
    ),
    decomposition.MiniBatchDictionaryLearning(2, alpha=0.1, random_state=0),
    decomposition.SparsePCA(3, alpha=0.1, random_state=0),
    decomposition.MiniBatchSparsePCA(2, alpha=0.1, random_state=np.random.RandomState(0)),
]
FORMATS = ["npz", "csv", "npy"]


def saved(tmp_path, estimator, fmt="npz"):
    model, data = tmp_path / "model.skops", tmp_path / f"X.{fmt}"
    skops.io.dump(estimator.fit(TABLE), model)
    match fmt:
        case "npz":
            np.savez(data, X=TABLE)
        case "npy":
            np.save(data, TABLE)
        case "csv":
            rows = [",".join(map(repr, row)) for row in TABLE.tolist()]
            data.write_text("\n".join([",".join(f"c{j}" for j in range(6)), *rows]) + "\n")
    return model, data


def from_file(model, data, **more):
    return Problem.from_files(spec_of_decomposition(model, Overrides(data=str(data), **more)))


@pytest.mark.parametrize("estimator", SERVED, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("fmt", FORMATS)
def test_a_file_is_the_problem_of_the_live_estimator(estimator, fmt, tmp_path):
    found = from_file(*saved(tmp_path, estimator, fmt))
    live = Problem.from_sklearn(estimator, TABLE)
    assert (found.objective.samples, found.objective.outputs) == (10, 6)
    np.testing.assert_array_equal(found.objective.loss.targets, live.objective.loss.targets)
    for one, other in zip(found.network.stacks[0], live.network.stacks[0], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15)
    penalties = [problem.objective.branches[0].penalty for problem in (found, live)]
    assert penalties[0] == penalties[1]
    values = [problem.objective.evaluate(problem.network).objective for problem in (found, live)]
    assert values[0] == pytest.approx(values[1], rel=1e-13)


def test_the_command_line_gives_what_python_gives(tmp_path):
    estimator = decomposition.SparsePCA(2, alpha=0.3, random_state=0)
    model, data = saved(tmp_path, estimator)
    shown = CliRunner().invoke(cli, ["check", str(model), "--data", str(data), "--format", "json"])
    assert shown.exit_code in (0, 1), shown.output
    live = Problem.from_sklearn(estimator, TABLE)
    value = live.objective.evaluate(live.network).objective
    assert json.loads(shown.stdout)["objective"] == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("estimator", "words"),
    [
        (decomposition.PCA(2), "PCA has no penalty"),
        (decomposition.TruncatedSVD(2), "nuclear norm"),
        (decomposition.FastICA(2, random_state=0), "no penalty"),
        (decomposition.NMF(2, random_state=0), "alpha_W > 0"),
        (decomposition.LatentDirichletAllocation(2, random_state=0), "no factorization"),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "fit") else None,
)
def test_what_is_not_served_says_why(estimator, words, tmp_path):
    model, data = saved(tmp_path, estimator)
    shown = CliRunner().invoke(cli, ["check", str(model), "--data", str(data)])
    assert shown.exit_code == 4
    assert words in shown.output


def test_a_file_without_its_table_and_with_another_says_what_is_needed(tmp_path):
    model, data = saved(tmp_path, SERVED[0])
    with pytest.raises(CertifyError, match="--data"):
        spec_of_decomposition(model, Overrides())
    np.savez(data, X=TABLE[:, :4])
    with pytest.raises(CertifyError, match="do not fit"):
        from_file(model, data)
    np.savez(data, X=np.full_like(TABLE, np.nan))
    with pytest.raises(CertifyError, match="finite"):
        from_file(model, data)


def test_an_inspection_says_how_to_check_it(tmp_path):
    model, _ = saved(tmp_path, SERVED[0])
    shown = CliRunner().invoke(cli, ["inspect", str(model)])
    assert "--data X.npz" in str(shown.exception)


def test_other_skops_files_and_other_files_are_not_taken(tmp_path):
    from sklearn.linear_model import Ridge  # noqa: PLC0415

    model = tmp_path / "ridge.skops"
    skops.io.dump(Ridge().fit(TABLE, TABLE[:, 0]), model)
    assert spec_of_decomposition(model, Overrides(data="X.npz")) is None


@pytest.mark.parametrize("change", ["module", "protocol", "components"])
def test_damaged_files_are_refused(change, tmp_path):
    model, data = saved(tmp_path, SERVED[0])
    spec = spec_of_decomposition(model, Overrides(data=str(data)))
    with zipfile.ZipFile(model) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(entries["schema.json"])
    fields = schema["content"]["content"]
    match change:
        case "module":
            schema["__module__"] = "os.path"
        case "protocol":
            schema["protocol"] = 99
        case "components":
            fields["components_"]["__class__"] = "matrix"
    entries["schema.json"] = json.dumps(schema).encode()
    with zipfile.ZipFile(model, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    if change == "module":
        assert fitted_file(spec) is None
        return
    with pytest.raises(CertifyError):
        fitted_file(spec)
