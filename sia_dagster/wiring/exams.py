"""The exam of one window over a model session, and the picture of all that are stored."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import ValidationError

from sia_dagster.adapters.storage import StoragePath, file_names, write_atomically
from sia_dagster.core.exam_results import NextWindowResults
from sia_dagster.core.ports import ChatModel, Evaluator, Progress
from sia_dagster.wiring.stages import LoopSession, Outcome, run_stage

if TYPE_CHECKING:
    from sia_dagster.core.exam import ExamPaper


async def exam_window(session: LoopSession, paper: "ExamPaper") -> Outcome[NextWindowResults]:
    """The candidate of the window before on this window's held-out samples. Raises as `evaluate_window`."""
    from sia_dagster.core.evaluation import check_fingerprints
    from sia_dagster.core.exam import ExamRules, examine

    async def work(chat: ChatModel, evaluators: tuple[Evaluator, ...], progress: Progress) -> NextWindowResults:
        said = [(constant.name, constant.fingerprint) for constant in paper.state.eval_constants]
        check_fingerprints(said, [evaluator.constant for evaluator in evaluators])
        rules = ExamRules.of(session.loop, workers=session.workers)
        return await examine(paper, chat=chat, evaluators=evaluators, rules=rules, progress=progress)

    return await run_stage(session, work)


def draw_gain(root: StoragePath, latest: NextWindowResults) -> StoragePath:
    """Draw the cumulative gain over all stored exams and this one; where the picture is.

    It is a view, no result: it shows whatever windows have run, and is drawn anew with each.
    """
    from sia_dagster.reports.exams import gain_plot, gain_points

    others = (each for each in _stored(root, latest.loop) if each.window.key != latest.window.key)
    path = root.joinpath("reports", latest.loop, "cumulative_gain.svg")
    write_atomically(path, gain_plot(gain_points([*others, latest])).encode())
    return path


def _stored(root: StoragePath, loop: str) -> Iterator[NextWindowResults]:
    """The exams that can be read; a damaged one is its own stage's fault, and not worth the picture."""
    folder = root.joinpath("assets", loop, "next_window_results")
    for name in file_names(folder):
        try:
            yield NextWindowResults.model_validate_json(folder.joinpath(name).read_bytes())
        except (OSError, ValidationError):
            continue
