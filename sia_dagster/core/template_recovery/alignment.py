"""What several token sequences have in common, in order: k-way patience alignment.

The common prefix and suffix are taken off. Then runs of tokens that occur equally often in all sequences, and in the
same order, divide the rest, longest runs first, and each part is aligned on its own. Equally often, not once: a
template with several examples repeats `Q:` for each of them.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from sia_dagster.core.template_recovery.tokenizing import is_word

Row = Sequence[str]
Piece = str | None
"""A fixed text, or None for a slot."""
_SIZES: Final = (16, 9, 5, 3, 2, 1)
"""Tokens of a run, tried in this order."""
_CHANCE: Final = 1e-4
_MOST_REPEATS: Final = 8
_MOST_RUNS: Final = 60
"""Of one size, longest first. Runs beyond these are found when the parts are aligned."""


class _Run(NamedTuple):
    starts: tuple[int, ...]
    """By row."""
    length: int


def align(rows: Sequence[Row]) -> list[Piece]:
    """The common pieces and the slots between them, in order; no two slots in a row.

    A run is taken for fixed text only where chance cannot explain it: the gap's length times p to the power of its
    distinct values is below 1e-4, with p the estimated share of values that hold such a run.
    """
    pieces: list[Piece] = []
    for piece in _pieces(rows):
        if piece is not None and pieces and pieces[-1] is not None:
            pieces[-1] += piece
        else:
            pieces.append(piece)
    return pieces


def _pieces(rows: Sequence[Row]) -> Iterator[Piece]:
    head = common_length(rows)
    rest = [row[head:] for row in rows]
    tail = common_length([row[::-1] for row in rest])
    gaps = [row[: len(row) - tail] for row in rest]
    if head:
        yield "".join(rows[0][:head])
    if any(gaps):
        yield from _divided(gaps)
    if tail:
        yield "".join(rows[0][len(rows[0]) - tail :])


def _divided(gaps: Sequence[Row]) -> Iterator[Piece]:
    """The pieces of gaps without a common prefix or suffix."""
    runs = _anchors(gaps) if all(gaps) else []
    if not runs:
        yield None
        return
    ends = [0] * len(gaps)
    for run in runs:
        yield from _pieces([gap[end:start] for gap, end, start in zip(gaps, ends, run.starts, strict=True)])
        yield "".join(gaps[0][run.starts[0] : run.starts[0] + run.length])
        ends = [start + run.length for start in run.starts]
    yield from _pieces([gap[end:] for gap, end in zip(gaps, ends, strict=True)])


def common_length(rows: Sequence[Row]) -> int:
    """The length of the common prefix, in tokens."""
    low, high = min(rows, key=list), max(rows, key=list)
    length = min(len(low), len(high))
    return next((i for i in range(length) if low[i] != high[i]), length)


def _anchors(gaps: Sequence[Row]) -> list[_Run]:
    """Runs that chance does not explain, in order, of the largest size that has any."""
    distinct = len({tuple(gap) for gap in gaps})
    length = max(map(len, gaps))
    for size in _SIZES:
        if min(map(len, gaps)) < size:
            continue
        runs = _merged(_shared_places(gaps, size), size)
        unlikely = [run for run in runs if length * _likelihood(gaps[0], run) ** distinct < _CHANCE]
        if unlikely:
            return _longest_chain(unlikely)
    return []


def _shared_places(gaps: Sequence[Row], size: int) -> list[tuple[int, ...]]:
    """Positions, by gap, of the runs of `size` tokens that occur equally often in all gaps; sorted."""
    tables = [_places(gaps[0], size)]
    shared = [gram for gram, places in tables[0].items() if len(places) <= _MOST_REPEATS]
    for gap in gaps[1:]:
        here = _places(gap, size)
        shared = [gram for gram in shared if len(here.get(gram, ())) == len(tables[0][gram])]
        if not shared:
            return []
        tables.append(here)
    return sorted(place for gram in shared for place in zip(*(table[gram] for table in tables), strict=True))


def _places(row: Row, size: int) -> dict[tuple[str, ...], list[int]]:
    found: dict[tuple[str, ...], list[int]] = {}
    for start, gram in enumerate(zip(*(row[offset:] for offset in range(size)), strict=False)):
        found.setdefault(gram, []).append(start)
    return found


def _merged(places: Sequence[tuple[int, ...]], size: int) -> list[_Run]:
    """The runs, with positions that move on by one token in every row joined to a longer run."""
    runs: list[_Run] = []
    last: tuple[int, ...] = ()
    for starts in places:
        if runs and all(here == before + 1 for here, before in zip(starts, last, strict=True)):
            runs[-1] = _Run(runs[-1].starts, runs[-1].length + 1)
        else:
            runs.append(_Run(starts, size))
        last = starts
    return runs


def _longest_chain(runs: Sequence[_Run]) -> list[_Run]:
    """The chain of runs with most tokens whose runs follow each other in every row."""
    most = sorted(sorted(runs, key=lambda run: (-run.length, run.starts))[:_MOST_RUNS])
    best: list[tuple[int, int]] = []
    for i, run in enumerate(most):
        before = [(best[j][0], -j) for j in range(i) if _follows(run, most[j])]
        length, j = max(before, default=(0, 1))
        best.append((length + run.length, -j))
    at = max(range(len(most)), key=lambda i: (best[i][0], -i))
    chain: list[_Run] = []
    while at >= 0:
        chain.append(most[at])
        at = best[at][1]
    return chain[::-1]


def _follows(run: _Run, before: _Run) -> bool:
    return all(a + before.length <= b for a, b in zip(before.starts, run.starts, strict=True))


def _likelihood(gap: Row, run: _Run) -> float:
    """The estimated share of unrelated values that hold such a run: short words, digits and signs are common."""
    share = 0.95
    for token in gap[run.starts[0] : run.starts[0] + run.length]:
        if is_word(token):
            share *= 0.7 if len(token) < 5 else 0.4
    return share
