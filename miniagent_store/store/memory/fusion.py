"""One ranking out of several."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

# As measured by Cormack, Clarke and Büttcher: Reciprocal Rank Fusion outperforms Condorcet and individual
# Rank Learning Methods, SIGIR 2009. What is first in one ranking and absent in another stays ahead of what
# is in the middle of both.
SMOOTHING = 60


def fused(rankings: Iterable[Sequence[tuple[str, float]]]) -> list[tuple[str, float]]:
    """Ids by reciprocal rank: the best first, with 1.0 for what is first everywhere.

    Equals in a ranking share the last of their places: to whom all is the same has no say.

    Args:
        rankings: ids and scores, the best first; only the order counts, since scores of words and cosines
            cannot be compared.
    """
    ranked = list(rankings)
    scores: dict[str, float] = defaultdict(float)
    for ranking in ranked:
        places = {round(score, 6): place for place, (_, score) in enumerate(ranking, start=1)}
        for id, score in ranking:
            scores[id] += (SMOOTHING + 1) / (SMOOTHING + places[round(score, 6)]) / len(ranked)
    return sorted(scores.items(), key=lambda each: (-each[1], each[0]))
