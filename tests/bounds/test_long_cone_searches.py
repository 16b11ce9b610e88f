"""Cone searches that are interrupted, shared, or short of memory prove the same as those that are not."""

import tracemalloc

import numpy as np
import pytest
import safetensors.torch
import torch

from certify.bounds.labor import Aid
from certify.bounds.rows.cones import cone_search, cone_sharing
from certify.bounds.rows.cones.cone_batch import bytes_per_cone
from certify.bounds.rows.cones.cone_bound import build_majorant
from certify.bounds.rows.cones.cone_incumbent import Incumbent
from certify.bounds.rows.cones.cone_packs import refined
from certify.bounds.rows.cones.cone_settings import ConeSettings
from certify.bounds.rows.cones.cone_state import begun
from certify.bounds.rows.cones.cone_tree import TreeLog, prune_to_preorder
from certify.bounds.rows.cones.cones import cone_polar

from .cone_checker import check_tree
from .exact_polars import draw, exact_by_subsets

SETTINGS = ConeSettings(relative_tolerance=1e-3, seconds=60.0)


class Stop(Exception):
    """Stands for a kill."""


class Crew:
    """Works on packs when asked for results; every so many-th pack is lost, and after so many nobody is there."""

    def __init__(self, lost_every=0, leaves_after=10**9):
        self.lost_every, self.leaves_after = lost_every, leaves_after
        self.sent, self.queue = 0, []

    @property
    def size(self):
        return 2 if self.sent < self.leaves_after else 0

    @property
    def room(self):
        return len(self.queue) < 3

    def send(self, pack):
        self.sent += 1
        self.queue.append((self.sent, pack))
        return self.sent

    def wait(self, seconds):
        if not self.queue:
            return []
        # Results come back in another order than packs went out.
        number, pack = self.queue.pop()
        lost = self.lost_every and number % self.lost_every == 0
        return [(number, None if lost else refined(pack))]


@pytest.fixture
def eager(monkeypatch):
    """Even the smallest stacks are shared, in small packs, from the first cone on."""
    monkeypatch.setattr(cone_search, "SOLO_NODES", -1)
    monkeypatch.setattr(cone_sharing, "LEAST_CONES", 1)
    monkeypatch.setattr(cone_sharing, "PARENTS_PER_BATCH", 16)


def problem(c=1, d=4):
    X, Q, _ = draw((21, d, c), 9, d, c, "plain")
    return torch.tensor(X), torch.tensor(Q)


def assert_proven(rows, Q, found):
    assert found.complete
    assert check_tree(rows.numpy(), Q.numpy(), found.tree) <= found.tree.upper * (1 + 1e-12)
    if Q.shape[1] == 1:
        exact = exact_by_subsets(rows.numpy(), Q.numpy()[:, 0])
        assert found.lower * (1 - 1e-12) <= exact <= found.upper * (1 + 1e-12)
    assert found.upper <= found.lower * (1 + SETTINGS.relative_tolerance)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("crew", [Crew(), Crew(lost_every=3), Crew(leaves_after=5)], ids=["whole", "lossy", "leaving"])
@pytest.mark.parametrize("c", [1, 2])
def test_a_shared_search_proves_what_a_search_alone_proves(c, crew):
    rows, Q = problem(c)
    alone = cone_polar(rows, Q, SETTINGS)
    sent = crew.sent
    shared = cone_polar(rows, Q, SETTINGS, aid=Aid(crew))
    assert_proven(rows, Q, shared)
    assert shared.lower == pytest.approx(alone.lower, rel=SETTINGS.relative_tolerance)
    assert crew.sent > sent or crew.size == 0


@pytest.mark.usefixtures("eager")
def test_a_crew_that_loses_every_pack_is_left_alone_in_the_end(monkeypatch):
    monkeypatch.setattr(cone_sharing, "MOST_LOSSES", 3)
    rows, Q = problem()
    crew = Crew(lost_every=1)
    assert_proven(rows, Q, cone_polar(rows, Q, SETTINGS, aid=Aid(crew)))
    assert 3 < crew.sent < 10


