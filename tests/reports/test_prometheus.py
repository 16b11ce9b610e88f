"""Exposition text that Prometheus' own parser reads."""

import math

import pytest
from prometheus_client.parser import text_string_to_metric_families

from certify.reports.result_prometheus import prometheus_report
from tests.reports.examples import HOSTILE, entry, hostile, mixed, report


def samples(made):
    families = list(text_string_to_metric_families(prometheus_report(made)))
    assert len({family.name for family in families}) == len(families)
    assert all(family.documentation and family.type == "gauge" for family in families)
    found = [sample for family in families for sample in family.samples]
    keys = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in found]
    assert len(set(keys)) == len(keys)
    return dict(zip(keys, (sample.value for sample in found), strict=True))


def test_numbers_come_back_exactly():
    found = samples(mixed())
    for made in mixed().entries:
        label = (("model", made.name),)
        if made.result:
            assert found["certify_objective", label] == made.result.objective
            assert found["certify_check_seconds", label] == made.result.seconds.total
        assert found["certify_exit_code", label] == made.exit_code


def test_what_is_not_finite_has_no_sample():
    found = samples(mixed())
    assert ("certify_lower_bound", (("model", "unbounded.pt"),)) not in found
    assert all(math.isfinite(value) for value in found.values())


def test_each_model_is_in_one_state():
    found = samples(mixed())
    for made in mixed().entries:
        states = {
            dict(labels)["verdict"]: value
            for (name, labels), value in found.items()
            if name == "certify_verdict" and dict(labels)["model"] == made.name
        }
        assert sum(states.values()) == 1
        assert states[made.state] == 1


def test_labels_come_back_as_they_were():
    found = samples(hostile())
    models = {dict(labels)["model"] for name, labels in found if name == "certify_exit_code"}
    assert set(HOSTILE) <= models


@pytest.mark.parametrize("left_out", [(), ("b", "c")])
def test_models_left_out_are_counted(left_out):
    assert samples(report(entry("a", mixed().entries[0].outcome), left_out=left_out))["certify_left_out", ()] == len(
        left_out
    )
