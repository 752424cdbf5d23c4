"""How much less a comparison knows where its units resemble each other within clusters."""

from collections.abc import Mapping, Sequence

from sia_dagster.core.statistics.compare import PairedScore


def design_effect(pairs: Sequence[PairedScore], cluster_of: Mapping[str, str]) -> float | None:
    """The variance of the mean difference in clusters over that of independent units: 1 + (m - 1) ICC, at least 1.

    Kish, Survey Sampling, 1965; m is the mean cluster size weighted by size, the intra-class correlation is that of a
    one-way analysis of variance (Donner, International Statistical Review 54, 1986). `cluster_of` is by conversation
    id; missing is a cluster of its own. None with fewer than two clusters, or without two units in any.
    """
    clusters: dict[str, list[float]] = {}
    for pair in pairs:
        first = pair.conversations[0]
        clusters.setdefault(cluster_of.get(first, first), []).append(pair.candidate - pair.baseline)
    size, number = len(pairs), len(clusters)
    if number < 2 or number == size:
        return None
    means = {name: sum(held) / len(held) for name, held in clusters.items()}
    middle = sum(sum(held) for held in clusters.values()) / size
    between = sum(len(held) * (means[name] - middle) ** 2 for name, held in clusters.items()) / (number - 1)
    within = sum((one - means[name]) ** 2 for name, held in clusters.items() for one in held) / (size - number)
    squares = sum(len(held) ** 2 for held in clusters.values()) / size
    usual = (size - squares) / (number - 1)
    spread = between + (usual - 1) * within
    correlation = max(0.0, (between - within) / spread) if spread else 0.0
    return 1 + (squares - 1) * correlation
