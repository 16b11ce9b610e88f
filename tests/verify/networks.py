"""Random stacks of layers of the certificate's vocabulary, and the inputs that they read."""

from __future__ import annotations

ACTIVATIONS = ((), ("relu",), (("leaky_relu", {"slope": 0.25}),), ("abs",), ("square",))


def window(generator, grid, largest=3, *, pool=False):
    """A window that fits on a grid."""
    kernel = [int(generator.integers(1, min(extent, largest) + 1)) for extent in grid]
    padding = [int(generator.integers(0, extent // 2 + 1)) for extent in kernel]
    found = {"kernel": kernel, "stride": [int(generator.integers(1, 3)) for _ in grid], "padding": padding}
    if pool:
        return found | {"counts_padding": bool(generator.integers(2))}
    rooms = [extent + 2 * pad - 1 for extent, pad in zip(grid, padding, strict=True)]
    largest = [room // max(size - 1, 1) for room, size in zip(rooms, kernel, strict=True)]
    return found | {"dilation": [int(generator.integers(1, max(1, min(most, 2)) + 1)) for most in largest]}


def over(layer, grid):
    """The grid after a window, by torch's formula."""
    steps = layer.get("dilation", [1] * len(grid))
    rows = zip(grid, layer["kernel"], layer["stride"], layer["padding"], steps, strict=True)
    return [(extent + 2 * pad - step * (size - 1) - 1) // stride + 1 for extent, size, stride, pad, step in rows]


def random_stack(generator):
    """Shape of a sample, layers, and the number of positions at which the outputs end."""
    kind = generator.choice(["dense", "select", "times", "convolution"])
    activation = () if kind == "times" else ACTIVATIONS[generator.integers(len(ACTIVATIONS))]
    if kind != "convolution":
        inputs = [(4,), (2, 3), (1, 2, 2)][generator.integers(3)]
        first = (("select", {"columns": [3, 0, 1][: generator.integers(1, 4)]}),) if kind == "select" else ()
        if kind != "times":
            return inputs, (*first, "linear", *activation, "linear"), 1
        size = [4, 6, 4][[(4,), (2, 3), (1, 2, 2)].index(inputs)]
        middle, grid = _pools(generator, [size])
        last, grid = _second(generator, grid)
        return inputs, ("linear", "times_inputs", *middle, *last), _product(grid)
    spatial = [int(generator.integers(2, 7)) for _ in range(generator.integers(1, 3))]
    inputs = (int(generator.integers(1, 3)), *spatial)
    first = window(generator, spatial)
    middle, grid = _pools(generator, over(first, spatial))
    last, grid = _second(generator, grid)
    return inputs, (("convolution", first), *activation, *middle, *last), _product(grid)


def _pools(generator, grid):
    found = []
    for _ in range(generator.integers(0, 3)):
        layer = window(generator, grid, pool=True)
        found.append(("average_pool", layer))
        grid = over(layer, grid)
    return found, grid


def _second(generator, grid):
    if generator.integers(2):
        return ["linear"], []
    layer = window(generator, grid)
    more, grid = _pools(generator, over(layer, grid))
    return [("convolution", layer), *more], grid


def _product(grid):
    found = 1
    for extent in grid:
        found *= extent
    return found
