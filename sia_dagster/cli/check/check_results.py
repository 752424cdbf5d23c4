"""What `sia check` looks at before a window: configuration, credentials, storage and the endpoint."""

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
"""`warn`: a run goes through, perhaps not as one thinks."""


class CheckResult(Value):
    """One check and what it found."""

    check: str
    result: Result
    found: str


Look = Callable[[], str | tuple[Result, str]]
"""Looks at one thing: what it found, which passes unless it says otherwise. Raises SiaError for what fails."""


def finding(check: str, look: Look) -> CheckResult:
    """The finding of one look; an error of ours is a failed check with the error's own words."""
    try:
        seen = look()
    except SiaError as error:
        return CheckResult(check=check, result="fail", found=str(error))
    result, found = ("pass", seen) if isinstance(seen, str) else seen
    return CheckResult(check=check, result=result, found=found)


def project_findings(projects: Sequence[CommandProject]) -> tuple[CheckResult, ...]:
    """What holds for all of these loops, whatever the window: five checks, none of which costs anything."""
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
    return f"templates and functions are there (evaluators: {count})"


def _credentials(projects: Sequence[CommandProject]) -> str:
    """The variables, never their values."""
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
    told = []
    for project in projects:
        in_force = project.policies.in_force()
        told.append(f"{project.loop.name}: {f'version {in_force.version}' if in_force else 'no policy promoted yet'}")
    return f"{projects[0].file.storage} ({'; '.join(told)})"


def _endpoint(projects: Sequence[CommandProject]) -> str | tuple[Result, str]:
    """Also looks for the configured models among those that the endpoint lists."""
    with _reached(projects[0]) as llm:
        models: dict[tuple[str, str | None], set[str]] = {}
        settings = {}
        for stage, names in _models(projects).items():
            found = llm.at(stage)
            models.setdefault((found.base_url, found.api_key), set()).update(names)
            settings[found.base_url, found.api_key] = found
        seen = [_probed(found, models[at]) for at, found in settings.items()]
    result: Result = "warn" if any(worse for worse, _ in seen) else "pass"
    return result, "; ".join(said for _, said in seen)


def _probed(llm: LLMConfig, models: set[str]) -> tuple[bool, str]:
    """Whether something may be wrong with one endpoint, and what was found. Raises SiaError where it is no use."""
    listed = asyncio.run(list_models(llm, api_key=require(llm.api_key) if llm.api_key else None))
    address = public_address(llm)
    if listed is None:
        return False, f"{address} answers; it does not list its models"
    if missing := sorted(models - set(listed)):
        return True, f"{address} answers, but does not list {', '.join(missing)}: look for a wrong name"
    return False, f"{address} answers and lists the configured models"


@contextmanager
def _reached(project: CommandProject) -> Iterator[LLMConfig]:
    """The configured endpoint; the demo's is started for the moment, as each of its runs does."""
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
