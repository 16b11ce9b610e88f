"""Every architecture of the zoo decomposes as the theory says, and both forward passes agree."""

import warnings
from dataclasses import replace

import pytest
import torch

from certify.models.graph.graph_builder import Origin
from certify.models.graph.simplify import simplified
from certify.models.lowering.aten_lowering import graph_of_program
from certify.models.readers.exported_program import program_of_export
from certify.models.theory.bias_policy import Conventions
from certify.models.theory.decays import Decays
from certify.models.theory.decompose import decompose
from certify.models.theory.degrees import degrees_of
from certify.models.theory.parallel import parallel_form
from certify.models.theory.standing import standing_of
from certify.models.writers import network_parameters
from certify.problem import LossSpec, Objective, ParallelNetwork, ProductOfNorms
from certify.problem.architecture import Convolution
from tests.models.theory.summed import of_sort, summed, without_subnetworks
from tests.models.traced_graph import traced_graph
from tests.models.zoo import ZOO

ARCHITECTURES = list(ZOO.values())


@pytest.fixture(params=ARCHITECTURES, ids=lambda entry: entry.name)
def entry(request):
    return request.param


def found_kinds(standing):
    return () if standing.form is None else tuple((k.family, k.degree, k.width) for k in standing.form.sorts)


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
    close(summed(graph, form, *entry.inputs), entry.module(*entry.inputs).detach())


def test_every_subnetwork_is_homogeneous_of_its_degree(entry):
    standing = standing_of(traced_graph(entry.module, *entry.inputs))
    for kind in () if standing.form is None else standing.form.sorts:
        weights = {name: 1.7 * tensor for name, tensor in kind.graph.parameters.items()}
        scaled = replace(kind, graph=replace(kind.graph, parameters=weights))
        inputs = entry.inputs if len(entry.inputs) == len(kind.graph.inputs) else (torch.eye(5).double(),)
        close(of_sort(scaled, *inputs), 1.7**kind.degree * of_sort(kind, *inputs))


BOUND = [entry for entry in ARCHITECTURES if entry.expected.verdict == "bound" and len(entry.inputs) == 1]


def kept_units(branch):
    """A convolution without channels runs nowhere, and a gate or a deep branch without units is gone."""
    made = branch.neuron.architecture
    stays = isinstance(made.first, Convolution) or made.gate is not None or made.middle
    return len(branch.cuts) if stays else 0


def objective_of(entry):
    """Decomposition, objective and network of an architecture with a bound, on its inputs."""
    (inputs,) = entry.inputs
    graph = traced_graph(entry.module, inputs)
    charge = ProductOfNorms(0.1, (2, 1)) if entry.name == "two-layer-quadratic" else Decays(0.1)
    free = {} if isinstance(charge, Decays) else {"output": "free"}
    found = decompose(graph, Conventions(**free), charge).on(inputs)
    c = found.network.coefficients.shape[1]
    loss = LossSpec("mse", "mean", 1.0).bind(torch.zeros(len(inputs), c, dtype=torch.float64), c, None, None)
    objective = Objective(found.branches_on(inputs), found.convex_part(inputs), loss, found.offset(inputs))
    return found, objective, found.network


@pytest.mark.parametrize("entry", BOUND, ids=lambda entry: entry.name)
def test_branches_and_what_is_outside_compute_what_the_module_does(entry):
    _, objective, network = objective_of(entry)
    expected = entry.module(*entry.inputs).detach()
    close(objective.forward(network), expected.reshape(len(expected), -1))


@pytest.mark.parametrize("entry", BOUND, ids=lambda entry: entry.name)
def test_a_network_leads_back_to_the_parameters(entry):
    found, _, network = objective_of(entry)
    graph = found.layout.graph
    written = network_parameters(graph, found, network)
    assert list(written) == list(graph.parameters)
    assert all(torch.equal(written[name], tensor) for name, tensor in graph.parameters.items())


@pytest.mark.parametrize("entry", BOUND, ids=lambda entry: entry.name)
def test_a_wider_network_is_written_as_a_wider_model_with_the_same_outputs(entry):
    found, objective, network = objective_of(entry)
    stacks = tuple(tuple(torch.cat([f, 0.3 * f[:2]]) for f in stack) for stack in network.stacks)
    wider = ParallelNetwork(stacks, network.coefficients)
    graph = replace(found.layout.graph, parameters=network_parameters(found.layout.graph, found, wider))
    expected = objective.forward(wider)
    close(graph.forward(*entry.inputs).reshape(expected.shape), expected)
    again = decompose(graph, found.conventions, found.charge)
    assert again.network.widths == wider.widths


@pytest.mark.parametrize("entry", BOUND, ids=lambda entry: entry.name)
def test_a_network_without_subnetworks_is_written_and_read_again(entry):
    found, objective, network = objective_of(entry)
    empty = ParallelNetwork(objective.empty_stacks(), network.coefficients)
    graph = replace(found.layout.graph, parameters=network_parameters(found.layout.graph, found, empty))
    again = decompose(graph, found.conventions, found.charge)
    # A unit of zeros computes, and is penalized by, nothing.
    assert again.network.widths == tuple(kept_units(branch) for branch in found.branches)
    close(objective.forward(again.on(*entry.inputs).network), objective.forward(empty))


@pytest.mark.parametrize("entry", BOUND, ids=lambda entry: entry.name)
def test_the_penalty_of_branches_and_outside_is_weight_decay_on_all_parameters(entry):
    found, objective, network = objective_of(entry)
    if not isinstance(found.charge, Decays):
        pytest.skip("under a product of norms")
    graph = found.layout.graph
    total = sum(float((t**2).sum()) for name, t in graph.parameters.items() if name not in graph.frozen)
    assert objective.penalty(network) == pytest.approx(0.05 * total, rel=1e-13)


@pytest.mark.parametrize("name", ["two-layer-relu", "conv-relu-max-pool", "block-diagonal-weights"])
def test_parts_lead_back_to_the_parameters_and_take_more_subnetworks(name):
    entry = ZOO[name]
    graph = simplified(traced_graph(entry.module, *entry.inputs))
    form = parallel_form(graph)
    ((cut,),) = [kind.cuts for kind in form.sorts]
    for parameter, part in cut.parts.items():
        assert torch.equal(part.placed(cut.graph.parameters[parameter]), graph.parameters[parameter])
    doubled = {n: part.placed(torch.cat([cut.graph.parameters[n]] * 2)) for n, part in cut.parts.items()}
    wider = replace(graph, parameters={**graph.parameters, **doubled})
    twice = without_subnetworks(graph, form, *entry.inputs) + 2 * of_sort(form.sorts[0], *entry.inputs)
    close(wider.forward(*entry.inputs), twice)
