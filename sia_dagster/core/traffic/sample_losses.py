"""The rest of the funnel: from sampled calls to those that can be replayed."""

from collections import Counter

from sia_dagster.core.openinference import MappedSpans
from sia_dagster.core.records.funnel import Funnel, Loss
from sia_dagster.core.traffic.replayable import replayability


def with_samples(funnel: Funnel, spans: MappedSpans) -> Funnel:
    """The funnel of a window's records with what becomes of its sampled calls, by reason.

    What only the loop knows (another call of the application, variables of the policy in force) is not in it.
    """
    unread = Counter(span.reason for span in spans.left_out)
    first = {span.reason: span for span in reversed(spans.left_out)}
    parted = replayability(spans.samples)
    losses = [
        *(Loss(step="sample", reason=first[r].sentence, records=n, example=first[r].span_id) for r, n in _most(unread)),
        *(Loss(step="replay", reason=reason, records=n) for reason, n in _most(Counter(parted.left_out))),
    ]
    return funnel.model_copy(
        update={
            "losses": (*funnel.losses, *losses),
            "readable": len(spans.samples),
            "replayable": len(parted.replayable),
            "notes": (*funnel.notes, *(note.sentence for note in spans.notes)),
        }
    )


def _most(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
