"""The loop from Python, over one week of a SIMULATED application: no account, no key, no cost.

Run it as it stands: `python examples/workflow_example.py`. For your own application give `WorkflowOrchestrator` your
traces and leave out `llm` and `models`: then it asks OpenAI with the key in OPENAI_API_KEY.
"""

import re
import tempfile
from difflib import unified_diff
from pathlib import Path

from sia_dagster.core.records.sample import Sample
from sia_dagster.demo.server import SimulatedProvider
from sia_dagster.demo.traffic import WEEKS, week_windows, write_traffic
from sia_dagster.runners import LLMConfig, Models, WorkflowOrchestrator, WorkflowResults, llm_classify

WEEK = week_windows()[0]


def names_an_order(sample: Sample) -> bool:
    """A good answer names the order."""
    return re.search(r"order \d+", sample.output) is not None


def main() -> None:
    """Improve the prompt by one week of traffic, then score the same week with evaluators of our own."""
    with tempfile.TemporaryDirectory() as temporary, SimulatedProvider() as provider:
        folder = Path(temporary)
        write_traffic(folder / "traces", WEEK, None, WEEKS[0])
        orchestrator = WorkflowOrchestrator(
            folder / "traces",
            llm=LLMConfig(base_url=provider.base_url),
            models=Models(judge="simulated-judge", updater="simulated-optimizer"),
            storage=str(folder / "storage"),
        )
        print(f"A week of a simulated application, answered, judged and improved by models on {provider.base_url}\n")
        tell(
            orchestrator.run_complete_workflow(
                start_date=WEEK.start, end_date=WEEK.end, evaluator_names=["correctness"], limit=120, checkpoint=True
            )
        )
        score(orchestrator, provider.base_url)


def tell(results: WorkflowResults) -> None:
    """Print the verdict and what changed."""
    report, update = results["updated_validation_results"], results["policy_update"]
    print(f"Verdict: {report.verdict}")
    for reason in report.reasons:
        print(f"  {reason}")
    print("\nWhat changed in the system prompt:")
    old, new = (actions.system_prompt if actions else "" for actions in (update.baseline, update.candidate))
    for line in list(unified_diff(old.splitlines(), new.splitlines(), lineterm=""))[3:]:
        print(f"  {line}")


def score(orchestrator: WorkflowOrchestrator, base_url: str) -> None:
    """Score the week's logged answers with a function of one sample, and with a judge over a DataFrame."""
    week = {"start_time": WEEK.start, "end_time": WEEK.end, "limit": 50}
    by_function = orchestrator.run_eval_pipeline(
        evaluator=names_an_order, evaluator_name="names_an_order", get_telemetry_kwargs=week, upsert=True
    )
    by_judge = orchestrator.run_eval_pipeline(
        evaluator=llm_classify,
        evaluator_name="correctness",
        evaluator_kwargs={
            "template": "correctness",
            "model": "simulated-judge",
            "rails": {"correct": 1, "incorrect": 0},
            "base_url": base_url,
        },
        get_telemetry_kwargs=week,
        upsert=True,
    )
    print("\nThe logged answers, by evaluators of our own:")
    for name, table in (("names_an_order", by_function), ("correctness", by_judge)):
        print(f"  {name}: {table[f'eval.{name}.score'].mean():.2f} over {len(table)} answers")


if __name__ == "__main__":
    main()
