"""The configuration as frozen values: one model for each section of `sia.yaml`."""

import re
from datetime import date
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, model_validator

from sia_dagster.core.config.fields import Name, Rails, SecretName, Section, Timezone, user_of
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.config.trace_source import TracesConfig
from sia_dagster.core.config.validation import ValidationConfig, WatchConfig
from sia_dagster.core.records.value import JsonObject

WindowKind = Literal["hourly", "daily", "weekly", "monthly"]

LAST_DAY_OF_EVERY_MONTH: Final = 28

PublishTarget = Literal["file", "arize_prompt_hub", "arize_experiments", "phoenix_prompts"]

_PLATFORM_OF: Final[dict[str, str]] = {
    "arize_prompt_hub": "arize",
    "arize_experiments": "arize",
    "phoenix_prompts": "phoenix",
}
"""A target takes its connection from the trace store of the same platform."""


class _EvaluatorConfig(Section):
    name: Name
    margin: float | None = Field(default=None, gt=0, lt=1)
    """The largest loss as a guardrail that must be ruled out, as a share of its range; by default
    `validation.guardrail_margin`."""
    safety: bool = False
    """Whether it vetoes: a candidate under which one held-out conversation falls is rejected, whatever it gains."""


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
    not_applicable: Literal["error", "allowed"] = "error"
    """`allowed`: None means that the evaluator does not apply to an answer, which is no failure."""


class PlatformConfig(_RangeConfig):
    """Scores that the traces already hold: people's annotations (`annotation.<name>.*`), else `eval.<name>.*`."""

    kind: Literal["platform"]


EvaluatorConfig = Annotated[LLMClassifyConfig | CodeConfig | PlatformConfig, Field(discriminator="kind")]


StrategyName = Annotated[
    str, Field(pattern=r"^(edits|reflection|few_shot|rewrite|model|gepa|[A-Za-z_][\w.]*:[A-Za-z_]\w*)$")
]


class ModelChoice(Section):
    """A model that may take the place of the one in force."""

    model: str = Field(min_length=1)
    parameters: JsonObject = Field(default_factory=dict)
    """Of the call, such as `temperature`; those that are not given stay as they are, and null takes one away."""


class PolicyConfig(Section):
    """How a better policy is searched."""

    updater: StrategyName | tuple[StrategyName, ...] = "edits"
    """The search strategy, or several, which share the search's cap and start from what the one before has found:
    `edits`, `few_shot`, `rewrite`, `model`, `gepa`, or a class of your own, written `package.module:Class`.
    `reflection` is another name of `edits`."""
    model: str
    """The model that proposes."""
    search_calls: int = Field(default=300, ge=1, le=100_000)
    """Most answers of models that the search of a window may take, stored ones included, over proposing, replaying and
    judging."""
    search_usd: float | None = Field(default=None, gt=0)
    """The same in USD, by the prices that are known. The step that passes it is finished."""
    search_minutes: float = Field(default=120.0, gt=0)
    """A strategy that has not ended by then is stopped; what it has found counts."""
    guard_model: str | None = Field(default=None, min_length=1)
    """A model that is asked once a window whether the chosen edits serve the evaluators' criteria or somebody else;
    unless it answers `criteria`, a person must look. By default none is asked."""
    candidates: int = Field(default=3, ge=1, le=16)
    """Whole prompts that `rewrite` proposes, and sets of the best number of examples that `few_shot` compares."""
    models: tuple[ModelChoice, ...] = ()
    """The models that the strategy `model` tries: with the same prompt, whether one is as good for less money."""
    max_prompt_tokens: int = Field(default=1500, ge=50)
    """Of the candidate's system prompt."""
    max_context_tokens: int = Field(default=12_000, ge=1000)
    """Of the updater model's prompt."""
    protected: tuple[str, ...] = ()
    """Passages of the system prompt that every candidate keeps, letter for letter."""
    max_extra_usd_a_week: float | None = Field(default=None, ge=0)
    """What a candidate's longer prompt may cost more in a week of the window's traffic; by default any amount."""

    @property
    def strategies(self) -> tuple[str, ...]:
        """The search strategies in their order, each once."""
        given = (self.updater,) if isinstance(self.updater, str) else self.updater
        return tuple(dict.fromkeys("edits" if name == "reflection" else name for name in given))


class NotifyConfig(Section):
    """Who is notified of a failed run and of a window that waits for approval."""

    webhook: SecretName | None = None
    """Written `${NAME}`: the URL may hold a token."""


