"""A person's decision: the asset `promoted_policy` materialised in this process, as the UI does it."""

from typing import Literal

from pydantic import ValidationError

from sia_dagster.adapters.files.storage import read_stored
from sia_dagster.cli.in_process import dagster_instance, failure_of
from sia_dagster.cli.open_project import CommandProject
from sia_dagster.core.errors import ConfigError, PromotionRefused, SiaError
from sia_dagster.core.records.registry import Promotion
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.value import Value
from sia_dagster.wiring.platforms import Published, faults_of, publish_in_force


class PersonDecision(Value):
    """A person's decision about a window's candidate."""

    by: str
    note: str = ""
    decision: Literal["approve", "reject"] = "approve"
    override: bool = False


def promote_window(project: CommandProject, window: str, decision: PersonDecision) -> Promotion:
    """Put the window's candidate in force. A second call for the same window gives the first one's entry.

    Raises PromotionRefused with the reason where the gate does not allow it, ConfigError where the window has not run,
    SiaError where the asset or a platform of `publish` fails.
    """
    report = read_report(project, window)
    project.check_decidable(report.window)
    if report.verdict != "accept" and not decision.override:
        reasons = "; ".join(report.reasons)
        raise PromotionRefused(f"the verdict of window {window} is {report.verdict}, so the policy stays. {reasons}")
    promotion = _materialise(project, window, decision)
    if promotion.promoted is None:
        raise PromotionRefused(promotion.reason)
    return promotion


def reject_window(project: CommandProject, window: str, decision: PersonDecision) -> Promotion:
    """Record that the window's candidate must not come into force. Raises as `promote_window`."""
    project.check_decidable(read_report(project, window).window)
    promotion = _materialise(project, window, decision)
    if promotion.decision is None or promotion.decision.kind != "reject":
        raise PromotionRefused(promotion.reason)
    return promotion


def read_report(project: CommandProject, window: str) -> ValidationReport:
    """The window's verdict. Raises ConfigError where it has not run, or its document cannot be read."""
    path = project.document_path("validation_results", window)
    try:
        return ValidationReport.model_validate_json(read_stored(path))
    except FileNotFoundError as error:
        raise project.not_run(window) from error
    except OSError as error:
        raise ConfigError(f"{path}: this document cannot be read ({error}); check `storage`") from error
    except ValidationError as error:
        advice = f"run the window again: `sia run --loop {project.loop.name} --window {window}`"
        raise ConfigError(f"{path}: this document cannot be read; {advice}") from error


def _materialise(project: CommandProject, window: str, decision: PersonDecision) -> Promotion:
    from sia_dagster.defs.claims import PUBLISHED_WHERE_ASKED
    from sia_dagster.defs.jobs import QUIET

    key = project.names.asset("promoted_policy")
    config = {"approved_by": decision.by, **decision.model_dump(exclude={"by"})}
    step = {"__".join(key.path): {"config": config}}
    # Not the loop's job: where promotion is manual it leaves this asset out.
    job = project.definitions.resolve_implicit_global_asset_job_def()
    with dagster_instance() as instance:
        result = job.execute_in_process(
            partition_key=window,
            asset_selection=[key],
            instance=instance,
            raise_on_error=False,
            run_config={**QUIET, "ops": step},
        )
        if not result.success:
            raise SiaError(failure_of(result))
        promotion: Promotion = result.asset_value(key)
        for check in result.get_asset_check_evaluations():
            if check.check_name == PUBLISHED_WHERE_ASKED.name and not check.passed:
                raise SiaError(f"{promotion.reason}, but it is not published. {check.description}")
        return promotion


def publish_policy(project: CommandProject, *, force: bool = False) -> tuple[Published, ...]:
    """Publish the policy in force on the platforms of `publish`; the outcome on each.

    Raises SiaError where one failed, after all were tried.
    """
    published = publish_in_force(project.loop, project.policies, project.file.storage, force=force)
    if faults := faults_of(published):
        raise SiaError(" ".join(faults))
    return published
