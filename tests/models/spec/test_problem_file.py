import subprocess
import sys
from pathlib import Path

import pytest

from certify.errors import ExitCode, UnsupportedError, UsageError
from certify.models.spec.layer_list import LayerEntry
from certify.models.spec.loss_names import LOSS_NAMES
from certify.models.spec.overrides import Overrides
from certify.models.spec.problem_file import find_problem_file, load_problem_file, problem_file_beside, spec_from_flags
from certify.problem import LOSSES

FULL = """\
schema: certify.problem/1
model:
  path: model.pt                 # relative to this file
  layers:
    - linear: fc1
    - relu
    - linear: fc2
data: {path: train.npz, inputs: X, targets: y}
loss: {name: mse, reduction: mean, scale: 1.0}
penalty: {weight_decay: 1.0e-3}
biases: {hidden: penalized, output: penalized}
tolerance: {relative_gap: 1.0e-3, absolute_gap: 0.0}
budget: {seconds: 60}
"""


@pytest.fixture
def load(tmp_path):
    def _load(text):
        path = tmp_path / "p.yaml"
        path.write_text(text)
        return load_problem_file(path)

    return _load


def message_of(load, text, kind=UsageError):
    with pytest.raises(kind) as caught:
        load(text)
    return str(caught.value)


def test_the_example_of_the_contract_loads(load, tmp_path):
    spec = load(FULL)
    assert spec.model.path == tmp_path / "model.pt"
    assert spec.model.entries == (LayerEntry("linear", "fc1"), LayerEntry("relu"), LayerEntry("linear", "fc2"))
    assert spec.data.path == tmp_path / "train.npz"
    assert spec.penalty.weight_decay == 1e-3
    assert spec.budget.seconds == 60


def test_defaults_are_those_of_the_contract(load):
    spec = load("schema: certify.problem/1\nmodel: {path: m}\ndata: {path: d}\npenalty: {weight_decay: 1}\n")
    assert (spec.loss.name, spec.loss.reduction, spec.loss.scale) == ("mse", "mean", 1.0)
    assert (spec.biases.hidden, spec.biases.output, spec.skip) == (None, None, None)
    assert (spec.tolerance.relative_gap, spec.tolerance.absolute_gap, spec.budget.seconds) == (1e-3, 0.0, 60.0)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("budget", "budgett", "13:1: budgett: unknown key; did you mean 'budget'?"),
        ("name: mse", "nam: mse", "9:8: loss.nam: unknown key; did you mean 'name'?"),
        ("name: mse", "name: mean-square", "9:14: loss.name: unknown loss 'mean-square'"),
        ("name: mse", "name: mes", "did you mean 'mse'?"),
        ("mean, scale", "sum_, scale", "9:30: loss.reduction: must be 'mean' or 'sum', found 'sum_'"),
        ("scale: 1.0", "scale: -1", "9:43: loss.scale: must be greater than 0"),
        ("scale: 1.0", "scale: '1'", "9:43: loss.scale: must be a valid number, found '1'"),
        ("scale: 1.0", "scale: true", "9:43: loss.scale: must be a valid number, found True"),
        ("1.0e-3}\nb", "0}\nb", "10:25: penalty.weight_decay: is 0: no certificate without a penalty"),
        ("1.0e-3}\nb", "-1}\nb", "10:25: penalty.weight_decay: must be positive"),
        ("1.0e-3}\nb", ".nan}\nb", "10:25: penalty.weight_decay: must be a finite number"),
        ("1.0e-3}\nb", "1e-3x}\nb", "10:25: penalty.weight_decay: must be a valid number, found '1e-3x'"),
        ("{weight_decay: 1.0e-3}", "{}", "10:10: penalty: give exactly one of"),
        ("{weight_decay: 1.0e-3}", "1", "10:10: penalty: needs keys and values, found 1"),
        (
            "{weight_decay: 1.0e-3}",
            "{weight_decay: 1, product_of_norms: {strength: 1}}",
            "10:10: penalty: give exactly",
        ),
        ("{weight_decay: 1.0e-3}", "{product_of_norms: {}}", "10:29: penalty.product_of_norms.strength: required key"),
        (
            "{weight_decay: 1.0e-3}",
            "{product_of_norms: {strength: 0}}",
            "10:40: penalty.product_of_norms.strength: is 0",
        ),
        (
            "hidden: penalized",
            "hidden: no",
            "11:18: biases.hidden: must be 'penalized', 'free' or 'absent', found 'no'",
        ),
        (
            "relative_gap: 1.0e-3",
            "relative_gap: -1",
            "12:27: tolerance.relative_gap: must be greater than or equal to 0",
        ),
        ("seconds: 60", "seconds: 0", "13:19: budget.seconds: must be greater than 0"),
        ("seconds: 60", "seconds: .inf", "13:19: budget.seconds: must be a finite number"),
        ("- relu", "- linear", "6:7: model.layers.1: 'linear' needs the name of the layer"),
        ("- relu", "- {a: b, c: d}", "6:7: model.layers.1: a layer is"),
        ("- relu", "- 3", "6:7: model.layers.1: a layer is"),
        ("certify.problem/1", "certify.problem/2", "1:9: schema: must be 'certify.problem/1'"),
        ("path: train.npz, inputs: X", "path: train.npz, inputs: 3", "8:33: data.inputs: must be a name"),
        ("path: train.npz", "path: ''", "8:14: data.path: must be a path"),
        ("path: train.npz, ", "", "8:7: data: give 'path', or a pair of .npy files"),
        ("path: model.pt", "path: 3", "3:9: model.path: must be a path"),
    ],
)
def test_faults_name_line_column_key_and_remedy(load, old, new, expected):
    assert old in FULL
    message = message_of(load, FULL.replace(old, new, 1))
    assert f"p.yaml:{expected}" in message if expected[0].isdigit() else expected in message
    assert "\n" not in message


