"""The `llm` section of `sia.yaml`: endpoints, limits, caps and prices."""

from typing import Annotated, Final, Literal, get_args

from pydantic import ConfigDict, Field, field_validator, model_validator

from sia_dagster.core.config.fields import DatabaseAddress, SecretName, Section

Stage = Literal["judge", "replay", "update"]
"""The purpose of a model call: evaluation, replay of the application's calls, or the search for a policy."""

STAGES: Final[tuple[Stage, ...]] = get_args(Stage)

Provider = Literal["openai", "azure"]

Mode = Literal["direct", "batch"]

_OPENAI: Final = "https://api.openai.com/v1"

_OF_AN_ADDRESS: Final = {
    "provider": "openai",
    "api_version": None,
    "api_key": None,
    "requests_per_minute": None,
    "tokens_per_minute": None,
}


class Price(Section):
    """USD for a million tokens. Reasoning tokens are output tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached_input: float | None = Field(default=None, ge=0)
    """Of prompt tokens that the endpoint had in its cache; None: the same as `input`."""
    batch_discount: float = Field(default=0.5, ge=0, le=1)
    """The discount of the Batch API, as a share of the price."""

    def micro_usd(self, prompt_tokens: float, completion_tokens: float, cached_tokens: float = 0) -> float:
        """What the tokens cost in millionths of a USD, without a batch discount.

        `cached_tokens` are those of `prompt_tokens` that the endpoint had in its cache; completion tokens include those
        of reasoning.
        """
        cached = self.input if self.cached_input is None else self.cached_input
        return (prompt_tokens - cached_tokens) * self.input + cached_tokens * cached + completion_tokens * self.output

    def cost(
        self, prompt_tokens: float, completion_tokens: float, *, cached_tokens: float = 0, batch: bool = False
    ) -> float:
        """What the tokens cost in USD, directly or by the Batch API; see `micro_usd`."""
        full = self.micro_usd(prompt_tokens, completion_tokens, cached_tokens)
        return full * (1 - self.batch_discount if batch else 1) / 1_000_000


class StageEndpoint(Section):
    """The endpoint and limits of one stage's calls; what is not given is as in `llm`.

    With an address of its own, a stage takes neither key nor provider nor rate limits from `llm`: a key is only sent to
    the address beside which it is configured.
    """

    provider: Provider | None = None
    base_url: str | None = None
    api_version: str | None = None
    api_key: SecretName | None = None
    """Written `${NAME}` in the file."""
    max_concurrency: int | None = Field(default=None, ge=1, le=1024)
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    timeout_seconds: float | None = Field(default=None, gt=0)
    max_attempts: int | None = Field(default=None, ge=1, le=20)
    mode: Mode | None = None
    prices: dict[str, Price] | None = None
    """These override those of `llm`."""


class LLMConfig(Section):
    """The endpoint that judges, replays and proposes."""

    model_config = ConfigDict(hide_input_in_errors=True)  # An address may come with a password.

    provider: Provider = "openai"
    """`openai` is every compatible endpoint; `azure` is Azure OpenAI, where a model is a deployment's name."""
    base_url: str = _OPENAI
    """Address of the OpenAI-compatible API; for Azure `https://<resource>.openai.azure.com`."""
    api_version: str | None = None
    """Required for Azure OpenAI, refused elsewhere."""
    api_key: SecretName | None = None
    """Name of the environment variable that holds the API key, written `${NAME}` in the file; its value is never
    stored. None for an endpoint without keys."""
    max_concurrency: int = Field(default=32, ge=1, le=1024)
    """Model calls in flight at a time."""
    requests_per_minute: int | None = Field(default=None, ge=1)
    """Attempts a minute, over all stages, models and processes of this machine that share the completion store."""
    tokens_per_minute: int | None = Field(default=None, ge=1)
    """Prompt and completion tokens a minute, counted in the same way."""
    budget_usd: float | None = Field(default=None, gt=0)
    """Spend cap of a window in USD, over judge, replay and updater."""
    budget_tokens: int | None = Field(default=None, gt=0)
    """Spend cap of a window in tokens, over judge, replay and updater."""
    timeout_seconds: float = Field(default=60.0, gt=0)
    """Seconds that one attempt may take."""
    max_attempts: int = Field(default=5, ge=1, le=20)
    """Attempts of one call."""
    mode: Mode = "direct"
    """`direct`, or `batch` for the Batch API: half the price, answers within a day."""
    batch_tries: int = Field(default=2, ge=1, le=10)
    """In how many batches a request is sent before it is called directly."""
    batch_poll_seconds: float = Field(default=60.0, ge=1)
    """Seconds between two checks of the batches under way."""
    completions: DatabaseAddress | None = None
    """A Postgres database for the completion store: its URL without a password, or the name of the environment
    variable that holds the URL; None for a file in the storage."""
    prices: dict[str, Price] = Field(default_factory=dict)
    """USD for a million tokens by model, {model: {input, output, cached_input, batch_discount}}; goes before the list
    prices of genai-prices."""
    model_names: dict[str, Annotated[str, Field(min_length=1)]] = Field(default_factory=dict)
    """The endpoint's name of a model that the traces, a policy or an evaluator names otherwise, {other name: name}."""
    stages: dict[str, StageEndpoint] = Field(default_factory=dict)
    """By `judge`, `replay` or `update`: the settings that differ for that stage's calls."""

    @field_validator("stages")
    @classmethod
    def _stages_are_there(cls, stages: dict[str, StageEndpoint]) -> dict[str, StageEndpoint]:
        if unknown := sorted(set(stages) - set(STAGES)):
            raise ValueError(f"there is no stage {unknown[0]!r}; write one of {', '.join(STAGES)}")
        return stages

    @model_validator(mode="after")
    def _azure_is_complete(self) -> "LLMConfig":
        for stage in ("", *self.stages):
            found, where = self.at(stage), f"stages.{stage}." if stage else ""
            if found.provider == "openai" and found.api_version is not None:
                raise ValueError(f"{where}api_version: only `provider: azure` takes one")
            if found.provider == "azure" and not found.api_version:
                raise ValueError(f"{where}api_version: Azure OpenAI needs one, such as 2024-10-21")
            if found.provider == "azure" and found.base_url == _OPENAI:
                raise ValueError(f"{where}base_url: write the resource's address, https://NAME.openai.azure.com")
        return self

    def at(self, stage: str) -> "LLMConfig":
        """The settings of one stage's calls, without `stages`; those of `llm` for any other name."""
        given = self.stages.get(stage, StageEndpoint())
        own = {name: value for name in type(given).model_fields if (value := getattr(given, name)) is not None}
        if "base_url" in own:
            own = _OF_AN_ADDRESS | own
        return self.model_copy(update=own | {"prices": self.prices | (given.prices or {}), "stages": {}})

    def called(self, model: str) -> str:
        """The name under which a model is called, see `model_names`."""
        return self.model_names.get(model, model)

    @property
    def workers(self) -> int:
        """Rows to work on at a time, so that no stage's endpoint waits for rows."""
        return max(self.at(stage).max_concurrency for stage in ("", *self.stages))

    @property
    def batches(self) -> bool:
        """Whether any stage's requests are submitted as batches."""
        return any(self.at(stage).mode == "batch" for stage in STAGES)
