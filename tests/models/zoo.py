"""Architectures of `torch.nn`, each with what the theory says of it.

Families, degrees and widths are worked out by hand from the layers; the verdict is `bound` where a bound on the polar
is proven in this version, otherwise the code of what is in the way.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

SAMPLES = 7


@dataclass(frozen=True)
class Expected:
    """What an architecture is: (family, degree, width) of every kind of subnetwork, and the verdict."""

    kinds: tuple[tuple[str, int, int], ...]
    verdict: str


@dataclass(frozen=True)
class Architecture:
    name: str
    build: Callable[[], nn.Module]
    inputs: tuple[torch.Tensor, ...]
    expected: Expected

    @property
    def module(self):
        """The module with random float64 weights and, for batch normalization, random statistics."""
        torch.manual_seed(len(self.name))
        module = self.build().double().eval()
        for name, buffer in module.named_buffers():
            if buffer.is_floating_point():
                buffer.copy_(torch.rand_like(buffer) + (0.5 if name.endswith("var") else 0.0))
        return module


ZOO: dict[str, Architecture] = {}


def _table():
    return (torch.linspace(-2, 2, SAMPLES * 6, dtype=torch.float64).sin().reshape(SAMPLES, 6),)


def _series():
    return (torch.linspace(-3, 3, SAMPLES * 2 * 8, dtype=torch.float64).cos().reshape(SAMPLES, 2, 8),)


def _images():
    return (torch.linspace(-5, 5, SAMPLES * 2 * 36, dtype=torch.float64).sin().reshape(SAMPLES, 2, 6, 6),)


def _sets():
    return (torch.linspace(-1, 2, SAMPLES * 4 * 3, dtype=torch.float64).sin().reshape(SAMPLES, 4, 3),)


def _indices(count):
    return tuple((torch.arange(SAMPLES) * (3 + index)) % 5 for index in range(count))


def architecture(verdict, *kinds, inputs=_table):
    """Register a function that builds a module."""

    def register(build):
        given = inputs() if callable(inputs) else inputs
        name = build.__name__.replace("_", "-")
        ZOO[name] = Architecture(name, build, given, Expected(kinds, verdict))
        return build

    return register


class Apply(nn.Module):
    """A function without parameters as a layer."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Branches(nn.Module):
    """The sum of modules on the same inputs."""

    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return sum((branch(x) for branch in self.branches[1:]), self.branches[0](x))


def mlp(*sizes, activation=nn.ReLU, bias=True):
    layers = []
    for size, following in zip(sizes[:-1], sizes[1:], strict=True):
        layers += [nn.Linear(size, following, bias=bias), activation()]
    return nn.Sequential(*layers[:-1])


@architecture("bound", ("relu", 2, 9))
def two_layer_relu():
    return mlp(6, 9, 3)


@architecture("bound", ("linear", 2, 4))
def matrix_factorization():
    return nn.Sequential(nn.Linear(6, 4, bias=False), nn.Linear(4, 3, bias=False))


@architecture("bound", ("quadratic", 3, 5))
def two_layer_quadratic():
    return nn.Sequential(nn.Linear(6, 5), Apply(torch.square), nn.Linear(5, 2))


@architecture("bound", ("relu", 2, 5))
def two_layer_relu_with_dropout():
    return nn.Sequential(nn.Dropout(0.1), nn.Linear(6, 5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 2), nn.Identity())


@architecture("bound", ("relu", 2, 5))
def two_layer_relu_of_flattened_inputs():
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 1), nn.Flatten(0))


@architecture("bound", ("relu", 2, 5))
def two_layer_relu_with_batch_norm():
    return nn.Sequential(nn.Linear(6, 5, bias=False), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2))


@architecture("bound", ("linear", 2, 5))
def factorization_with_batch_norms():
    return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 2), nn.BatchNorm1d(2, affine=False))


@architecture("bound", ("relu", 2, 5))
def relu_beside_a_linear_skip():
    return Branches(mlp(6, 5, 2), nn.Linear(6, 2, bias=False))


@architecture("bound", ("relu", 2, 5))
def relu_beside_an_identity_skip():
    return Branches(mlp(6, 5, 6), nn.Identity())


@architecture("bound", ("leaky-relu", 2, 5))
def two_layer_leaky_relu():
    return mlp(6, 5, 2, activation=nn.LeakyReLU)


@architecture("bound", ("abs", 2, 5))
def two_layer_absolute_value():
    return mlp(6, 5, 2, activation=lambda: Apply(torch.abs))


@architecture("degree-mismatch", ("squared-relu", 3, 5))
def two_layer_squared_relu():
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), Apply(torch.square), nn.Linear(5, 2))


@architecture("bound", ("conv-relu-avg-pool", 2, 4), inputs=_images)
def conv_relu_global_average_pool():
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