@pytest.mark.parametrize("key", ["schema", "model", "data", "penalty"])
def test_a_missing_section_is_named(load, key):
    lines = {"schema": "certify.problem/1", "model": "{path: m}", "data": "{path: d}", "penalty": "{weight_decay: 1}"}
    text = "".join(f"{name}: {value}\n" for name, value in lines.items() if name != key)
    assert f"p.yaml:1:1: {key}: required key is missing" in message_of(load, text)


def test_several_faults_are_all_listed(load):
    message = message_of(load, FULL.replace("mse", "x").replace("seconds: 60", "seconds: 0").replace("biases", "bias"))
    assert len(message.splitlines()) == 3


def test_a_root_that_is_no_mapping_is_a_usage_error(load):
    assert "p.yaml:1:1: needs keys and values, found [1]" in message_of(load, "- 1\n")


def test_other_norms_are_unsupported(load):
    text = FULL.replace("{weight_decay: 1.0e-3}", "{product_of_norms: {strength: 1, norms: [1, 2]}}")
    with pytest.raises(UnsupportedError, match=r"p.yaml:10:50: .*\[1, 2\] has no certificate") as caught:
        load(text)
    assert caught.value.code == "unsupported-penalty"
    assert caught.value.exit_code == ExitCode.UNSUPPORTED


@pytest.mark.parametrize(
    ("norms", "powers"), [("[2, 2]", "[1, 1, 1]"), ("[2, 2, 2]", "[2, 1]"), ("[2, 1, 2]", "[1, 1, 1]")]
)
def test_norms_are_as_many_as_powers_and_euclidean(load, norms, powers):
    product = f"{{product_of_norms: {{strength: 1, norms: {norms}, powers: {powers}}}}}"
    with pytest.raises(UnsupportedError) as caught:
        load(FULL.replace("{weight_decay: 1.0e-3}", product))
    assert str([2] * (powers.count(",") + 1)) in str(caught.value)


