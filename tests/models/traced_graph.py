"""A live module as a LayerGraph through torch.fx: another way than the product's readers, for comparison with them."""

import math
import operator

import torch
from torch import fx, nn

from certify.models.graph.layers import Layer, LayerGraph

WINDOW = ("kernel_size", "stride", "padding")
MODULES = {
    nn.Linear: ("linear", ()),
    nn.Conv1d: ("conv1d", ("stride", "padding", "dilation", "groups")),
    nn.Conv2d: ("conv2d", ("stride", "padding", "dilation", "groups")),
    nn.Embedding: ("embedding", ()),
    nn.ReLU: ("relu", ()),
    nn.LeakyReLU: ("leaky_relu", ("negative_slope",)),
    nn.PReLU: ("prelu", ()),
    nn.Identity: ("identity", ()),
    nn.Dropout: ("dropout", ()),
    nn.Flatten: ("flatten", ("start_dim", "end_dim")),
    nn.MaxPool1d: ("max_pool1d", WINDOW),
    nn.MaxPool2d: ("max_pool2d", WINDOW),
    nn.AvgPool1d: ("avg_pool1d", WINDOW),
    nn.AvgPool2d: ("avg_pool2d", WINDOW),
    nn.AdaptiveAvgPool2d: ("adaptive_avg_pool2d", ("output_size",)),
    nn.AdaptiveMaxPool2d: ("adaptive_max_pool2d", ("output_size",)),
    nn.BatchNorm1d: ("batch_norm", ("eps",)),
    nn.BatchNorm2d: ("batch_norm", ("eps",)),
    nn.LayerNorm: ("layer_norm", ("normalized_shape", "eps")),
    nn.GroupNorm: ("group_norm", ("num_groups", "eps")),
    nn.Sigmoid: ("sigmoid", ()),
    nn.Tanh: ("tanh", ()),
    nn.GELU: ("gelu", ("approximate",)),
    nn.SiLU: ("silu", ()),
    nn.ELU: ("elu", ("alpha",)),
    nn.Softplus: ("softplus", ("beta", "threshold")),
    nn.Softmax: ("softmax", ("dim",)),
    nn.LogSoftmax: ("log_softmax", ("dim",)),
}
FUNCTIONS = {
    operator.add: "add",
    operator.mul: "mul",
    operator.gt: "gt",
    torch.relu: "relu",
    torch.square: "square",
    torch.abs: "abs",
    torch.exp: "exp",
    torch.cat: "cat",
    torch.sigmoid: "sigmoid",
    torch.softmax: "softmax",
}
METHODS = ("sum", "mean", "amax", "flatten", "unsqueeze", "squeeze", "square", "abs")


def traced_graph(module, *inputs):
    """The graph of a module whose parameters are float64; `inputs` tell the number of axes."""
    module = module.eval()
    trace = fx.symbolic_trace(module)
    state = {name: tensor.detach() for name, tensor in module.state_dict().items() if tensor.is_floating_point()}
    layers, names_in, names = [], [], {}
    for node in trace.graph.nodes:
        if node.op == "placeholder":
            names_in.append(node.name)
            names[node] = node.name
        elif node.op == "get_attr":
            continue
        elif node.op == "output":
            assert names[node.args[0]] == layers[-1].name
        else:
            layers.append(_layer(node, trace, names))
            names[node] = layers[-1].name
    used = {name for layer in layers for name in layer.parameters.values()}
    parameters = {name: tensor for name, tensor in state.items() if name in used}
    frozen = frozenset(name for name, _ in module.named_buffers() if name in used and "running_" not in name)
    ranks = {name: tensor.ndim for name, tensor in zip(names_in, inputs, strict=False)}
    return LayerGraph(tuple(layers), parameters, "", "live", None, "0" * 64, (), tuple(names_in), ranks, frozen=frozen)


def _layer(node, trace, names):
    if node.op == "call_module":
        module = trace.get_submodule(node.target)
        op, attributes = MODULES[type(module)]
        roles = [role for role, tensor in module.state_dict().items() if tensor.is_floating_point()]
        parameters = {role: f"{node.target}.{role}" for role in roles}
        found = {name: _plain(getattr(module, name)) for name in attributes}
        return Layer(op, node.target, _inputs(node.args, names), parameters, found)
    if node.target is operator.getitem:
        (_, window) = node.args[1]
        found = {"dim": 1, "start": window.start, "end": window.stop}
        return Layer("slice", node.name, (names[node.args[0]],), {}, found)
    if node.target == "reshape":
        found = {"shape": node.args[1:]}
        return Layer("reshape", node.name, (names[node.args[0]],), {}, found)
    if node.op == "call_method":
        assert node.target in METHODS
        found = {key: _plain(value) for key, value in node.kwargs.items()}
        if node.target == "flatten":
            found["start_dim"] = node.args[1]
        elif len(node.args) > 1:
            found["dim"] = _plain(node.args[1])
        return Layer(node.target, node.name, (names[node.args[0]],), {}, found)
    if node.target is nn.functional.linear:
        return Layer("linear", node.name, _inputs(node.args[:1], names), {"weight": node.args[1].target})
    op, found = FUNCTIONS[node.target], {key: _plain(value) for key, value in node.kwargs.items()}
    numbers = [value for value in node.args if isinstance(value, float)]
    if op == "mul" and numbers:
        op, found = "scale", {"factor": math.prod(numbers)}
    return Layer(op, node.name, _inputs(node.args, names), {}, found)


def _inputs(arguments, names):
    flat = [value for part in arguments for value in (part if isinstance(part, list | tuple) else [part])]
    return tuple(names[value] for value in flat if isinstance(value, fx.Node))


def _plain(value):
    return tuple(value) if isinstance(value, list | tuple) else value
