"""Which ATen operations are a layer as they stand: their operand, parameters and attributes by schema name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from certify.models.graph.graph_builder import Value
from certify.models.lowering.aten_call import CallView
from certify.models.readers.aten_program import Argument


@final
@dataclass(frozen=True, slots=True)
class Rule:
    """One operation.

    Attributes:
        op: of the layer.
        operand: the argument that depends on the inputs.
        parameters: arguments that are parameters, with the same role.
        attributes: arguments that are attributes, of the same name.
        demanded: arguments that must have one value where they are given.
        ignored: arguments that do not change the value in evaluation.
    """

    op: str
    operand: str = "self"
    parameters: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    demanded: tuple[tuple[str, Argument], ...] = ()
    ignored: tuple[str, ...] = ()


_AFFINE = ("weight", "bias")
CONVOLUTION = ("stride", "padding", "dilation", "groups")
_WINDOW = ("kernel_size", "stride", "padding")
MAX_WINDOW = (*_WINDOW, "dilation", "ceil_mode")
MEAN_WINDOW = (*_WINDOW, "ceil_mode", "count_include_pad")
_STATISTICS = ("running_mean", "running_var")

_PLAIN = (
    *("relu", "abs", "square", "sigmoid", "tanh", "silu", "mish", "selu", "relu6", "hardswish", "hardsigmoid"),
    *("exp", "sin", "cos"),
)
RULES: dict[str, Rule] = {
    "linear": Rule("linear", "input", _AFFINE),
    "conv1d": Rule("conv1d", "input", _AFFINE, CONVOLUTION),
    "conv2d": Rule("conv2d", "input", _AFFINE, CONVOLUTION),
    "embedding": Rule(
        "embedding", "indices", ("weight",), ignored=("padding_idx",), demanded=(("scale_grad_by_freq", False),)
    ),
    **{name: Rule(name) for name in _PLAIN},
    "leaky_relu": Rule("leaky_relu", attributes=("negative_slope",)),
    "prelu": Rule("prelu", parameters=("weight",)),
    "_prelu_kernel": Rule("prelu", parameters=("weight",)),
    "gt": Rule("gt", demanded=(("other", 0),)),
    "max_pool1d": Rule("max_pool1d", attributes=MAX_WINDOW),
    "max_pool2d": Rule("max_pool2d", attributes=MAX_WINDOW),
    "max_pool2d_with_indices": Rule("max_pool2d", attributes=MAX_WINDOW),
    "avg_pool1d": Rule("avg_pool1d", attributes=MEAN_WINDOW),
    "avg_pool2d": Rule("avg_pool2d", attributes=(*MEAN_WINDOW, "divisor_override")),
    "adaptive_avg_pool1d": Rule("adaptive_avg_pool1d", attributes=("output_size",)),
    "adaptive_avg_pool2d": Rule("adaptive_avg_pool2d", attributes=("output_size",)),
    "_adaptive_avg_pool2d": Rule("adaptive_avg_pool2d", attributes=("output_size",)),
    "adaptive_max_pool1d": Rule("adaptive_max_pool1d", attributes=("output_size",)),
    "adaptive_max_pool2d": Rule("adaptive_max_pool2d", attributes=("output_size",)),
    "mean": Rule("mean", attributes=("dim", "keepdim")),
    "sum": Rule("sum", attributes=("dim", "keepdim")),
    "amax": Rule("amax", attributes=("dim", "keepdim")),
    "flatten": Rule("flatten", attributes=("start_dim", "end_dim")),
    "permute": Rule("permute", attributes=("dims",)),
    "squeeze": Rule("squeeze", attributes=("dim",)),
    "unsqueeze": Rule("unsqueeze", attributes=("dim",)),
    "select": Rule("select", attributes=("dim", "index")),
    "dropout": Rule("dropout", "input", ignored=("p",), demanded=(("train", False),)),
    "feature_dropout": Rule("dropout", "input", ignored=("p",), demanded=(("train", False),)),
    "batch_norm": Rule(
        "batch_norm",
        "input",
        (*_AFFINE, *_STATISTICS),
        ("eps",),
        (("training", False),),
        ("momentum", "cudnn_enabled"),
    ),
    "_native_batch_norm_legit_no_training": Rule(
        "batch_norm", "input", (*_AFFINE, *_STATISTICS), ("eps",), ignored=("momentum",)
    ),
    "layer_norm": Rule("layer_norm", "input", _AFFINE, ("normalized_shape", "eps"), ignored=("cudnn_enable",)),
    "native_layer_norm": Rule("layer_norm", "input", _AFFINE, ("normalized_shape", "eps")),
    "group_norm": Rule("group_norm", "input", _AFFINE, ("num_groups", "eps"), ignored=("cudnn_enabled",)),
    "gelu": Rule("gelu", attributes=("approximate",)),
    "elu": Rule("elu", attributes=("alpha",), demanded=(("scale", 1), ("input_scale", 1))),
    "celu": Rule("celu", attributes=("alpha",)),
    "softplus": Rule("softplus", attributes=("beta", "threshold")),
    "softmax": Rule("softmax", attributes=("dim",)),
    "_softmax": Rule("softmax", attributes=("dim",), demanded=(("half_to_float", False),)),
    "log_softmax": Rule("log_softmax", attributes=("dim",)),
    "_log_softmax": Rule("log_softmax", attributes=("dim",), demanded=(("half_to_float", False),)),
    "hardtanh": Rule("hardtanh", attributes=("min_val", "max_val")),
}
# Operations that return their operand as it is.
ALIASES = frozenset(("alias", "clone", "contiguous", "detach", "identity", "lift_fresh_copy", "lift_fresh"))
# Operations whose result may share memory with their operand.
VIEWS = ALIASES | frozenset(
    (
        *("flatten", "permute", "squeeze", "unsqueeze", "select", "view", "reshape", "_unsafe_view", "slice", "t"),
        *("transpose", "to", "_to_copy", "type_as", "dropout", "feature_dropout"),
    )
)
# Operations that return nothing which a model could compute with.
CHECKS = frozenset(("_assert_tensor_metadata", "_assert_scalar", "_assert_async", "sym_constrain_range_for_size"))


def by_rule(view: CallView) -> Value | None:
    """The layer that the rule of a call makes of it; None where there is no rule, or it does not fit."""
    rule = RULES.get(view.call.packet.removesuffix("_"))
    if rule is None or not _fits(view, rule):
        return None
    operand = view.output(rule.operand)
    constants = {role: found for role in rule.parameters if (found := view.constant(role)) is not None}
    attributes = {name: given for name in rule.attributes if (given := view.attribute(name)) is not None}
    return None if operand is None else view.layer(rule.op, [operand], constants, attributes)


def _fits(view: CallView, rule: Rule) -> bool:
    demanded = dict(rule.demanded)
    for name, argument in view.call.arguments.items():
        if name in rule.parameters:
            fits = argument is None or view.constant(name) is not None
        elif name in rule.attributes:
            fits = argument is None or argument == [] or view.attribute(name) is not None
        elif name in demanded:
            fits = argument == demanded[name]
        else:
            fits = name == rule.operand or name in rule.ignored or argument is None or argument is False
        if not fits:
            return False
    return True
