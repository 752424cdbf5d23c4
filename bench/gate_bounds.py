"""Lower ends of a bounded mean that were tried beside the product's: each says whether it lies above 0.

Differences and weights are (windows, conversations). What the product takes is `intervals.skew_corrected_interval`.
"""

from collections.abc import Callable, Mapping

import numpy as np
from scipy.special import ndtri

from bench.calibration import Array
from bench.gate_cells import Yes
from sia_dagster.core.statistics.intervals import hall_end, moments, plus_two, skew_corrected_interval, t_quantile

Bound = Callable[[Array, Array, float], Yes]


def low_of_product(differences: Array, weights: Array, alpha: float) -> Array:
    return np.asarray(skew_corrected_interval(differences, weights, alpha).low)


def product(differences: Array, weights: Array, alpha: float) -> Yes:
    return np.asarray(low_of_product(differences, weights, alpha) > 0)


def before(differences: Array, weights: Array, alpha: float) -> Yes:
    """The plus-two bound: the product's own before, and still that of its judge watch."""
    return np.asarray(plus_two(differences, weights, alpha).low > 0)


def worst_case_t(differences: Array, weights: Array, alpha: float) -> Yes:
    """A t bound with one conversation at -1."""
    found = moments(differences, _scaled(weights), 1.0)
    return np.asarray(found.mean > t_quantile(found.size, alpha) * found.error)


def hall_alone(differences: Array, weights: Array, alpha: float) -> Yes:
    """Hall's bound without anything added (Journal of the Royal Statistical Society B 54, 1992)."""
    found = moments(differences, _scaled(weights), 0.0)
    return np.asarray(hall_end(found, t_quantile(found.size, alpha)) > 0)


def _scaled(weights: Array) -> Array:
    return np.asarray(weights / weights.mean(axis=-1, keepdims=True))


def empirical_likelihood(differences: Array, weights: Array, alpha: float) -> Yes:
    """The adjusted empirical likelihood's bound: Chen, Variyath and Abraham, Journal of Computational and Graphical
    Statistics 17, 2008, after Owen, The Annals of Statistics 18, 1990."""
    scaled = _scaled(weights) * differences
    far = max(1.0, np.log(scaled.shape[-1]) / 2)
    points = np.concatenate([scaled, -far * scaled.mean(axis=-1, keepdims=True)], axis=-1)
    slope = np.zeros(len(points))
    low = 1 / np.minimum(points.min(axis=-1), -1e-12) * (1 - 1e-9)
    high = 1 / np.maximum(points.max(axis=-1), 1e-12) * (1 - 1e-9)
    for _ in range(40):
        ratio = points / (1 - slope[:, None] * points)
        first, second = ratio.sum(axis=-1), (ratio * ratio).sum(axis=-1)
        low, high = np.where(first > 0, low, slope), np.where(first > 0, slope, high)
        following = slope - first / np.maximum(second, 1e-300)
        slope = np.where((following <= low) | (following >= high), (low + high) / 2, following)
    statistic = -2 * np.log1p(-slope[:, None] * points).sum(axis=-1)
    return np.asarray((scaled.mean(axis=-1) > 0) & (np.sqrt(np.maximum(-statistic, statistic)) > -ndtri(alpha)))


def betting(differences: Array, weights: Array, alpha: float) -> Yes:
    """A bet against "the mean is 0": Waudby-Smith and Ramdas, Journal of the Royal Statistical Society B 86, 2024.

    Without weights, for which it has no form.
    """
    del weights
    scores = (differences + 1) / 2
    seen = np.arange(1, scores.shape[-1] + 1)
    means = (0.5 + scores.cumsum(axis=-1)) / (seen + 1)
    variances = (0.25 + ((scores - means) ** 2).cumsum(axis=-1)) / (seen + 1)
    before = np.concatenate([np.full((len(scores), 1), 0.25), variances[:, :-1]], axis=-1)
    stake = np.minimum(np.sqrt(2 * np.log(1 / alpha) / (scores.shape[-1] * before)), 1.5)
    wealth = np.log1p(stake * (scores - 0.5)).cumsum(axis=-1)
    return np.asarray(wealth.max(axis=-1) >= np.log(1 / alpha))


BOUNDS: Mapping[str, Bound] = {
    "product": product,
    "plus-two": before,
    "t, one at -1": worst_case_t,
    "Hall alone": hall_alone,
    "likelihood": empirical_likelihood,
    "betting": betting,
}
