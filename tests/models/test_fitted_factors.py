"""scikit-learn's factorizations: factors and objective are its own, and what has no penalty is refused."""

import numpy as np
import pytest
from sklearn import decomposition

import certify
from certify.errors import UnsupportedError, UsageError
from certify.models.fitted_factors import fitted_factors
from certify.models.loading import Problem

# scikit-learn stops where it is told to, and says so.
pytestmark = pytest.mark.filterwarnings("ignore")
RNG = np.random.default_rng(0)
TABLE = RNG.random((12, 2)) @ RNG.random((2, 8)) + 0.05 * RNG.random((12, 8))


def product_objective(found):
    """½|X − C D|² + λ Σ N(c_i) N'(d_i)."""
    norms = found.content["penalty"]["factor_norms"]
    orders = {"l1": 1, "l2": 2}
    left = np.linalg.norm(found.codes, orders[norms["left"]], axis=0)
    right = np.linalg.norm(found.components, orders[norms["right"]], axis=1)
    return 0.5 * np.sum((TABLE - found.codes @ found.components) ** 2) + norms["strength"] * np.sum(left * right)


def nmf_objective(estimator, codes):
    """As scikit-learn's user guide has it, for l1_ratio = 0."""
    components, (samples, features) = estimator.components_, TABLE.shape
    second = estimator.alpha_W if estimator.alpha_H == "same" else estimator.alpha_H
    loss = 0.5 * np.sum((TABLE - codes @ components) ** 2)
    return loss + 0.5 * estimator.alpha_W * features * np.sum(codes**2) + 0.5 * second * samples * np.sum(components**2)


@pytest.mark.parametrize("kind", [decomposition.NMF, decomposition.MiniBatchNMF])
@pytest.mark.parametrize("second", ["same", 0.02])
def test_nonnegative_factors_are_scaled_to_no_larger_an_objective(kind, second):
    estimator = kind(3, alpha_W=0.01, alpha_H=second, l1_ratio=0.0, max_iter=2000, tol=1e-12, random_state=0).fit(TABLE)
    codes = estimator.transform(TABLE)
    found = fitted_factors(estimator, TABLE)
    np.testing.assert_allclose(found.codes @ found.components, codes @ estimator.components_, rtol=1e-12, atol=1e-13)
    assert product_objective(found) <= nmf_objective(estimator, codes) * (1 + 1e-12)
    # At equal shares scikit-learn's own formula, on the scaled factors, gives the product of norms.
    estimator.components_ = found.components
    assert nmf_objective(estimator, found.codes) == pytest.approx(product_objective(found), rel=1e-12)
    assert (found.codes >= 0).all()
    assert (found.components >= 0).all()


def test_nonnegative_factors_reconstruct_as_scikit_learn_says():
    estimator = decomposition.NMF(3, alpha_W=0.01, l1_ratio=0.0, max_iter=20000, tol=1e-14, random_state=0).fit(TABLE)
    found = fitted_factors(estimator, TABLE)
    error = np.linalg.norm(TABLE - found.codes @ found.components)
    assert error == pytest.approx(estimator.reconstruction_err_, rel=1e-4)


@pytest.mark.parametrize("positive", [False, True])
def test_a_dictionary_has_the_objective_of_its_fit(positive):
    settings = {"positive_code": positive, "positive_dict": positive, "fit_algorithm": "cd"}
    estimator = decomposition.DictionaryLearning(3, alpha=0.05, max_iter=500, tol=1e-12, random_state=0, **settings)
    estimator.fit(TABLE)
    found = fitted_factors(estimator, TABLE)
    np.testing.assert_allclose(np.linalg.norm(found.components, axis=1), 1, rtol=1e-12)
    own = 0.5 * np.sum((TABLE - found.codes @ found.components) ** 2) + 0.05 * np.abs(found.codes).sum()
    assert product_objective(found) == pytest.approx(own, rel=1e-12)
    # Costs are those before the last update of one of the factors, and coordinate descent has a tolerance.
    assert own <= estimator.error_[-1] * (1 + 1e-3)
    assert found.content["penalty"]["factor_norms"]["nonnegative"] == (["left", "right"] if positive else [])


