"""Small architectures of every sort that the theory serves, as layers, with what stands outside the branches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

LINEAR = {"op": "linear"}
RELU = {"op": "relu"}
ABS = {"op": "abs"}
POLICIES = ("absent", "penalized", "free")


@dataclass(frozen=True)
class Piece:
    """One branch.

    Attributes:
        layers: in the vocabulary of certificates.
        second: entries of the second weight for each output.
        biases: policies that the hidden bias may have.
    """

    layers: list[dict]
    second: int = 1
    biases: tuple[str, ...] = POLICIES


@dataclass(frozen=True)
class Sketch:
    """An architecture.

    Attributes:
        shape: of one sample.
        pieces: the branches.
        samples: most samples, so that enumeration is fast.
        outputs: numbers of outputs to choose from.
        outside: features of the blocks outside the branches, in the order of certificates.
        offset: whether the inputs are added to the outputs.
    """

    shape: tuple[int, ...]
    pieces: tuple[Piece, ...]
    samples: int = 5
    outputs: tuple[int, ...] = (1, 2)
    outside: tuple[str, ...] = field(default=())
    offset: bool = False


def leaky(slope):
    return {"op": "leaky_relu", "slope": float(slope).hex()}


def rows(*between, **options):
    """Two linear layers with something between them."""
    return Piece([LINEAR, *between, LINEAR], **options)


def window(op, kernel, stride=None, padding=None, **more):
    kernel = [kernel] if isinstance(kernel, int) else kernel
    stride, padding = [stride or 1] * len(kernel), [padding or 0] * len(kernel)
    return {"op": op, "kernel": kernel, "stride": stride, "padding": padding} | more


def convolution(kernel, stride=1, padding=0):
    size = 1 if isinstance(kernel, int) else len(kernel)
    return window("convolution", kernel, stride, padding, dilation=[1] * size)


def average(kernel, stride=1, padding=0, *, counts_padding=True):
    return window("average_pool", kernel, stride, padding, counts_padding=counts_padding)


def one_branch(*between, inputs=2, biases=POLICIES, **options):
    return lambda: Sketch((inputs,), (rows(*between, biases=biases),), **options)


def convolved(shape, *layers, second=1, samples=3, **options):
    return lambda: Sketch(shape, (Piece(list(layers), second, POLICIES[:2]),), samples=samples, **options)


def additive():
    """One network for each input."""
    pieces = (Piece([{"op": "select", "columns": [at]}, LINEAR, RELU, LINEAR]) for at in range(3))
    return Sketch((3,), tuple(pieces), outputs=(1,), outside=("ones",))


SLOPES: dict[str, Callable[[], Sketch]] = {
    "leaky relu, 0.1": one_branch(leaky(0.1)),
    "leaky relu, -0.3": one_branch(leaky(-0.3)),
    "leaky relu, 1.7": one_branch(leaky(1.7), outside=("ones",)),
    "absolute value": one_branch(ABS),
    "free absolute value": one_branch(ABS, inputs=1, outside=("ones",), biases=("free",)),
}
BRANCHES: dict[str, Callable[[], Sketch]] = {
    "relu + absolute value": lambda: Sketch((2,), (rows(RELU), rows(ABS))),
    "relu + linear": lambda: Sketch((2,), (rows(RELU), rows()), outside=("ones",)),
    "three slopes": lambda: Sketch((1,), (rows(RELU), rows(leaky(-0.3)), rows(ABS))),
    "neural additive": additive,
    "two output biases": lambda: Sketch((2,), (rows(RELU), rows(ABS)), outside=("ones", "ones")),
    "two convolutions": lambda: Sketch(
        (1, 4),
        (
            Piece([convolution(3), leaky(0.1), LINEAR], 2, POLICIES[:2]),
            Piece([convolution(2, 2), LINEAR], 2, ("absent",)),
        ),
        samples=3,
    ),
}
READOUTS: dict[str, Callable[[], Sketch]] = {
    "convolution, averaged": convolved((1, 4), convolution(2, 2), RELU, average(2), LINEAR),
    "convolution, a weight for each position": convolved((1, 3), convolution(2), RELU, LINEAR, second=2),
    "convolution, padded": convolved((1, 2), convolution(2, 1, 1), ABS, LINEAR, second=3, samples=2),
    "convolution of images": convolved((1, 2, 3), convolution([2, 2]), RELU, average([1, 2]), LINEAR, outputs=(1,)),
    "convolution, pooled over padding": convolved(
        (1, 3), convolution(2), RELU, average(2, 1, 1, counts_padding=False), LINEAR, second=3, outputs=(1,)
    ),
    "convolution, then convolution": convolved((1, 3), convolution(2), leaky(-0.3), convolution(1), average(2)),
    "linear convolution": convolved((2, 3), convolution(2), LINEAR, second=2, samples=6),
    "bilinear form": lambda: Sketch(
        (3,), (Piece([LINEAR, {"op": "times_inputs"}, LINEAR], 3, ("absent",)),), samples=6, outputs=(1,)
    ),
}
OUTSIDE: dict[str, Callable[[], Sketch]] = {
    "identity skip": one_branch(RELU, outputs=(2,), outside=("ones",), offset=True),
    "linear skip": one_branch(RELU, outside=("ones", "inputs"), samples=6),
    "identity skip beside two branches": lambda: Sketch((2,), (rows(RELU), rows()), outputs=(2,), offset=True),
}
SKETCHES = SLOPES | BRANCHES | READOUTS | OUTSIDE
