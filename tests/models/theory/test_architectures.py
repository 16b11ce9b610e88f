"""Every architecture of the zoo decomposes as the theory says, and both forward passes agree."""

import warnings
from dataclasses import replace

import pytest
import torch

from certify.errors import CertifyError
from certify.models.graph.graph_builder import Origin
from certify.models.graph.simplify import simplified
from certify.models.lowering.aten_lowering import graph_of_program
from certify.models.readers.exported_program import program_of_export
from certify.models.theory.degrees import degrees_of
from certify.models.theory.homogeneity import standing_of
from certify.models.theory.parallel import parallel_form, require_same_sum
from certify.models.theory.reduce import reduced
from certify.models.theory.two_layer import two_layer_form
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
    standing = standing_of(traced_graph(entry.module, *entry.inputs))
    assert found_kinds(standing) == entry.expected.kinds
    assert verdict(standing) == entry.expected.verdict


def test_the_graph_and_its_simplified_form_compute_what_the_module_does(entry):
    module, graph = entry.module, traced_graph(entry.module, *entry.inputs)
    expected = module(*entry.inputs).detach()
    close(graph.forward(*entry.inputs), expected)
    close(simplified(graph).forward(*entry.inputs), expected)


def test_torch_export_gives_a_graph_that_decomposes_alike(entry):
    module = entry.module
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        samples = tuple({0: torch.export.Dim.AUTO} for _ in entry.inputs)
        exported = torch.export.export(module, entry.inputs, dynamic_shapes=samples)
    graph = graph_of_program(program_of_export(exported), Origin("live", None, ""))
    standing = standing_of(graph)
    assert (found_kinds(standing), verdict(standing)) == (entry.expected.kinds, entry.expected.verdict)
    close(graph.forward(*entry.inputs), module(*entry.inputs).detach())


def test_the_sum_of_subnetworks_computes_what_the_module_does(entry):
    graph = simplified(traced_graph(entry.module, *entry.inputs))
    if degrees_of(graph).breaks:
        pytest.skip("homogeneity breaks")
    form = parallel_form(graph)
    require_same_sum(graph, form, *entry.inputs)
    close(form.forward(*entry.inputs), entry.module(*entry.inputs).detach())


def test_every_subnetwork_is_homogeneous_of_its_degree(entry):
    standing = standing_of(traced_graph(entry.module, *entry.inputs))
    for kind in () if standing.form is None else standing.form.kinds:
        weights = {name: 1.7 * tensor for name, tensor in kind.graph.parameters.items()}
        scaled = replace(kind, graph=replace(kind.graph, parameters=weights))
        inputs = entry.inputs if len(entry.inputs) == len(kind.graph.inputs) else (torch.eye(5).double(),)
        close(scaled.forward(*inputs), 1.7**kind.degree * kind.forward(*inputs))


@pytest.mark.parametrize("name", ["parallel-two-layer-branches", "two-towers-joined", "relu-beside-a-linear-skip"])
def test_a_network_written_as_two_layers_has_the_same_outputs_and_the_same_penalty(name):
    entry = ZOO[name]
    graph = reduced(traced_graph(entry.module, *entry.inputs))
    assert two_layer_form(graph) is not None
    close(graph.forward(*entry.inputs), entry.module(*entry.inputs).detach())
    penalty = sum(float((tensor**2).sum()) for tensor in graph.parameters.values())
    assert penalty == pytest.approx(sum(float((p.detach() ** 2).sum()) for p in entry.module.parameters()), rel=1e-14)


def test_an_inner_product_of_embeddings_is_two_linear_layers_on_one_hot_rows():
    entry = ZOO["embedding-inner-product"]
    graph = reduced(traced_graph(entry.module, *entry.inputs))
    rows, columns = entry.inputs
    completed = graph.forward(torch.eye(5, dtype=torch.float64))
    close(completed[rows, columns], entry.module(rows, columns).detach())


@pytest.mark.parametrize("name", ["two-layer-relu", "conv-relu-max-pool", "block-diagonal-weights"])
def test_parts_lead_back_to_the_parameters_and_take_more_subnetworks(name):
    entry = ZOO[name]
    graph = simplified(traced_graph(entry.module, *entry.inputs))
    form = parallel_form(graph)
    ((cut,),) = [kind.cuts for kind in form.kinds]
    for parameter, part in cut.parts.items():
        assert torch.equal(part.placed(cut.graph.parameters[parameter]), graph.parameters[parameter])
    doubled = {n: part.placed(torch.cat([cut.graph.parameters[n]] * 2)) for n, part in cut.parts.items()}
    wider = replace(graph, parameters={**graph.parameters, **doubled})
    twice = form.rest.forward(*entry.inputs) + 2 * form.kinds[0].forward(*entry.inputs)
    close(wider.forward(*entry.inputs), twice)


def test_the_comparison_of_forward_passes_sees_a_wrong_weight():
    entry = ZOO["two-layer-relu"]
    graph = simplified(traced_graph(entry.module, *entry.inputs))
    form = parallel_form(graph)
    other = replace(graph, parameters={n: t + 1e-9 for n, t in graph.parameters.items()})
    with pytest.raises(CertifyError, match="differ from the layers"):
        require_same_sum(other, form, *entry.inputs)
