"""The strategy `gepa`: reflective evolution of prompts by the library of that name (Agrawal et al., arXiv 2507.19457).

The library chooses: which version is reflected on, on which samples, and which versions are kept (a Pareto front over
the selection split). Every call of a model is the desk's, so that cap, store, guard and splits hold. It is seeded and
keeps nothing on disk: a search that was killed takes the same way again over stored answers.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Final

from sia_dagster.adapters.gepa.prompt_versions import Instance, PromptVersions
from sia_dagster.adapters.gepa.worker_thread import WorkerThread
from sia_dagster.core.errors import ConfigError, SearchCapReached
from sia_dagster.core.records.search import Candidate
from sia_dagster.core.search import Desk

COMPONENT: Final = "system_prompt"
"""What the library calls the text that it evolves."""
SEED: Final = 0
"""Of the library's random choices; windows differ by their samples."""


class Gepa:
    """Needs the extra `gepa`."""

    def __init__(self) -> None:
        """Raises ConfigError where the package is missing."""
        try:
            self._gepa = import_module("gepa")
        except ImportError as error:
            raise ConfigError(
                f"the strategy gepa needs a package that is not installed ({error}); pip install 'sia-dagster[gepa]'",
                key="policy.updater",
            ) from error

    async def search(self, desk: Desk) -> Sequence[Candidate]:
        """The versions that score better on the selection split, the best first, then what was tried and left."""
        versions, thread = PromptVersions(desk), WorkerThread()
        adapter = _Adapter(versions, thread, self._gepa.EvaluationBatch)
        try:
            await thread.run(lambda: self._optimize(desk.start.system_prompt, adapter))
        except SearchCapReached as error:
            desk.ended = str(error)
            return versions.candidates(cut_off=desk.ended)
        return versions.candidates()

    def _optimize(self, prompt: str, adapter: "_Adapter") -> None:
        self._gepa.optimize(
            seed_candidate={COMPONENT: prompt},
            trainset=adapter.versions.train,
            valset=adapter.versions.validation,
            adapter=adapter,
            callbacks=[adapter],
            stop_callbacks=lambda _: adapter.versions.finished(),
            logger=_Silent(),
            seed=SEED,
            cache_evaluation=False,
            track_best_outputs=False,
        )


class _Adapter:
    """The library's side: each method runs in its thread and asks the event loop."""

    def __init__(self, versions: PromptVersions, thread: WorkerThread, batch: Callable[..., Any]) -> None:
        self.versions, self._thread, self._batch = versions, thread, batch

    def evaluate(self, batch: Sequence[Instance], candidate: Mapping[str, str], capture_traces: bool = False) -> Any:
        """The scores of a candidate, and what may be shown of the samples."""
        scored = self._thread.ask(lambda: self.versions.evaluate(candidate[COMPONENT], batch))
        return self._batch(outputs=[None] * len(batch), scores=scored.scores, trajectories=scored.shown)

    def make_reflective_dataset(
        self, candidate: Mapping[str, str], eval_batch: Any, components_to_update: Sequence[str]
    ) -> dict[str, list[dict[str, Any]]]:
        """What is reflected on: samples with their outcomes."""
        return {COMPONENT: [{"sample": sample, "outcome": outcome} for sample, outcome in eval_batch.trajectories]}

    def propose_new_texts(
        self,
        candidate: Mapping[str, str],
        reflective_dataset: Mapping[str, Sequence[Mapping[str, Any]]],
        components_to_update: Sequence[str],
    ) -> dict[str, str]:
        """A new version of the prompt; nothing, which the library does not evaluate, where none may be tried."""
        shown = [(each["sample"], each["outcome"]) for each in reflective_dataset[COMPONENT]]
        text = self._thread.ask(lambda: self.versions.propose(candidate[COMPONENT], shown))
        return {COMPONENT: text} if text else {}

    def on_valset_evaluated(self, event: Mapping[str, Any]) -> None:
        """The library's callback: a version was compared on all of the validation set."""
        self.versions.validated(event["candidate"][COMPONENT], event["average_score"])


class _Silent:
    """The library's logger: its messages hold prompts and trace text."""

    def log(self, message: str) -> None:
        """Say nothing."""
