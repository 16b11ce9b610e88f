"""Seminorms of one layer against values of the layer, at any multipliers."""

import pytest
import torch

from certify.bounds.layers.kink import Kink
from certify.bounds.layers.links import Convolution, FixedMap
from certify.bounds.layers.max_pooling import MaxPooling
from certify.bounds.layers.peeled_scores import PeeledScores, unpeeled
from certify.bounds.layers.peeling import Peel, peeled, peeled_side
from certify.problem import Slopes
from certify.problem.windows import average_matrix, windows

from .deep_subnetworks import ALL_SLOPES, kinked

ROOM = 1 + 1e-12


def drawn(generator, *shape):
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def multipliers(generator, scale, shape, *, tied):
    slopes = 0.5 * scale * drawn(generator, 2, *shape)
    if tied:
        slopes[1] = -slopes[0]
    return Peel(drawn(generator, 2, *shape).exp(), slopes)


def worst_ratio(inner, outer, h):
    """Largest inner/outer over a batch, climbed to by gradient ascent from all of it."""
    h, worst = h.clone(), 0.0
    for _ in range(60):
        h.requires_grad_()
        ratio = inner(h) / outer(h).clamp_min(1e-12)
        worst = max(worst, float(ratio.detach().max()))
        (slope,) = torch.autograd.grad(ratio.sum(), h)
        size = slope.norm(dim=1, keepdim=True).clamp_min(1e-12)
        h = (h.detach() + 0.1 * h.detach().norm(dim=1, keepdim=True) * slope / size).detach()
    return worst


def forms_of(scores, generator, count):
    """Seminorms with and without diagonals on the same columns."""
    return [PeeledScores(scores, drawn(generator, b, count).square()) for b in (0, 2)]


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("m", [1, 3])
@pytest.mark.parametrize("slopes", ALL_SLOPES)
def test_a_peeled_seminorm_is_never_below_that_of_the_responses(slopes, m, tied):
    generator, n = torch.Generator().manual_seed(m), 6
    for trial in range(6):
        scores = drawn(generator, n, m) * (drawn(generator, n, 1) > -0.5)
        for above in forms_of(scores, generator, n):
            peel = multipliers(generator, 0.0 if trial == 0 else 1.0, (n, m), tied=tied)
            below = peeled(above, peel, Kink(Slopes(*slopes)))
            h = drawn(generator, 200, n)
            assert worst_ratio(lambda h, a=above: a.norms(kinked(h, slopes)), below.norms, h) <= ROOM


@pytest.mark.parametrize("slopes", ALL_SLOPES)
def test_a_sign_peeled_alone_is_never_below_its_functional(slopes):
    generator, n = torch.Generator().manual_seed(5), 6
    for _ in range(6):
        scores = drawn(generator, n, 1)
        peel = multipliers(generator, 1.0, (n, 1), tied=False)
        below = peeled_side(scores, Peel(peel.curvatures[:1], peel.slopes[:1]), Kink(Slopes(*slopes)))
        h = drawn(generator, 200, n)
        assert worst_ratio(lambda h, q=scores[:, 0]: kinked(h, slopes) @ q, below.norms, h) <= ROOM


def test_tied_slopes_keep_the_number_of_columns():
    generator = torch.Generator().manual_seed(0)
    scores = drawn(generator, 5, 3)
    below = peeled(unpeeled(scores), multipliers(generator, 1.0, (5, 3), tied=True), Kink(Slopes(1.0, 0.1)))
    assert below.columns.shape == (5, 3)
    assert below.diagonals.shape == (1, 5)


def test_one_row_is_peeled_exactly():
    """Q relu(h), q > 0, g = 0: |q h/2| + |q h/2| whatever p is, attained at h > 0."""
    scores, h = torch.tensor([[3.0]], dtype=torch.float64), torch.tensor([[2.0]], dtype=torch.float64)
    peel = Peel(torch.full((2, 1, 1), 0.7, dtype=torch.float64), torch.zeros(2, 1, 1, dtype=torch.float64))
    assert float(peeled(unpeeled(scores), peel, Kink(Slopes(1.0, 0.0))).norms(h)) == pytest.approx(6.0, rel=1e-14)


def pooled(t, steepness, window):
    """Max of s relu over windows, padding left out; (s, n P) to (s, n O)."""
    places = int(window.max()) + 1
    values = (steepness * t.clamp_min(0)).reshape(len(t), -1, places)
    padded = torch.cat([values, torch.zeros_like(values[..., :1])], 2)
    return padded[..., torch.where(window < 0, places, window)].amax(3).flatten(1)


