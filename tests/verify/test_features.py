"""Certificates of heads: what is linked to files, and what is said of the features."""

import copy
import hashlib

import numpy as np
import pytest

from certify.reports.verification import verdict_lines, verdict_object
from certify.verify import verify_bytes

from .forging import linked_head
from .packing import packed


def test_a_head_is_linked_by_its_weights_and_targets_and_says_that_features_are_not():
    header, arrays, model, data = linked_head()
    verdict = verify_bytes(packed(header, arrays), model, (data,))
    assert verdict.status == "valid", verdict.message
    assert verdict.model_linked
    assert verdict.data_linked
    assert "that the frozen layers of the model compute these features from the data was not checked" in verdict.message
    assert verdict.features == hashlib.sha256(arrays["X"].tobytes()).hexdigest()
    assert verdict_object(verdict, "x")["scope"] == "head"
    assert "head on 1 features of frozen layers" in "\n".join(verdict_lines(verdict, "x"))


def features_called_inputs(header, arrays):
    header["statement"]["features"] = None


def other_targets(header, arrays):
    arrays["Y"] = np.nextafter(arrays["Y"], 0)


def other_weights(header, arrays):
    arrays["F0.0"] = arrays["F0.0"] + 2.0**-60


def frozen_layer_as_weight(header, arrays):
    header["sources"]["parameters"]["F0.0"][0]["name"] = "frozen"


def one_name_twice(header, arrays):
    header["sources"]["parameters"]["F0.0"][0]["name"] = "second"


@pytest.mark.parametrize(
    ("forge", "rule"),
    [
        (features_called_inputs, "model-link"),
        (other_targets, "data-link"),
        (other_weights, "model-link"),
        (frozen_layer_as_weight, "model-link"),
        (one_name_twice, "model-link"),
    ],
)
def test_a_linked_head_rejects(forge, rule):
    header, arrays, model, data = linked_head()
    header = copy.deepcopy(header)
    forge(header, arrays)
    assert verify_bytes(packed(header, arrays), model, (data,)).rule == rule


def test_features_that_pose_as_the_inputs_of_a_whole_model_are_not_those_of_the_data_file():
    header, arrays, _, data = linked_head()
    header["statement"]["features"] = None
    assert verify_bytes(packed(header, arrays), None, (data,)).rule == "data-link"