@pytest.mark.parametrize(
    ("estimator", "words", "code"),
    [
        (decomposition.PCA(2), "no penalty", "unsupported-penalty"),
        (decomposition.TruncatedSVD(2), "nuclear norm", "unsupported-penalty"),
        (decomposition.NMF(2), "alpha_W", "unsupported-penalty"),
        (decomposition.NMF(2, alpha_W=0.1, alpha_H=0.0), "alpha_W", "unsupported-penalty"),
        (decomposition.NMF(2, alpha_W=0.1, l1_ratio=0.5), "l1_ratio", "degree-mismatch"),
        (decomposition.NMF(2, beta_loss="kullback-leibler", solver="mu"), "beta_loss", "unsupported-format"),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "fit") else None,
)
def test_what_has_no_certificate_says_why(estimator, words, code):
    with pytest.raises(UnsupportedError, match=words) as caught:
        Problem.from_sklearn(estimator.fit(TABLE), TABLE)
    assert caught.value.code == code


def test_an_estimator_that_is_not_fitted_is_an_error():
    with pytest.raises(UsageError, match="not fitted"):
        Problem.from_sklearn(decomposition.NMF(2, alpha_W=0.1), TABLE)


def sparse_objective(codes, components, alpha):
    """As scikit-learn's user guide has it, and `error_` of a fit."""
    centered = TABLE - TABLE.mean(0)
    assert (np.linalg.norm(codes, axis=0) <= 1 + 1e-12).all()
    return 0.5 * np.sum((centered - codes @ components) ** 2) + alpha * np.abs(components).sum()


@pytest.mark.parametrize("method", ["lars", "cd"])
@pytest.mark.parametrize("alpha", [0.02, 0.3])
def test_sparse_components_have_the_objective_of_their_fit_or_a_smaller_one(method, alpha):
    estimator = decomposition.SparsePCA(4, alpha=alpha, method=method, max_iter=3000, tol=1e-13, random_state=0)
    estimator.fit(TABLE)
    found = fitted_factors(estimator, TABLE)
    norms = found.content["penalty"]["factor_norms"]
    assert norms == {"strength": alpha, "left": "l2", "right": "l1", "nonnegative": []}
    own = sparse_objective(found.codes, found.components, alpha)
    lengths = np.linalg.norm(found.codes, axis=0) * np.abs(found.components).sum(1)
    product = 0.5 * np.sum((found.table - found.codes @ found.components) ** 2) + alpha * lengths.sum()
    assert product == pytest.approx(own, rel=1e-12)
    assert own <= estimator.error_[-1] * (1 + 1e-12)
    assert own == pytest.approx(estimator.error_[-1], rel=1e-4)


def test_sparse_components_are_those_of_the_dictionary_that_the_fit_had():
    """`dict_learning` with the arguments of `SparsePCA.fit` returns the factors before they are normed."""
    alpha = 0.05
    settings = {"alpha": alpha, "method": "cd", "max_iter": 5000, "tol": 1e-15, "random_state": 3}
    estimator = decomposition.SparsePCA(3, **settings).fit(TABLE)
    code, dictionary, _ = decomposition.dict_learning((TABLE - TABLE.mean(0)).T, 3, **settings)
    found = fitted_factors(estimator, TABLE)
    of_fit = sparse_objective(dictionary.T, code.T, alpha)
    assert sparse_objective(found.codes, found.components, alpha) <= of_fit * (1 + 1e-12)
    np.testing.assert_allclose(found.codes @ found.components, (code @ dictionary).T, atol=1e-3)


def test_sparse_components_of_small_batches_and_none_at_all():
    fitted = decomposition.MiniBatchSparsePCA(3, alpha=0.05, random_state=0).fit(TABLE)
    found = fitted_factors(fitted, TABLE)
    np.testing.assert_allclose(found.table.mean(0), 0, atol=1e-15)
    dead = decomposition.SparsePCA(2, alpha=1e3, random_state=0).fit(TABLE)
    assert not fitted_factors(dead, TABLE).components.any()


def test_a_sparse_fit_is_judged():
    estimator = decomposition.SparsePCA(8, alpha=0.3, max_iter=3000, tol=1e-12, random_state=0).fit(TABLE)
    result = certify.check(Problem.from_sklearn(estimator, TABLE, budget_seconds=20))
    assert result.lower_bound <= result.objective
    assert result.objective == pytest.approx(estimator.error_[-1], rel=1e-3)
    assert result.verdict in ("certified", "improvable")
