"""A second device where there is none: tensors born without a device count as the host's, all others as the inputs'.

Under `OneDevice` a call of torch that would fail with inputs on an accelerator is an error on the processor too: a
tensor of the host beside one of the inputs' device, and an array made of the latter. Scalars and indices of the host
are allowed, as by torch. What is born with `device=` is taken to be where the inputs are.
"""

from unittest import mock

import torch
from torch.overrides import TorchFunctionMode

NAMES = """arange as_tensor empty eye full linspace logspace ones rand randint randn randperm scalar_tensor tensor
tril_indices triu_indices zeros"""
BIRTHS = {getattr(torch, name) for name in NAMES.split()}
ARRAYS = {torch.Tensor.numpy, torch.Tensor.__array__}
MOVES = {torch.Tensor.to, torch.Tensor.cpu, torch.Tensor.cuda}
INDEXED = {torch.Tensor.__getitem__, torch.Tensor.__setitem__}


class MixedDevicesError(AssertionError):
    """A call that would fail on an accelerator."""


def on_host(tensor):
    return getattr(tensor, "born_on_host", False)


def tensors_in(value):
    """The tensors in an argument, lists and tuples looked into."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        return tensors_in(list(value.values()))
    return [tensor for part in value for tensor in tensors_in(part)] if isinstance(value, (list, tuple)) else []


class OneDevice(TorchFunctionMode):
    """The check, while it is entered."""

    def __enter__(self):
        # The one birth that no mode is told of.
        self._unseen = mock.patch("torch.from_numpy", lambda array: torch.as_tensor(array))
        self._unseen.start()
        return super().__enter__()

    def __exit__(self, *reason):
        self._unseen.stop()
        return super().__exit__(*reason)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        given = tensors_in(args) + tensors_in(kwargs)
        name = getattr(function, "__name__", str(function))
        if function in ARRAYS and not on_host(given[0]):
            raise MixedDevicesError(f"{name} of a tensor that may be on an accelerator")
        if function not in MOVES:
            # A host's scalar may be anywhere, and a host's index beside any tensor.
            judged = tensors_in(args[0]) if function in INDEXED else given
            placed = {on_host(tensor) for tensor in judged if not (tensor.dim() == 0 and on_host(tensor))}
            if len(placed) > 1:
                raise MixedDevicesError(f"{name} of tensors on two devices")
        result = function(*args, **kwargs)
        if function in MOVES and result is args[0]:
            # What stays where it is here is another tensor there.
            result = result.view_as(result)
        host = self._is_host(function, args, kwargs, given)
        for tensor in tensors_in(result):
            if not any(tensor is other for other in given):
                tensor.born_on_host = host
        return result

    def _is_host(self, function, args, kwargs, given):
        if function is torch.Tensor.cpu:
            return True
        if function is torch.Tensor.to:
            others = [*args[1:], *kwargs.values()]
            tensors = tensors_in(others)
            if tensors:
                return on_host(tensors[0])
            # A device or its name, not merely a type.
            moved = any(isinstance(other, (torch.device, str)) for other in others)
            return on_host(args[0]) and not moved
        if function in BIRTHS:
            return kwargs.get("device") is None
        return bool(given) and all(on_host(tensor) for tensor in given)
