"""The configuration as frozen values: one model for each section of `sia.yaml`."""

import re
from datetime import date
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from sia_dagster.core.models import Value

WindowKind = Literal["hourly", "daily", "weekly", "monthly"]
LAST_DAY_OF_EVERY_MONTH: Final = 28


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise ValueError(
            f"{value!r} must be letters, digits and underscores: trace stores drop evaluations whose name holds "
            "a hyphen or a dot"
        )
    return value


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"{value!r} is no IANA time zone such as 'Europe/Berlin'") from error
    return value


def _rails(value: object) -> object:
    """Accept `{label: score}`, a list of numbers, or a range such as `1..5`."""
    if isinstance(value, str) and (match := re.fullmatch(r"(-?\d+)\.\.(-?\d+)", value.strip())):
        first, last = int(match[1]), int(match[2])
        return {str(number): float(number) for number in range(first, last + 1)}
    if isinstance(value, list):
        return {str(number): number for number in value}
    if isinstance(value, dict):
        return {str(label): score for label, score in value.items()}
    return value


Name = Annotated[str, AfterValidator(_name)]
Timezone = Annotated[str, AfterValidator(_timezone)]
Rails = Annotated[dict[str, float], BeforeValidator(_rails)]
SecretName = str
"""The *name* of the environment variable that holds a secret; its value is read where a client is built."""


class _Section(Value):
    """A section of the file. Its numbers are finite: YAML has `.nan` and `.inf`, under which no rule means anything."""

    model_config = ConfigDict(allow_inf_nan=False)


class Price(_Section):
    """USD for a million tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)


class LLMConfig(_Section):
    """The endpoint that judges, replays and proposes."""

    base_url: str = "https://api.openai.com/v1"
    api_key: SecretName | None = None
    """Written `${NAME}` in the file; None for an endpoint without keys."""
    max_concurrency: int = Field(default=32, ge=1, le=1024)
    budget_usd: float | None = Field(default=None, gt=0)
    """A window's cap over judge, replay and updater."""
    budget_tokens: int | None = Field(default=None, gt=0)
    timeout_seconds: float = Field(default=60.0, gt=0)
    """Of one attempt."""
    max_attempts: int = Field(default=5, ge=1, le=20)
    prices: dict[str, Price] = Field(default_factory=dict)
    """By model name; goes before the built-in table."""


class TracesConfig(_Section):
    """Where a loop's traces are."""

    source: Literal["local"]
    path: str
    """A file, a folder or a glob of Parquet, JSONL or JSON with the columns of Arize's export."""
    where: str = ""


class _EvaluatorConfig(_Section):
    name: Name


class LLMClassifyConfig(_EvaluatorConfig):
    """A judge: template, rails, explanation."""

    kind: Literal["llm_classify"]
    model: str
    template: str
    """A file beside the configuration, one of the built-in judges (`correctness`), or the text itself."""
    rails: Rails = Field(min_length=2)
    provide_explanation: bool = True

    @model_validator(mode="after")
    def _rails_differ(self) -> "LLMClassifyConfig":
        if len(set(self.rails.values())) < 2:
            raise ValueError("rails need at least two different scores")
        return self


class _RangeConfig(_EvaluatorConfig):
    low: float = 0.0
    high: float = 1.0

    @model_validator(mode="after")
    def _low_is_below_high(self) -> "_RangeConfig":
        if self.low >= self.high:
            raise ValueError(f"high: {self.high:g} is not above low, {self.low:g}; write the evaluator's whole range")
        return self


class CodeConfig(_RangeConfig):
    """A function of one sample."""

    kind: Literal["code"]
    function: str = Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    """`package.module:function`."""
    timeout_seconds: float = Field(default=30.0, gt=0)


class PlatformConfig(_RangeConfig):
    """Scores that the traces already carry as `eval.<name>.*`."""

    kind: Literal["platform"]


EvaluatorConfig = Annotated[LLMClassifyConfig | CodeConfig | PlatformConfig, Field(discriminator="kind")]


class PolicyConfig(_Section):
    """How a better policy is searched."""

    updater: Literal["reflection"] = "reflection"
    model: str
    candidates: int = Field(default=3, ge=1, le=16)
    max_prompt_tokens: int = Field(default=1500, ge=50)
    """Of the candidate's system prompt."""
    max_context_tokens: int = Field(default=12_000, ge=1000)
    """Of what the updater model is shown."""


class ValidationConfig(_Section):
    """How a candidate is compared with the policy in force."""

    primary: Name
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    min_effect: float = Field(default=0.02, ge=0, lt=1)
    """The smallest gain worth shipping, as a share of the primary evaluator's range."""
    guardrail_margin: float = Field(default=0.05, gt=0, lt=1)
    """How much any other evaluator may be shown not to have lost, as a share of its range."""
    repeats: int = Field(default=1, ge=1, le=10)
    max_unscored_share: float = Field(default=0.2, ge=0, le=1)
    """Above this share of failed rows a stage fails, after saving what it has."""


class NotifyConfig(_Section):
    """Who hears of a failed run and of a window that waits for approval."""

    webhook: SecretName | None = None
    """Written `${NAME}`: the URL may hold a token."""


class LoopConfig(_Section):
    """One self-improving loop."""

    name: Name
    traces: TracesConfig
    window: WindowKind = "weekly"
    start: date
    timezone: Timezone = "UTC"
    sample_limit: int = Field(default=200, ge=1)
    evaluators: tuple[EvaluatorConfig, ...] = Field(min_length=1)
    write_back: bool = False
    policy: PolicyConfig
    validation: ValidationConfig
    promotion: Literal["manual", "auto"] = "manual"
    publish: tuple[Literal["file"], ...] = ("file",)
    notify: NotifyConfig = NotifyConfig()

    @model_validator(mode="after")
    def _every_month_has_its_day(self) -> "LoopConfig":
        if self.window == "monthly" and self.start.day > LAST_DAY_OF_EVERY_MONTH:
            raise ValueError(
                f"start: monthly windows begin on a day that every month has: 1 to {LAST_DAY_OF_EVERY_MONTH}, "
                f"not {self.start.day}"
            )
        return self

    @model_validator(mode="after")
    def _names_fit(self) -> "LoopConfig":
        names = [e.name for e in self.evaluators]
        if repeated := sorted({n for n in names if names.count(n) > 1}):
            raise ValueError(f"evaluators: {repeated} are named twice")
        primary = next((e for e in self.evaluators if e.name == self.validation.primary), None)
        if primary is None:
            raise ValueError(f"validation.primary: {self.validation.primary!r} is none of the evaluators {names}")
        if primary.kind == "platform":
            raise ValueError(
                f"validation.primary: {primary.name!r} is a platform score, which a replayed output cannot have; "
                "choose an llm_classify or code evaluator"
            )
        if self.write_back:
            raise ValueError("write_back: local traces are files; set it to false")
        return self


class ProjectConfig(_Section):
    """The whole of `sia.yaml`."""

    storage: str = ".sia"
    llm: LLMConfig = LLMConfig()
    loops: tuple[LoopConfig, ...] = Field(min_length=1)
    executor: Literal["in_process", "multiprocess"] = "in_process"

    @model_validator(mode="after")
    def _loops_differ(self) -> "ProjectConfig":
        names = [loop.name for loop in self.loops]
        if repeated := sorted({n for n in names if names.count(n) > 1}):
            raise ValueError(f"loops: {repeated} are named twice")
        return self
