"""The checks of `sia check` that hold for all windows: configuration, credentials, storage and endpoint."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from sia_dagster.adapters.config.environment import require
from sia_dagster.adapters.config.references import check_references
from sia_dagster.adapters.engine.calls.probe import list_models, public_address
from sia_dagster.cli.open_project import CommandProject
from sia_dagster.core.config.fields import SecretName
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.config.trace_source import TracesConfig
from sia_dagster.core.errors import SiaError
from sia_dagster.core.records.value import Value

Result = Literal["pass", "warn", "fail"]
"""`warn`: a run would finish, though perhaps not as intended."""


class CheckResult(Value):
    """A check and its finding."""

    check: str
    result: Result
    found: str


Probe = Callable[[], str | tuple[Result, str]]
"""Checks one thing: the finding, which passes unless it comes with another result. Raises SiaError for a failure."""


def finding(check: str, probe: Probe) -> CheckResult:
    """The finding of one probe; an error of ours is a failed check with the error's message."""
    try:
        outcome = probe()
    except SiaError as error:
        return CheckResult(check=check, result="fail", found=str(error))
    result, found = ("pass", outcome) if isinstance(outcome, str) else outcome
    return CheckResult(check=check, result=result, found=found)


def project_findings(projects: Sequence[CommandProject]) -> tuple[CheckResult, ...]:
    """The five checks that do not depend on a window; none costs anything."""
    return (
        finding("configuration", lambda: _configuration(projects)),
        finding("references", lambda: _references(projects)),
        finding("credentials", lambda: _credentials(projects)),
        finding("storage", lambda: _storage(projects)),
        finding("endpoint", lambda: _endpoint(projects)),
    )


def _configuration(projects: Sequence[CommandProject]) -> str:
    loops = ", ".join(project.loop.name for project in projects)
    if projects[0].is_demo:
        return f"no sia.yaml here: the demo's loop {loops}, over SIMULATED models"
    return f"{projects[0].file.path}: {loops}"


def _references(projects: Sequence[CommandProject]) -> str:
    check_references(projects[0].file)
    count = sum(len(project.loop.evaluators) for project in projects)
    return f"all templates and functions exist (evaluators: {count})"


def _credentials(projects: Sequence[CommandProject]) -> str:
    """The names of the variables, never their values."""
    llm = projects[0].file.config.llm
    named = {"llm.api_key": llm.api_key} if llm.api_key else {}
    named |= {f"llm.stages.{stage}.api_key": own.api_key for stage, own in llm.stages.items() if own.api_key}
    named |= {f"{p.loop.name}: notify.webhook": p.loop.notify.webhook for p in projects if p.loop.notify.webhook}
    named |= {f"{p.loop.name}: traces.api_key": key for p in projects if (key := _store_key(p.loop.traces))}
    for setting, variable in named.items():
        require(variable, key=setting)
    return ", ".join(f"{variable} is set" for variable in dict.fromkeys(named.values())) or "none are configured"


def _store_key(traces: TracesConfig) -> SecretName | None:
    return None if traces.source == "local" else traces.api_key


def _storage(projects: Sequence[CommandProject]) -> str:
    states = []
    for project in projects:
        in_force = next(reversed(project.policies.versions()), None)
        states.append(f"{project.loop.name}: {f'version {in_force.version}' if in_force else 'no policy promoted yet'}")
    return f"{projects[0].file.storage} ({'; '.join(states)})"


def _endpoint(projects: Sequence[CommandProject]) -> str | tuple[Result, str]:
    """Whether every endpoint answers, and lists the configured models."""
    with _reached(projects[0]) as llm:
        models: dict[tuple[str, str | None], set[str]] = {}
        settings = {}
        for stage, names in _models(projects).items():
            found = llm.at(stage)
            models.setdefault((found.base_url, found.api_key), set()).update(map(found.called, names))
            settings[found.base_url, found.api_key] = found
        probed = [_probed(found, models[at]) for at, found in settings.items()]
    result: Result = "warn" if any(doubtful for doubtful, _ in probed) else "pass"
    return result, "; ".join(found for _, found in probed)


def _probed(llm: LLMConfig, models: set[str]) -> tuple[bool, str]:
    """Whether something may be wrong with one endpoint, and the finding. Raises SiaError where it cannot be used."""
    listed = asyncio.run(list_models(llm, api_key=require(llm.api_key) if llm.api_key else None))
    address = public_address(llm)
    if listed is None:
        return False, f"{address} answers; it does not list its models"
    if missing := sorted(models - set(listed)):
        return True, f"{address} answers, but does not list {', '.join(missing)}: check the names"
    return False, f"{address} answers and lists the configured models"


@contextmanager
def _reached(project: CommandProject) -> Iterator[LLMConfig]:
    """The configured endpoint; the demo's is started for this check, as each of its runs starts one."""
    llm = project.file.config.llm
    if not project.is_demo:
        yield llm
        return
    from sia_dagster.demo.server import SimulatedProvider

    with SimulatedProvider() as provider:
        yield llm.model_copy(update={"base_url": provider.base_url})


def _models(projects: Sequence[CommandProject]) -> dict[str, set[str]]:
    """The models that the configuration names, by stage; the application's own comes from its traces."""
    evaluators = (each for project in projects for each in project.loop.evaluators)
    judges = {each.model for each in evaluators if each.kind == "llm_classify"}
    return {"judge": judges, "replay": set(), "update": {project.loop.policy.model for project in projects}}
