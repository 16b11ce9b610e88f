"""Modules of embeddings as people write them, with one forward each."""

import torch
from torch import nn

USERS, ITEMS = 6, 5


class Embedded(nn.Module):
    """Two embeddings of width 3, biases as embeddings, as a vector and as one number, and a fixed mean."""

    def __init__(self):
        super().__init__()
        self.user, self.item = nn.Embedding(USERS, 3), nn.Embedding(ITEMS, 3)
        self.user_bias, self.item_bias = nn.Embedding(USERS, 1), nn.Embedding(ITEMS, 1)
        self.mu = nn.Parameter(torch.zeros(()))
        self.vector = nn.Parameter(torch.zeros(USERS))
        self.register_buffer("mean", torch.tensor(3.5))


def module(function, seed=0):
    """A module with this forward and random float64 parameters."""
    made = type("Recommender", (Embedded,), {"forward": function})().double()
    generator = torch.Generator().manual_seed(seed)
    for parameter in made.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return made


def _product(s, u, i):
    return (s.user(u) * s.item(i)).sum(1)


# Of users and items.
PAIRS = {
    "plain": _product,
    "last axis, squeezed, with a mean": lambda s, u, i: (
        (s.user(u) * s.item(i)).sum(-1) + s.user_bias(u).squeeze() + s.item_bias(i).squeeze(-1) + s.mu
    ),
    "columns": lambda s, u, i: (
        (s.user(u) * s.item(i)).sum(1, keepdim=True) + s.user_bias(u) + s.item_bias(i) + s.mu
    ).flatten(),
    "einsum and a vector of biases": lambda s, u, i: torch.einsum("nk,nk->n", s.user(u), s.item(i)) + s.vector[u],
    "indexed tables": lambda s, u, i: (s.user.weight[u] * s.item.weight[i]).sum(1),
    "scaled": lambda s, u, i: 0.5 * _product(s, u, i) + s.item_bias(i)[:, 0],
    "views": lambda s, u, i: _product(s, u, i).view(-1) + s.user_bias(u).view(-1),
}
# Of one table of places.
TABLES = {
    "columns of places": lambda s, x: _product(s, x[:, 0], x[:, 1]),
    "cast": lambda s, x: _product(s, x[:, 0].long(), x[:, 1].long()),
    "unbound": lambda s, x: _product(s, *x.unbind(1)),
}
# What only looks like one.
OTHERS = {
    "broadcast to a matrix": lambda s, u, i: (_product(s, u, i) + s.user_bias(u)).sum(1),
    "two products": lambda s, u, i: _product(s, u, i) + (s.user_bias(u) * s.item_bias(i)).sum(1),
    "a scaled bias": lambda s, u, i: 0.5 * (_product(s, u, i) + s.user_bias(u).squeeze(1)),
    "squashed": lambda s, u, i: torch.sigmoid(_product(s, u, i)),
    "one side twice": lambda s, u, i: (s.user(u) * s.item(u)).sum(1) + s.item_bias(i).squeeze(1),
    "a summed table": lambda s, u, i: (s.user(u) * s.item(i)).sum(1) + s.user_bias.weight[u].sum(0),
}
