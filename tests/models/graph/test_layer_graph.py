import pytest
import torch

from certify.errors import CertifyError
from certify.models.graph.layers import Layer, LayerGraph


def graph_of(*layers, parameters=None):
    return LayerGraph(layers, parameters or {}, "", "live", None, "0" * 64, ())


def test_a_layer_reads_only_what_comes_before_it():
    with pytest.raises(CertifyError, match="layer 'a' is out of order"):
        graph_of(Layer("relu", "a", ("b",)), Layer("relu", "b"))
    with pytest.raises(CertifyError, match="named twice"):
        graph_of(Layer("relu", "a"), Layer("relu", "a"))


def test_branches_meet_in_the_reference_forward_pass():
    weight = torch.tensor([[1.0, -2.0], [0.5, 1.0]], dtype=torch.float64)
    graph = graph_of(
        Layer("linear", "fc", parameters={"weight": "fc.weight"}),
        Layer("relu", "act", ("fc",)),
        Layer("mul", "product", ("act", "input")),
        Layer("sum", "total", ("product",), attributes={"dim": (1,)}),
        parameters={"fc.weight": weight},
    )
    # relu(3 - 2, 1.5 + 1) = (1, 2.5), times (3, 1), summed.
    assert graph.forward(torch.tensor([[3.0, 1.0]], dtype=torch.float64)).tolist() == [5.5]
    assert [layer.name for layer in graph.readers("input")] == ["fc", "product"]