class LoopConfig(Section):
    """One self-improving loop."""

    name: Name
    """Key prefix, group and job name of the loop."""
    traces: TracesConfig
    """Where the traces are: `source`, and what the source needs."""
    window: WindowKind = "weekly"
    """`hourly`, `daily`, `weekly` or `monthly`."""
    start: date
    """First day of the first window; weekly windows begin on its weekday."""
    timezone: Timezone = "UTC"
    """IANA time zone of the windows."""
    sample_limit: int = Field(default=200, ge=1)
    """Calls a window that are evaluated and replayed."""
    evaluators: tuple[EvaluatorConfig, ...] = Field(min_length=1)
    """Evaluators: `name`, `kind`, and what the kind needs."""
    write_back: bool = False
    """Whether evaluations go back to the trace store."""
    policy: PolicyConfig
    """How a better policy is searched: updater, model, limits."""
    validation: ValidationConfig
    """How a candidate is compared with the policy in force: `primary`, `alpha`, `min_effect`, ..."""
    watch: WatchConfig = WatchConfig()
    """How the judges are watched: `anchors`, `tolerance`, `probes`."""
    promotion: Literal["manual", "auto"] = "manual"
    """`auto` promotes an accepted policy; `manual` waits for a person."""
    publish: tuple[PublishTarget, ...] = ("file",)
    """Where a promoted policy is put besides the registry, which always has it."""
    prompt_name: str | None = Field(default=None, min_length=1)
    """The prompt's name on the platforms of `publish`; by default the loop's name."""
    notify: NotifyConfig = NotifyConfig()
    """Who is notified of a failed run and of a window that waits for approval."""

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
            raise ValueError(f"validation.primary: {self.validation.primary!r} is not one of the evaluators {names}")
        if primary.kind == "platform":
            raise ValueError(
                f"validation.primary: {primary.name!r} is a platform score, which a replayed output cannot have; "
                "choose an llm_classify or code evaluator"
            )
        if unable := [e.name for e in self.evaluators if e.kind == "platform" and e.safety]:
            raise ValueError(
                f"evaluators: {unable[0]!r} is a platform score, which a replayed output cannot have, so it cannot "
                "veto; choose an llm_classify or code evaluator for safety"
            )
        if primary.safety:
            raise ValueError(f"evaluators: {primary.name!r} cannot be both the primary evaluator and a safety one")
        return self

    @model_validator(mode="after")
    def _platform_is_at_hand(self) -> "LoopConfig":
        source = self.traces.source
        if self.write_back and source == "local":
            raise ValueError("write_back: local traces are files; set it to false")
        for target in self.publish:
            if _PLATFORM_OF.get(target, source) != source:
                raise ValueError(
                    f"publish: {target} takes its connection from traces.source: {_PLATFORM_OF[target]}, "
                    f"and this loop's is {source}"
                )
        if "phoenix_prompts" in self.publish and not re.fullmatch(r"[a-z0-9]([_a-z0-9-]*[a-z0-9])?", self.prompt):
            raise ValueError(
                f"prompt_name: Phoenix takes no prompt named {self.prompt!r}; write small letters and digits, "
                "with _ and - between them"
            )
        return self

    @property
    def prompt(self) -> str:
        """The policy's name on the platforms of `publish`."""
        return self.prompt_name or self.name


class ProjectConfig(Section):
    """The whole of `sia.yaml`."""

    model_config = ConfigDict(hide_input_in_errors=True)  # An address may come with a password.

    storage: str = ".sia"
    """Folder or fsspec URL of assets, policies and reports."""
    llm: LLMConfig = LLMConfig()
    """The model endpoint: address, key, limits, spend caps, prices."""
    loops: tuple[LoopConfig, ...] = Field(min_length=1)
    executor: Literal["in_process", "multiprocess"] = "in_process"

    @model_validator(mode="after")
    def _addresses_hold_no_password(self) -> "ProjectConfig":
        """Definitions are shown in the UI, and the storage's address stands in the registry and in reports."""
        for stage in ("", *self.llm.stages):
            if user_of(self.llm.at(stage).base_url):
                section = f"llm.stages.{stage}" if stage else "llm"
                raise ValueError(f"{section}.base_url: it comes with a user, which would be shown; write it as api_key")
        if ":" in user_of(self.storage):
            raise ValueError(
                "storage: it comes with a password, which would be shown; leave it out and set it as fsspec reads it, "
                "such as FSSPEC_SFTP_PASSWORD"
            )
        return self

    @model_validator(mode="after")
    def _loops_differ(self) -> "ProjectConfig":
        names = [loop.name for loop in self.loops]
        if repeated := sorted({n for n in names if names.count(n) > 1}):
            raise ValueError(f"loops: {repeated} are named twice")
        return self
