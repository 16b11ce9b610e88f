"""Headers with random changes end in a verdict, never in another exception, and many branches in a refusal."""

import copy
import random
import tracemalloc

import pytest

from certify.verify import verify_bytes

from .handmade import bilinear, convolution, free_cone_tree, handmade, leaky, moved, product, two_branches, unequal
from .packing import packed

MAKERS = (bilinear, convolution, free_cone_tree, handmade, leaky, moved, product, two_branches, unequal)
VALUES = (
    None,
    True,
    0,
    1,
    2,
    3,
    -1,
    2**31,
    2**70,
    "",
    "linear",
    "relu",
    "ones",
    "inputs",
    "array",
    (1.5).hex(),
    [],
    {},
)
LISTS = (
    [1],
    [2],
    [1, 1],
    [0],
    [2**31 - 1],
    [{"op": "linear"}],
    [{"op": "linear"}] * 2,
    ["a"],
    [[1]],
    [(3.0).hex()] * 2,
)


def places(value):
    """Every container of a header, with a key or index."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        if key != "arrays":
            yield value, key
            yield from places(entry)


@pytest.fixture
def bounded_memory():
    """At most 1 GiB at a time: the largest tables have 2²⁶ entries."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**30


@pytest.mark.usefixtures("bounded_memory")
@pytest.mark.parametrize("make", MAKERS)
def test_random_changes_of_a_header_end_in_a_verdict(make):
    generator = random.Random(make.__name__)
    header, arrays = make()
    for _ in range(400):
        changed = copy.deepcopy(header)
        for _ in range(generator.randrange(1, 4)):
            container, key = generator.choice(list(places(changed)))
            action = generator.randrange(4)
            if action == 0:
                container[key] = copy.deepcopy(generator.choice(VALUES))
            elif action == 1:
                container[key] = copy.deepcopy(generator.choice(LISTS))
            elif action == 2:
                other, place = generator.choice(list(places(changed)))
                container[key] = copy.deepcopy(other[place])
            elif isinstance(container, list):
                container.insert(generator.randrange(len(container) + 1), copy.deepcopy(container[key]))
        if isinstance(changed.get("sources"), dict) and "statement" in changed:
            verdict = verify_bytes(packed(changed, arrays))
            assert verdict.status in ("valid", "invalid", "refused")
            assert verdict.status == "valid" or verdict.rule


@pytest.mark.usefixtures("bounded_memory")
@pytest.mark.parametrize("second", ["linear", "convolution"])
def test_a_grid_of_more_positions_than_memory_is_refused(second):
    header, arrays = handmade()
    kernel = {"op": "convolution", "kernel": [1], "stride": [1], "padding": [2**30 - 1], "dilation": [1]}
    last = {"op": "linear"} if second == "linear" else kernel | {"stride": [2**31 - 1]}
    header["statement"] |= {"inputs": [1, 2**31 - 1]}
    header["statement"]["branches"][0]["layers"] = [kernel | {"kernel": [2**31 - 1]}, last]
    assert verify_bytes(packed(header, arrays)).status == "refused"


def test_many_branches_with_large_tables_are_refused_before_they_fill_the_memory():
    header, arrays = handmade(inputs=[1, 64, 64], d=4096)
    kernel = {"kernel": [1, 1], "stride": [1, 1], "padding": [0, 0], "dilation": [1, 1]}
    branch = header["statement"]["branches"][0] | {"layers": [{"op": "convolution"} | kernel, {"op": "linear"}]}
    header["statement"]["branches"] = [branch] * 5
    verdict = verify_bytes(packed(header, arrays))
    assert (verdict.status, verdict.rule) == ("refused", "size-limit")
