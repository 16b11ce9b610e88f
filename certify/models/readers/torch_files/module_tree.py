"""A tree of torch modules, live or pickled, in one form: class, settings, tensors and children by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

from torch import nn

from certify.errors import RefusedError, UnsupportedError
from certify.models.readers.torch_files.pickle_values import Call, Global

MODULES = "torch.nn.modules."
# The deepest nesting of modules that is followed.
MAX_DEPTH = 100
# The most modules in a tree, counting a shared one wherever it stands.
MAX_MODULES = 10_000
# The most tensors in a tree, counted likewise.
MAX_TENSORS = 100_000
# Registries of functions that run with `forward`; as fields of a pickle, empty unless in use.
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")


@final
@dataclass(frozen=True, slots=True)
class ModuleNode:
    """One module.

    Attributes:
        kind: class name with its module.
        settings: its other fields by name.
        tensors: its own parameters, then its own buffers, by name; of any type.
        children: by name, in the order registered.
        own_forward: whether the object, and not its class, says what it computes.
        buffers: names of its own buffers.
        frozen: names of its own parameters that take no gradient.
    """

    kind: str
    settings: Mapping[str, object]
    tensors: Mapping[str, object]
    children: Mapping[str, ModuleNode]
    own_forward: bool = False
    buffers: frozenset[str] = frozenset()
    frozen: frozenset[str] = frozenset()

    def all_nodes(self, prefix: str = "") -> Iterator[tuple[str, ModuleNode]]:
        """Every module of the tree with what stands before the names of its tensors."""
        yield prefix, self
        for name, child in self.children.items():
            yield from child.all_nodes(f"{prefix}{name}.")

    def all_tensors(self) -> Iterator[tuple[str, object]]:
        """Every tensor of the tree with its full name."""
        return ((f"{at}{name}", tensor) for at, node in self.all_nodes() for name, tensor in node.tensors.items())


def is_module(value: object) -> bool:
    """Whether a value of a pickle is a module of torch's own."""
    return isinstance(value, Call) and isinstance(value.callee, Global) and value.callee.path.startswith(MODULES)


def pickled_module(value: object, where: str) -> ModuleNode:
    """The tree of a pickled module; its tensors are as the pickle holds them.

    Raises:
        RefusedError: a field that makes no sense, or a tree that is too deep or large.
        UnsupportedError: hooks.
    """
    return _pickled(value, "model", where, _Count())


def live_module(module: nn.Module) -> ModuleNode:
    """The tree of a live module; one with hooks counts as having a forward of its own."""
    # `named_children` leaves out a module that runs a second time.
    children = {key: live_module(child) for key, child in module._modules.items() if child is not None}
    own, buffers = dict(module.named_parameters(recurse=False)), dict(module.named_buffers(recurse=False))
    frozen = frozenset(name for name, parameter in own.items() if not parameter.requires_grad)
    kind = f"{type(module).__module__}.{type(module).__qualname__}"
    forward = "forward" in vars(module) or any(getattr(module, hooks) for hooks in _HOOKS)
    return ModuleNode(kind, vars(module), {**own, **buffers}, children, forward, frozenset(buffers), frozen)


def hooks_error(where: str, name: str) -> UnsupportedError:
    """The error for a module with hooks."""
    return UnsupportedError(
        f"{where}: module '{name}' has forward hooks, which may change what it computes; "
        "remove them (for weight_norm: torch.nn.utils.remove_weight_norm)",
        code="unknown-layer",
    )


@dataclass(slots=True)
class _Count:
    modules: int = 0
    tensors: int = 0

    def require_room(self, depth: int, where: str) -> None:
        limits = (
            (depth, MAX_DEPTH, "levels"),
            (self.modules, MAX_MODULES, "modules"),
            (self.tensors, MAX_TENSORS, "tensors"),
        )
        for found, limit, unit in limits:
            if found > limit:
                raise RefusedError(f"{where}: its module tree has over {limit} {unit}", code="over-limit")


def _pickled(value: object, name: str, where: str, count: _Count, depth: int = 0) -> ModuleNode:
    count.modules += 1
    count.require_room(depth, where)
    if not is_module(value) or not isinstance(value, Call) or not isinstance(value.callee, Global):
        raise _nonsense(name, where)
    fields = _fields(value.state, name, where)
    for hooks in _HOOKS:
        if not _is_empty(fields.get(hooks)):
            raise hooks_error(where, name)
    groups = [_fields(fields.get(group), name, where) for group in ("_parameters", "_buffers")]
    own, buffers = ({key: tensor for key, tensor in group.items() if tensor is not None} for group in groups)
    tensors, frozen = own | buffers, frozenset(key for key, tensor in own.items() if _takes_none(tensor))
    count.tensors += len(tensors)
    count.require_room(depth, where)
    children = {
        key: _pickled(child, f"{name}.{key}", where, count, depth + 1)
        for key, child in _fields(fields.get("_modules"), name, where).items()
        if child is not None
    }
    return ModuleNode(value.callee.path, fields, tensors, children, "forward" in fields, frozenset(buffers), frozen)


def _takes_none(parameter: object) -> bool:
    """Whether a pickled parameter takes no gradient: `_rebuild_parameter(data, requires_grad, hooks)`."""
    return isinstance(parameter, Call) and parameter.arguments[1:2] == (False,)


def _is_empty(value: object) -> bool:
    return not (value.items or value.arguments or value.elements) if isinstance(value, Call) else not value


def _fields(value: object, name: str, where: str) -> dict[str, Any]:
    items = value.items if isinstance(value, Call) and not value.arguments else value
    if items is None:
        return {}
    if not isinstance(items, dict) or not all(isinstance(key, str) and key.isprintable() for key in items):
        raise _nonsense(name, where)
    return items


def _nonsense(name: str, where: str) -> RefusedError:
    return RefusedError(f"{where}: module '{name:.80}' is not stored as torch stores modules", code="corrupt-file")