@pytest.mark.usefixtures("eager")
def test_a_shared_search_stopped_early_still_bounds_the_polar():
    rows, Q = problem()
    full = cone_polar(rows, Q, SETTINGS)
    limited = ConeSettings(relative_tolerance=1e-3, max_nodes=full.nodes // 2)
    found = cone_polar(rows, Q, limited, aid=Aid(Crew()))
    assert not found.complete
    assert found.upper >= exact_by_subsets(rows.numpy(), Q.numpy()[:, 0])
    assert check_tree(rows.numpy(), Q.numpy(), found.tree) <= found.tree.upper * (1 + 1e-12)


def interrupted(rows, Q, batches, crew=None):
    """The state that was kept after so many batches, as it comes out of a file; None if the search ended before."""
    seen, kept = 0, []

    def due():
        nonlocal seen
        seen += 1
        return seen == batches

    def keep(state):
        if seen == batches:
            tensors = {name: tensor.contiguous() for name, tensor in state.items()}
            kept.append(safetensors.torch.load(safetensors.torch.save(tensors)))
            raise Stop

    try:
        cone_polar(rows, Q, SETTINGS, aid=Aid(crew, due=due, keep=keep))
    except Stop:
        return kept[0]
    return None


@pytest.mark.parametrize("c", [1, 2])
def test_a_search_that_goes_on_from_any_state_ends_with_the_same_tree(c, monkeypatch):
    monkeypatch.setattr(cone_search, "PARENTS_PER_BATCH", 64)
    rows, Q = problem(c)
    whole, batches = cone_polar(rows, Q, SETTINGS), 1
    while (state := interrupted(rows, Q, batches)) is not None:
        found = cone_polar(rows, Q, SETTINGS, aid=Aid(state=state))
        assert np.array_equal(found.tree.splits, whole.tree.splits)
        assert np.array_equal(found.tree.tangents, whole.tree.tangents)
        assert (found.upper, found.lower, found.nodes) == (whole.upper, whole.lower, whole.nodes)
        assert found.stages == whole.stages
        batches += 3
    assert batches > 10


@pytest.mark.usefixtures("eager")
def test_cones_that_are_lent_are_in_the_state():
    rows, Q = problem()
    for batches in (2, 5, 9):
        state = interrupted(rows, Q, batches, Crew())
        assert_proven(rows, Q, cone_polar(rows, Q, SETTINGS, aid=Aid(state=state)))


def test_a_finished_search_goes_on_to_nothing_new():
    rows, Q = problem()
    kept = []
    whole = cone_polar(rows, Q, SETTINGS, aid=Aid(keep=kept.append))
    assert bool(kept[-1]["finished"])
    again = cone_polar(rows, Q, SETTINGS, aid=Aid(state=kept[-1]))
    assert (again.nodes, again.upper) == (whole.nodes, whole.upper)


def test_short_of_memory_a_search_goes_depth_first_to_the_same_bound():
    X, Q, _ = draw((22, 6, 1), 60, 6, 1, "plain")
    majorants = [build_majorant(torch.tensor(X), torch.tensor(side), None, SETTINGS.slopes) for side in (Q, -Q)]
    sides = [torch.tensor(side) for side in (Q, -Q)]

    def run(memory):
        settings = ConeSettings(relative_tolerance=0.05, memory_bytes=memory)
        search = begun(majorants, sides, settings, 0.0, Incumbent(0.0, torch.zeros(6, dtype=torch.float64)))
        search.deadline = float("inf")
        taken = []

        def note():
            held = sum(len(front.leaves()) for front in search.fronts)
            taken.append((search.nodes * TreeLog.bytes_per_node(6), cone_search.COPIES * held * bytes_per_cone(6, 1)))

        search.run(lambda *told: None, note)
        return search, taken

    ample, taken = run(1 << 40)
    log = taken[-1][0]
    limit = 2 * log
    assert max(map(sum, taken)) > 1.5 * limit
    short, taken = run(limit)
    assert max(map(sum, taken)) <= limit
    assert short.upper <= short.goal * (1 + 1e-8)
    assert ample.upper <= ample.goal * (1 + 1e-8)
    assert short.incumbent.value == pytest.approx(ample.incumbent.value, rel=0.05)


@pytest.mark.parametrize("d", [2, 8, 14])
def test_a_log_and_its_pruning_take_no_more_memory_than_is_counted(d):
    rng, pairs = np.random.default_rng(0), 100
    tracemalloc.start()
    try:
        log = TreeLog()
        log.add_nodes(np.full(2, 9.0), np.zeros(2, np.int16), np.zeros((2, d), np.uint8))
        for depth in range(1, 400):
            bounds, parents = 8.0 + rng.random(2 * pairs) / depth, log.size - 1 - 2 * np.arange(pairs)
            parents = parents if depth > 1 else np.array([1])
            size = 2 * len(parents)
            tangents = rng.integers(0, 255, (size, d)).astype(np.uint8)
            first = log.add_nodes(bounds[:size], np.full(size, depth, np.int16), tangents)
            log.add_splits(parents, np.zeros(len(parents), np.int64), first + 2 * np.arange(len(parents)))
            pairs = min(100, size)
        prune_to_preorder(log)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert log.size > 10_000
    assert peak <= TreeLog.bytes_per_node(d) * log.size + (1 << 18)
