"""Which side of the evidence a conversation stands on, for ever, and what must not stand on two."""

import hashlib
import re
from collections.abc import Sequence
from typing import Final

from sia_dagster.core.models import Sample, Split

TRAIN_SHARE: Final = 0.3
SELECTION_SHARE: Final = 0.2
"""The rest, one half, is the holdout: the verdict needs the most conversations."""

_STRENGTH: Final[dict[Split, int]] = {"train": 0, "selection": 1, "holdout": 2}


def split_of(conversation_id: str) -> Split:
    """The side of a conversation: its SHA-256 as a number in [0, 1), cut at 0.3 (train) and 0.5 (selection).

    It depends on nothing else, so a conversation has the same side in every window.
    """
    digest = hashlib.sha256(conversation_id.encode("utf-8", "surrogatepass")).digest()
    point = int.from_bytes(digest[:8], "big") / 2**64
    if point < TRAIN_SHARE:
        return "train"
    return "selection" if point < TRAIN_SHARE + SELECTION_SHARE else "holdout"


def request_key(sample: Sample) -> str:
    """The request with case, digits and white space folded: equal keys are near-duplicates.

    The system prompt does not count, since the whole traffic shares it; it stands in where there is no chat.
    """
    said = "\n".join(f"{m.role}: {m.content or ''}" for m in sample.messages) or sample.system_prompt
    return re.sub(r"\s+", " ", re.sub(r"\d+", "0", said.casefold())).strip()


def set_near_duplicates_aside(samples: Sequence[Sample]) -> tuple[tuple[Sample, ...], int]:
    """Leave out samples with a near-duplicate in a stronger split; return the rest, in order, and how many left.

    Holdout is stronger than selection, selection stronger than train: what decides keeps its samples, and
    nothing that was learned from or chosen on is met again there. No sample changes its side.
    """
    strongest: dict[str, int] = {}
    for sample in samples:
        key = request_key(sample)
        strongest[key] = max(strongest.get(key, 0), _STRENGTH[sample.split])
    kept = tuple(s for s in samples if _STRENGTH[s.split] == strongest[request_key(s)])
    return kept, len(samples) - len(kept)
