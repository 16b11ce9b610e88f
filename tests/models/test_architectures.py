"""Every architecture of the zoo decomposes as the theory says, and both forward passes agree."""

import pytest

from certify.models.homogeneity import standing_of
from certify.models.parallel import require_same_sum
from certify.models.simplify import simplified
from tests.models.traced_graph import traced_graph
from tests.models.zoo import ZOO

ARCHITECTURES = list(ZOO.values())


@pytest.fixture(params=ARCHITECTURES, ids=lambda entry: entry.name)
def entry(request):
    return request.param


def found_kinds(standing):
    return () if standing.form is None else tuple((k.family, k.degree, k.width) for k in standing.form.kinds)


def verdict(standing):
    return standing.obstacles[0].code if standing.obstacles else "bound"


def close(one, other):
    assert one.shape == other.shape
    assert float((one - other).abs().max()) <= 1e-12 * float(other.abs().max())


def test_the_zoo_is_large_enough():
    assert len(ARCHITECTURES) >= 30


def test_family_degree_width_and_verdict_are_as_worked_out_by_hand(entry):
    standing = standing_of(traced_graph(entry.module))
    assert found_kinds(standing) == entry.expected.kinds
    assert verdict(standing) == entry.expected.verdict


def test_the_graph_and_its_simplified_form_compute_what_the_module_does(entry):
    module, graph = entry.module, traced_graph(entry.module)
    expected = module(*entry.inputs).detach()
    close(graph.forward(*entry.inputs), expected)
    close(simplified(graph).forward(*entry.inputs), expected)


def test_the_sum_of_subnetworks_computes_what_the_module_does(entry):
    standing = standing_of(traced_graph(entry.module))
    if standing.form is None:
        pytest.skip("homogeneity breaks")
    require_same_sum(standing.graph, standing.form, *entry.inputs)
    close(standing.form.forward(*entry.inputs), entry.module(*entry.inputs).detach())