def test_products_of_three_norms_are_read(load):
    given = "{product_of_norms: {strength: 0.5, norms: [2, 2, 2], powers: [1, 1, 1]}}"
    short = "{product_of_norms: {strength: 0.5, powers: [1, 1, 1]}}"
    for text in (given, short):
        product = load(FULL.replace("{weight_decay: 1.0e-3}", text)).penalty.product_of_norms
        assert product.powers == (1, 1, 1)


def test_product_of_norms_has_powers_one_by_default(load):
    spec = load(FULL.replace("{weight_decay: 1.0e-3}", "{product_of_norms: {strength: 0.5}}"))
    assert spec.penalty.product_of_norms.powers == (1, 1)


def test_flags_override_the_file_and_are_relative_to_the_working_folder(load):
    spec = load(FULL).with_overrides(
        Overrides(data="other.npz", weight_decay=0.5, relative_gap=0.1, budget_seconds=5, output_bias="free")
    )
    assert spec.data.path == Path("other.npz")
    assert spec.data.inputs == "X"
    assert spec.penalty.weight_decay == 0.5
    assert spec.biases.output == "free"
    assert spec.biases.hidden == "penalized"
    assert (spec.tolerance.relative_gap, spec.budget.seconds) == (0.1, 5)


def test_weight_decay_replaces_the_whole_penalty(load):
    spec = load(FULL.replace("{weight_decay: 1.0e-3}", "{product_of_norms: {strength: 0.5}}"))
    assert spec.with_overrides(Overrides(weight_decay=2.0)).penalty.product_of_norms is None


def test_no_overrides_change_nothing(load):
    spec = load(FULL)
    assert spec.with_overrides(Overrides()) == spec


def test_flags_alone_make_a_problem():
    spec = spec_from_flags("m.pt", Overrides(data="d.npz", weight_decay=1e-3, loss="huber"))
    assert spec.loss.name == "huber"


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (Overrides(data="d.npz"), "--weight-decay: "),
        (Overrides(weight_decay=1.0), "--data: "),
        (Overrides(data="d", weight_decay=0.0), "--weight-decay: penalty.weight_decay: is 0: no certificate"),
        (Overrides(data="d", weight_decay=1.0, loss="hubber"), "--loss: loss.name: unknown loss 'hubber'; did you"),
        (Overrides(data="d", weight_decay=1.0, relative_gap=float("nan")), "--relative-gap: "),
        (Overrides(data="d", weight_decay=1.0, hidden_bias="maybe"), "--hidden-bias: "),
        (Overrides(data="a\0b", weight_decay=1.0), "--data: data.path: must be a path"),
    ],
)
def test_faults_of_flags_name_the_flag(overrides, expected):
    with pytest.raises(UsageError) as caught:
        spec_from_flags("m.pt", overrides)
    assert expected in str(caught.value)


def test_the_problem_file_is_found_beside_the_model(tmp_path):
    model = tmp_path / "net.v2.pt"
    assert find_problem_file(model) is None
    problem_file_beside(model).write_text(FULL)
    assert find_problem_file(model) == tmp_path / "net.v2.problem.yaml"


def test_each_fault_is_shown_with_its_line_and_a_caret(load):
    with pytest.raises(UsageError) as caught:
        load(FULL.replace("mse", "mes").replace("budget", "budgett"))
    shown = caught.value.shown.splitlines()
    assert shown[1:3] == [
        "    9 | loss: {name: mes, reduction: mean, scale: 1.0}",
        "      |              ^",
    ]
    assert shown[4:] == ["   13 | budgett: {seconds: 60}", "      | ^"]


def test_the_names_of_losses_are_those_of_the_registry():
    assert list(LOSS_NAMES) == list(LOSSES)


def test_problem_files_are_read_without_torch(tmp_path):
    (tmp_path / "p.yaml").write_text(FULL)
    program = (
        "import sys; from certify.models.spec.problem_file import load_problem_file; load_problem_file(sys.argv[1]); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program, tmp_path / "p.yaml"], check=False).returncode == 0