@pytest.mark.parametrize("m", [1, 2])
@pytest.mark.parametrize(("grid", "kernel", "stride", "padding"), [((4,), 2, 2, 0), ((5,), 3, 1, 1), ((3,), 3, 3, 0)])
def test_peeled_max_pooling_is_never_below(grid, kernel, stride, padding, m):
    window, (count,) = windows(grid, (kernel,), (stride,), (padding,), (1,))
    generator, samples, steepness = torch.Generator().manual_seed(m), 2, 1.5
    responses = MaxPooling(steepness, window, grid[0])
    for trial in range(6):
        scores = drawn(generator, samples * count, m)
        for above in forms_of(scores, generator, samples * count):
            peel = multipliers(generator, float(trial > 0), (samples * count, kernel, m), tied=trial % 2 == 0)
            middle = responses.middle(scores)
            peel = Peel(peel.curvatures, peel.slopes + torch.stack([middle, -middle]))
            below = peeled(above, peel, responses)
            t = drawn(generator, 200, samples * grid[0])
            assert worst_ratio(lambda t, a=above: a.norms(pooled(t, steepness, window)), below.norms, t) <= ROOM


def test_windows_of_one_entry_are_a_kink():
    """Then lin = g of the window = (r − g)/2 of the kink, and k and p are the same."""
    generator, window = torch.Generator().manual_seed(1), torch.arange(4)[:, None]
    scores, g, p = drawn(generator, 4, 2), drawn(generator, 4, 2), drawn(generator, 2, 4, 2).exp()
    kink = peeled(unpeeled(scores), Peel(p, torch.stack([g, -g])), Kink(Slopes(1.0, 0.0)))
    own = (scores - g) / 2
    maxima = peeled(
        unpeeled(scores), Peel(p[:, :, None], torch.stack([own, -own])[:, :, None]), MaxPooling(1.0, window, 4)
    )
    torch.testing.assert_close(maxima.columns, kink.columns)
    torch.testing.assert_close(maxima.diagonals, kink.diagonals)


def test_a_convolved_seminorm_is_never_below_that_of_torch():
    """Two samples, three channels of 4 × 4, kernels 2 × 3 with stride and padding."""
    window, (high, wide) = windows((4, 4), (2, 3), (2, 1), (1, 1), (1, 1))
    generator = torch.Generator().manual_seed(2)
    link = Convolution(window, 16)
    for _ in range(20):
        z = drawn(generator, 2, 3, 4, 4)
        kernel = drawn(generator, 1, 3, 2, 3)
        kernel /= kernel.norm()
        h = torch.nn.functional.conv2d(z, kernel, stride=(2, 1), padding=1).flatten()
        assert h.numel() == 2 * high * wide
        above = PeeledScores(drawn(generator, len(h), 2), drawn(generator, 1, len(h)).square())
        channels = link.below(above).norms(z.transpose(0, 1).reshape(3, -1))
        assert float(above.norms(h[None])) <= float(channels.square().sum().sqrt()) * ROOM


def test_a_convolution_of_one_column_is_exact_in_its_best_kernel():
    """Max over |w| ≤ 1 of |cᵀ conv(z; w)| is the norm of its derivatives in w, here by autograd."""
    window, _ = windows((5, 5), (3, 3), (1, 1), (0, 0), (1, 1))
    generator = torch.Generator().manual_seed(3)
    z, column = drawn(generator, 2, 1, 5, 5), drawn(generator, 18)
    kernel = torch.zeros(1, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    (torch.nn.functional.conv2d(z, kernel).flatten() @ column).backward()
    below = Convolution(window, 25).below(unpeeled(column[:, None]))
    torch.testing.assert_close(below.norms(z.reshape(1, -1)), kernel.grad.norm()[None])


def test_average_pooling_is_linear_in_columns_and_never_below():
    window, _ = windows((6,), (3,), (2,), (1,), (1,))
    matrix = average_matrix(window, 6, counts_padding=True)
    generator = torch.Generator().manual_seed(4)
    z = drawn(generator, 50, 2, 6)
    pooled_z = torch.nn.functional.avg_pool1d(z, 3, 2, 1).flatten(1)
    for above in forms_of(drawn(generator, pooled_z.shape[1], 2), generator, pooled_z.shape[1]):
        below, found = FixedMap(matrix).below(above), above.norms(pooled_z)
        assert bool((found <= below.norms(z.flatten(1)) * ROOM).all())
        columns = unpeeled(above.columns), unpeeled(below.columns)
        torch.testing.assert_close(columns[0].norms(pooled_z), columns[1].norms(z.flatten(1)))


def test_slopes_below_all_mixtures_of_a_window_are_paid_for():
    """−max(t_1, t_2) + t_3 at (1, 1, 5) is 4; slopes −1, −1 fall short of it by 1, and t_3 alone is exact."""
    window = torch.tensor([[0, 1], [2, -1]])
    column, t = torch.tensor([[-1.0], [1.0]]).double(), torch.tensor([[1.0, 1.0, 5.0]]).double()
    slopes = torch.tensor([[[[-1.0], [-1.0]], [[0.5], [0.0]]]]).double()
    below = peeled_side(column, Peel(torch.ones_like(slopes), slopes), MaxPooling(1.0, window, 3))
    assert float(below.norms(t)) >= 4.0