@architecture("no-bound-yet", ("conv-relu-max-pool", 2, 4), inputs=_images)
def conv_relu_max_pool():
    return nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3))


@architecture("no-bound-yet", ("conv-relu-max-pool", 2, 4), inputs=_images)
def conv_relu_global_max():
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), Apply(lambda x: x.amax((2, 3))), nn.Linear(4, 3))


@architecture("bound", ("conv-relu-avg-pool", 2, 6), inputs=_series)
def conv1d_relu_average_pool():
    return nn.Sequential(nn.Conv1d(2, 6, 3), nn.ReLU(), nn.AvgPool1d(2), nn.Flatten(), nn.Linear(18, 1))


@architecture("bound", ("conv-relu-avg-pool", 2, 4), inputs=_images)
def conv_batch_norm_relu_average_pool():
    return nn.Sequential(
        *(nn.Conv2d(2, 4, 3, stride=2, bias=False), nn.BatchNorm2d(4), nn.ReLU()),
        *(nn.AvgPool2d(2), nn.Dropout(), nn.Flatten(), nn.Linear(4, 3)),
    )


@architecture("bound", ("conv-relu", 2, 5), inputs=_images)
def conv_over_the_whole_image():
    return nn.Sequential(nn.Conv2d(2, 5, 6), nn.ReLU(), nn.Flatten(), nn.Linear(5, 3))


@architecture("bound", ("conv-relu-conv-avg-pool", 2, 5), inputs=_images)
def fully_convolutional():
    return nn.Sequential(nn.Conv2d(2, 5, 3), nn.ReLU(), nn.Conv2d(5, 3, 1), Apply(lambda x: x.mean((2, 3))))


@architecture("bound", ("conv", 2, 5), inputs=_images)
def linear_convolutional():
    return nn.Sequential(nn.Conv2d(2, 5, 3, bias=False), nn.Flatten(), nn.Linear(80, 3))


@architecture("bound", ("conv-relu-conv-relu", 3, 1), inputs=_images)
def two_convolutions():
    return nn.Sequential(
        *(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3, bias=False), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(16, 3)),
    )


@architecture("degree-mismatch", ("conv-relu-conv-relu", 3, 3), inputs=_images)
def grouped_convolution():
    return nn.Sequential(
        *(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3, groups=3, bias=False), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(24, 2)),
    )


@architecture("degree-mismatch", ("conv-relu-conv", 3, 6), inputs=_images)
def depthwise_separable():
    return nn.Sequential(
        *(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3, groups=6, bias=False)),
        *(nn.Flatten(), nn.Linear(24, 2)),
    )


@architecture("degree-mismatch", ("linear-relu-linear-relu-sum", 3, 1), inputs=_sets)
def deep_sets():
    class DeepSets(nn.Module):
        def __init__(self):
            super().__init__()
            self.element, self.mixed, self.head = (nn.Linear(3, 3, bias=False) for _ in range(3))

        def forward(self, x):
            return self.head(torch.relu(self.mixed(torch.relu(self.element(x)))).sum(1))

    return DeepSets()


@architecture("bound", ("deep relu", 3, 1))
def three_layer_relu():
    return mlp(6, 5, 4, 2, bias=False)


@architecture("bound", ("deep linear", 4, 1))
def deep_linear():
    return mlp(6, 5, 4, 3, 2, activation=nn.Identity, bias=False)


@architecture("bound", ("deep relu", 3, 4))
def parallel_three_layer_branches():
    return Branches(*(mlp(6, 5, 4, 2, bias=False) for _ in range(4)))


@architecture("bound", ("relu", 2, 15))
def parallel_two_layer_branches():
    return Branches(*(mlp(6, 5, 2, bias=False) for _ in range(3)))


@architecture("bound", ("relu", 2, 15))
def parallel_branches_with_an_output_bias_each():
    return Branches(*(mlp(6, 5, 2) for _ in range(3)))


@architecture("bound", ("relu", 2, 5), ("abs", 2, 3))
def branches_of_two_kinds():
    return Branches(mlp(6, 5, 2), mlp(6, 3, 2, activation=lambda: Apply(torch.abs)))


@architecture("unequal-degrees", ("relu", 2, 5), ("deep relu", 3, 1))
def branches_of_unequal_depth():
    return Branches(mlp(6, 5, 2), mlp(6, 4, 4, 2, bias=False))


