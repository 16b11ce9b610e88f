"""`penalty.weight_decay` as a mapping from names or patterns of parameters to their weight decay."""

import pytest

from certify.errors import UsageError
from certify.models.spec.overrides import Overrides
from certify.models.spec.problem_file import load_problem_file

TEXT = "schema: certify.problem/1\nmodel: {path: m}\ndata: {path: d}\npenalty: {weight_decay: %s}\n"


@pytest.fixture
def load(tmp_path):
    def _load(value):
        path = tmp_path / "p.yaml"
        path.write_text(TEXT % value)
        return load_problem_file(path)

    return _load


def test_names_and_patterns_are_kept_in_their_order(load):
    found = load("{fc1.bias: 0, fc1.*: 1.0e-3, '*': 2}").penalty.weight_decay
    assert list(found.items()) == [("fc1.bias", 0.0), ("fc1.*", 1e-3), ("*", 2.0)]


def test_overrides_keep_the_mapping_and_a_number_replaces_it(load):
    spec = load("{fc1.*: 1.0e-3, '*': 2}")
    assert spec.with_overrides(Overrides(budget_seconds=5)).penalty == spec.penalty
    assert spec.with_overrides(Overrides(weight_decay=0.5)).penalty.weight_decay == 0.5


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{fc1.weight: -1}", "4:38: penalty.weight_decay.fc1.weight: must be greater than or equal to 0, found -1"),
        ("{a: 1, b: x}", "4:35: penalty.weight_decay.b: must be a valid number, found 'x'"),
        ("{a: true}", "4:29: penalty.weight_decay.a: must be a valid number, found True"),
        ("{a: .nan}", "4:29: penalty.weight_decay.a: must be a finite number, found nan"),
        ("{a: {b: 1}}", "4:29: penalty.weight_decay.a: must be a valid number, found {'b': 1}"),
        ("{a: 1, a: 2}", "4:32: duplicate key 'a'"),
        ("{0: 1}", "4:26: keys must be text"),
        ("{a: 0, b: 0}", "4:25: penalty.weight_decay: is 0 for all parameters: no certificate without a penalty"),
        ("{}", "4:25: penalty.weight_decay: is 0 for all parameters"),
        ("[1]", "4:25: penalty.weight_decay: must be a valid number, found [1]"),
    ],
)
def test_faults_name_line_column_and_parameter(load, value, expected):
    with pytest.raises(UsageError) as caught:
        load(value)
    assert f"p.yaml:{expected}" in str(caught.value)
    assert "\n" not in str(caught.value)
