"""From an audit file to its items: globs, matrix, exclusions, defaults, names, and faults with their place."""

import subprocess
import sys

import pytest

from certify.audits.plan import load_plan
from certify.errors import UsageError

HEAD = "schema: certify.audit/1\n"


@pytest.fixture
def folder(tmp_path):
    for name in ("a", "b", "deep/c"):
        (tmp_path / "models" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "models" / f"{name}.pt").write_bytes(b"x")
    return tmp_path


@pytest.fixture
def plan(folder):
    def _plan(text, **options):
        (folder / "audit.yaml").write_text(HEAD + text)
        return load_plan(folder / "audit.yaml", **options)

    return _plan


def names(plan):
    return [item.name for item in plan.items]


def fault(plan, text):
    with pytest.raises(UsageError) as caught:
        plan(text)
    return str(caught.value).partition("audit.yaml:")[2], caught.value.shown


def test_a_glob_is_its_files_in_order(plan):
    assert names(plan("models: [{path: models/*.pt}]")) == ["models/a.pt", "models/b.pt"]
    assert names(plan("models: [{path: models/**/*.pt}]")) == ["models/a.pt", "models/b.pt", "models/deep/c.pt"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(plan, folder):
    (folder / "a[1].pt").write_bytes(b"x")
    assert names(plan('models: [{path: "a[1].pt"}]')) == ["a[1].pt"]


def test_a_plain_path_need_not_exist(plan):
    # That is the item's own failure, and nobody else's.
    assert names(plan("models: [{path: absent.pt}]")) == ["absent.pt"]


def test_a_glob_that_matches_nothing_is_a_fault_unless_accepted(plan):
    place, _ = fault(plan, "models: [{path: models/*.onnx}]")
    assert place.startswith("2:17: no file matches 'models/*.onnx'")
    assert plan("models: [{path: models/*.onnx}]", allow_empty=True).items == ()


def test_excluded_files_and_combinations_are_left_out(plan):
    text = (
        "matrix: {wd: [1, 2], seed: [0, 1]}\n"
        "exclude: [models/a.*, {wd: 2, seed: 1}]\n"
        "models: [{path: models/*.pt, exclude: [{wd: 1, seed: 0}]}]\n"
    )
    assert names(plan(text)) == ["models/b.pt[wd=1,seed=1]", "models/b.pt[wd=2,seed=0]"]


def test_the_matrix_fills_paths_and_numbers_keep_their_type(plan):
    text = (
        "models:\n  - path: models/${matrix.name}.pt\n    matrix: {name: [a, deep/c], wd: [0.5, 1e-3]}\n"
        '    problem:\n      data: {path: "d-${matrix.wd}.npz"}\n      penalty:\n        weight_decay: ${matrix.wd}\n'
    )
    items = plan(text).items
    assert [item.spec().penalty.weight_decay for item in items] == [0.5, 1e-3, 0.5, 1e-3]
    assert [item.spec().data.path.name for item in items] == ["d-0.5.npz", "d-0.001.npz"] * 2
    assert [item.spec().model.path.name for item in items] == ["a.pt", "a.pt", "c.pt", "c.pt"]


def test_the_environment_is_read_where_it_is_written_and_nowhere_else(plan, monkeypatch):
    monkeypatch.setenv("WD", "1e-3")
    monkeypatch.setenv("RUN", "a ${matrix.x} $${WD}")
    text = (
        "models:\n  - path: p-${RUN}-$${WD}-$WD-%WD%.pt\n    problem:\n      data: {path: d}\n"
        "      penalty:\n        weight_decay: ${WD}\n"
    )
    (item,) = plan(text).items
    assert item.spec().penalty.weight_decay == 1e-3
    assert item.name == "p-a ${matrix.x} $${WD}-${WD}-$WD-%WD%.pt"


def test_entries_lie_on_top_of_the_defaults(plan):
    text = (
        "defaults:\n  expect: any\n  tolerance: {relative_gap: 1e-2, absolute_gap: 1e-6}\n  problem:\n"
        "    data: {path: d.npz, inputs: Z}\n    penalty: {weight_decay: 1}\n    loss: {name: huber, scale: 0.5}\n"
        "models:\n  - path: models/a.pt\n    expect: improvable\n    tolerance: {relative_gap: 0.5}\n    problem:\n"
        "      penalty: {product_of_norms: {strength: 2}}\n      loss: {name: mse}\n"
    )
    (item,) = plan(text).items
    spec = item.spec()
    assert item.expect == "improvable"
    assert (spec.tolerance.relative_gap, spec.tolerance.absolute_gap) == (0.5, 1e-6)
    assert (spec.loss.name, spec.loss.scale, spec.data.inputs) == ("mse", 0.5, "Z")
    assert spec.penalty.weight_decay is None


def test_the_audit_overrides_the_problem_file_beside_the_model(plan, folder):
    (folder / "models" / "a.problem.yaml").write_text(
        "schema: certify.problem/1\nmodel: {path: other.pt}\ndata: {path: d.npz}\npenalty: {weight_decay: 1}\n"
        "tolerance: {relative_gap: 0.1, absolute_gap: 0.2}\n"
    )
    (item,) = plan("models: [{path: models/a.pt, tolerance: {relative_gap: 0.5}, budget: {seconds: 7}}]").items
    spec = item.spec()
    assert spec.model.path == folder / "models" / "a.pt"
    assert spec.data.path == folder / "models" / "d.npz"
    assert (spec.tolerance.relative_gap, spec.tolerance.absolute_gap, spec.budget.seconds) == (0.5, 0.2, 7)


PROBLEM = "problem: {data: {path: d}, penalty: {weight_decay: 1}"


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("modells: []\nmodels: [{path: a}]", "2:1", "modells: unknown key; did you mean 'models'?"),
        ("models: []", "2:9", "at least 1 item"),
        ("models: [{pat: a}]", "2:10", "pat: unknown key; did you mean 'path'?"),
        ("models: [{path: a, expect: good}]", "2:28", "expect: must be 'certified'"),
        ("models: [{path: a, max_relative_gap: -1}]", "2:38", "greater than or equal to 0"),
        ("models: [{path: a, limits: {second: 1}}]", "2:29", "did you mean 'seconds'?"),
        ("models: [{path: a, budget: {seconds: 0}}]", "2:38", "greater than 0"),
        ("models: [{path: a, device: tpu}]", "2:28", "must be cpu, cuda"),
        ("models: [{path: a, matrix: {x: []}}]", "2:32", "at least 1 item"),
        ("models: [{path: a, matrix: {x: 1}}]", "2:32", "must be a valid tuple"),
        ("models: [{path: a, exclude: [{x: 1}]}]", "2:29", "no axis 'x'; there is no matrix"),
        ("models: [{path: '${matrix.x}', matrix: {y: [1]}}]", "2:17", "the matrix has no axis 'x'"),
        ("models: [{path: '${matrix.wdd}', matrix: {wd: [1]}}]", "2:17", "did you mean 'wd'?"),
        ("models: [{path: '${NO_SUCH_NAME}'}]", "2:17", "environment variable NO_SUCH_NAME is not set"),
        ("models: [{path: '${'}]", "2:17", "needs a name and '}'"),
        ("models: [{path: a}, {path: b, name: a}]", "2:21", "two items are named 'a', the first one on line 2"),
        ("models: [{path: a, problem: 3}]", "2:29", "must be the path of a problem file"),
        ("models: [{path: a, " + PROBLEM + ", los: 1}}]", "2:75", "los: unknown key; did you mean 'loss'?"),
        ("models: [{path: a, " + PROBLEM + ", loss: {name: mes}}}]", "2:88", "did you mean 'mse'?"),
        ("defaults: {expect: x}\nmodels: [{path: a}]", "2:20", "expect: must be"),
        ("defaults: {path: x}\nmodels: [{path: a}]", "2:11", "'path' belongs to an entry"),
        ("defaults: {" + PROBLEM + ", loss: {name: x}}}\nmodels: [{path: a}]", "2:80", "unknown loss 'x'"),
        ("defaults: &a {expect: any}\nmodels: [{path: a}]", "2:11", "anchors"),
        ("models: [{path: a, path: b}]", "2:20", "duplicate key 'path'"),
        (
            "matrix: {" + ", ".join(f"a{i}: [1, 2, 3, 4]" for i in range(10)) + "}\nmodels: [{path: a}]",
            "3:10",
            "more than",
        ),
    ],
)
def test_faults_name_their_place_and_show_a_caret(plan, text, place, words):
    found, shown = fault(plan, text)
    assert found.startswith(f"{place}: ")
    assert words in found
    line, column = map(int, place.split(":"))
    excerpt, caret = shown.splitlines()[1:3]
    assert caret.endswith("^")
    assert excerpt[len(caret) - 1 :].startswith((HEAD + text).splitlines()[line - 1][column - 1 :][:5])


def test_only_takes_names_and_patterns(plan):
    found = plan("models: [{path: models/*.pt}, {path: x.pt, name: last}]")
    assert names(found.only(["*/b.pt", "last"])) == ["models/b.pt", "last"]
    with pytest.raises(UsageError, match="did you mean 'last'"):
        found.only(["lst"])


def test_a_plan_is_made_without_torch_numpy_or_click(folder):
    (folder / "audit.yaml").write_text(HEAD + "models: [{path: models/*.pt}]")
    program = (
        "import sys; from certify.audits.plan import load_plan; load_plan(sys.argv[1]); "
        "sys.exit(sum(name in sys.modules for name in ('torch', 'scipy', 'click', 'rich')))"
    )
    assert subprocess.run([sys.executable, "-c", program, folder / "audit.yaml"], check=False).returncode == 0