@architecture("bound", ("relu", 2, 9))
def two_towers_joined():
    class Towers(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.other, self.head = nn.Linear(6, 5), nn.Linear(6, 4), nn.Linear(9, 2)

        def forward(self, x):
            return self.head(torch.cat([torch.relu(self.one(x)), torch.relu(self.other(x))], dim=1))

    return Towers()


@architecture("bound", *[("one-input relu", 2, 4)] * 6)
def neural_additive():
    class Additive(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.ModuleList(mlp(1, 4, 1) for _ in range(6))

        def forward(self, x):
            return torch.cat([net(x[:, i : i + 1]) for i, net in enumerate(self.features)], dim=1).sum(1, keepdim=True)

    return Additive()


@architecture("bound", ("deep relu", 3, 2))
def block_diagonal_weights():
    module = mlp(6, 6, 4, 2, bias=False)
    with torch.no_grad():
        module[2].weight.copy_(torch.block_diag(torch.ones(2, 3), torch.full((2, 3), -0.5)))
    return module


class Embedded(nn.Module):
    """The sum over k of the product of k-th entries of embeddings, perhaps with one bias for every index."""

    def __init__(self, factors, width, *, biased=False):
        super().__init__()
        self.factors = nn.ModuleList(nn.Embedding(5, width) for _ in range(factors))
        self.biases = nn.ModuleList(nn.Embedding(5, 1) for _ in range(factors if biased else 0))


class Pairs(Embedded):
    def forward(self, row, column):
        return (self.factors[0](row) * self.factors[1](column)).sum(1)


class BiasedPairs(Embedded):
    def forward(self, row, column):
        product = (self.factors[0](row) * self.factors[1](column)).sum(1, keepdim=True)
        return product + self.biases[0](row) + self.biases[1](column)


class Triples(Embedded):
    def forward(self, i, j, k):
        return (self.factors[0](i) * self.factors[1](j) * self.factors[2](k)).sum(1)


@architecture("bound", ("matrix-factorization", 2, 3), inputs=_indices(2))
def embedding_inner_product():
    return Pairs(2, 3)


@architecture("bound", ("matrix-factorization", 2, 3), inputs=_indices(2))
def embedding_inner_product_with_biases():
    return BiasedPairs(2, 3, biased=True)


@architecture("degree-mismatch", ("cp-factorization", 3, 4), inputs=_indices(3))
def tensor_factorization():
    return Triples(3, 4)


@architecture("bound", ("bilinear", 2, 4))
def bilinear_form():
    class Bilinear(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right = nn.Linear(6, 4, bias=False), nn.Linear(6, 4, bias=False)

        def forward(self, x):
            return (self.left(x) * self.right(x)).sum(1)

    return Bilinear()


@architecture("bound", *[("gated relu", 2, 1)] * 4)
def gated_relu():
    # Each unit passes the samples on its own side of a fixed hyperplane.
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("gates", torch.zeros(4, 6))
            self.hidden, self.head = nn.Linear(6, 4), nn.Linear(4, 2)

        def forward(self, x):
            return self.head((nn.functional.linear(x, self.gates) > 0) * self.hidden(x))

    return Gated()


@architecture("no-bound-yet", ("linear-relu-linear-relu", 2, 1))
def relu_of_the_output():
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2, bias=False), nn.ReLU())


@architecture("bound")
def linear_model():
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 2))


@architecture("deep-bias")
def three_layer_relu_with_biases():
    return mlp(6, 5, 4, 2)


@architecture("unequal-degrees")
def hidden_residual_connection():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.block, self.head = (nn.Linear(6, 6, bias=False) for _ in range(3))

        def forward(self, x):
            hidden = torch.relu(self.inner(x))
            return self.head(hidden + torch.relu(self.block(hidden)))

    return Residual()


@architecture("not-homogeneous")
def two_layer_sigmoid():
    return mlp(6, 5, 2, activation=nn.Sigmoid)


@architecture("not-homogeneous")
def two_layer_tanh():
    return mlp(6, 5, 2, activation=nn.Tanh)


@architecture("not-homogeneous")
def two_layer_gelu():
    return mlp(6, 5, 2, activation=nn.GELU)


@architecture("not-homogeneous")
def two_layer_prelu():
    return mlp(6, 5, 2, activation=nn.PReLU)


@architecture("not-homogeneous")
def softmax_output():
    return nn.Sequential(mlp(6, 5, 2), nn.Softmax(1))


@architecture("not-homogeneous")
def layer_norm_inside():
    return nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.ReLU(), nn.Linear(5, 2))


@architecture("not-homogeneous")
def batch_norm_after_the_activation():
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.BatchNorm1d(5), nn.Linear(5, 2))


@architecture("not-homogeneous")
def softmax_gate():
    class Gate(nn.Module):
        def __init__(self):
            super().__init__()
            self.value, self.gate = nn.Linear(6, 4, bias=False), nn.Linear(6, 4, bias=False)

        def forward(self, x):
            return (self.value(x) * torch.softmax(self.gate(x), dim=1)).sum(1)

    return Gate()


@architecture("no-bound-yet", ("maxout", 2, 3))
def two_layer_maxout():
    # Maxout as the maximum over groups of units: reshape, then amax.
    class Maxout(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden, self.head = nn.Linear(6, 6), nn.Linear(3, 2)

        def forward(self, x):
            return self.head(self.hidden(x).reshape(-1, 3, 2).amax(2))

    return Maxout()
