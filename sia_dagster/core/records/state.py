"""State-actions: a window's samples under the policy in force."""

from operator import not_

from pydantic import Field

from sia_dagster.core.records.document import Document
from sia_dagster.core.records.evaluation import EvalConstant
from sia_dagster.core.records.funnel import Funnel
from sia_dagster.core.records.policy import Actions, PolicyShare, SentenceOrigin
from sia_dagster.core.records.sample import Sample, Split, TimeWindow


class StateActions(Document):
    """A window's samples under the policy in force: where the search starts from."""

    loop: str
    window: TimeWindow
    actions: Actions | None = None
    """The policy in force; None for a window without usable traffic and no policy promoted before it."""
    policy_version: int | None = None
    """The registry's version of `actions`; None where they were read from the traces."""
    provenance: tuple[SentenceOrigin, ...] = Field(default=(), exclude_if=not_)
    """Of the sentences of `actions` that the loop wrote in earlier windows."""
    policy_share: float | None = None
    """The share of the window's samples that `actions` produced; None without samples."""
    policies: tuple[PolicyShare, ...] = ()
    """All prompts that spoke, the one in force first, then by share."""
    calls: int = 0
    """All LLM calls of the window, of which the samples are some."""
    funnel: Funnel = Funnel()
    """What became of the window's records before its calls were sampled; empty where that was not counted."""
    samples: tuple[Sample, ...] = ()
    eval_constants: tuple[EvalConstant, ...] = ()
    set_aside: int = 0
    """Samples left out of train and selection since a near-duplicate of theirs is in another split."""
    skipped: tuple[str, ...] = ()
    """Why spans could not be used, one sentence a span."""
    left_out: dict[str, int] = Field(default_factory=dict)
    """Readable samples that were left out, by reason: another call's, or not to be replayed faithfully."""
    refusal: str | None = None
    """Why nothing may be learned from this window, where too little of it is left."""

    def of(self, split: Split) -> tuple[Sample, ...]:
        """The samples of one split, in order."""
        return tuple(s for s in self.samples if s.split == split)

    @property
    def primary(self) -> EvalConstant | None:
        """The evaluator that decides."""
        return next((e for e in self.eval_constants if e.primary), None)

    @property
    def evaluator_fingerprints(self) -> dict[str, str]:
        """The evaluators' fingerprints by name."""
        return {constant.name: constant.fingerprint for constant in self.eval_constants}
