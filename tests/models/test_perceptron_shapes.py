"""Weights of a perceptron that are no matrices, as a damaged file may hold them."""

import pytest
import torch

from certify.errors import CertifyError, ExitCode
from certify.models.estimator import graph_of_perceptron
from certify.models.readers.perceptron import Perceptron


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 1)])
def test_weights_that_are_no_matrices_are_refused(shape):
    weights, biases = (torch.ones(shape).double(), torch.ones(3, 1).double()), (torch.ones(3), torch.ones(1))
    found = Perceptron("relu", "identity", "squared_error", "adam", 0.1, None, False, weights, biases)
    with pytest.raises(CertifyError) as caught:
        graph_of_perceptron(found, "skops")
    assert caught.value.exit_code in (ExitCode.USAGE, ExitCode.REFUSED)
