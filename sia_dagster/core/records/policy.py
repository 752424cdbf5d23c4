"""A policy (`Actions`), its examples, and its share of a window's traffic."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from pydantic import Field

from sia_dagster.core.records.sample import Message
from sia_dagster.core.records.value import JsonObject, Value, fingerprint


class Example(Value):
    """One demonstration that a policy shows the model before the chat."""

    input: str
    output: str


class Actions(Value):
    """A policy: everything about the call that the loop may change, and the contract that it must keep."""

    system_prompt: str = ""
    model: str = ""
    parameters: JsonObject = Field(default_factory=dict)
    examples: tuple[Example, ...] = ()
    tools: tuple[JsonObject, ...] = ()
    variables: tuple[str, ...] = ()
    """Names that stand in the prompt as `{name}` or `{{name}}` and are filled in at each call."""

    @property
    def words(self) -> tuple[str, tuple[Example, ...]]:
        """What it tells the model: its prompt and its examples."""
        return self.system_prompt, self.examples

    @property
    def fingerprint(self) -> str:
        """Of the whole policy; equal policies have equal fingerprints."""
        return fingerprint(self.model_dump(mode="json"))

    def render(self, variables: Mapping[str, str] | None = None) -> str:
        """The system prompt filled in. Values are text: a value that holds `{name}` is not filled again.

        Raises KeyError with the missing names.
        """
        given = variables or {}
        if missing := sorted(set(self.variables) - set(given)):
            raise KeyError(f"the policy's prompt needs the variables {missing}")
        if not self.variables:
            return self.system_prompt
        names = "|".join(re.escape(name) for name in sorted(self.variables, key=len, reverse=True))
        pattern = re.compile(r"\{\{\s*(" + names + r")\s*\}\}|\{(" + names + r")\}")
        return pattern.sub(lambda m: str(given[m.group(1) or m.group(2)]), self.system_prompt)

    def messages(self, variables: Mapping[str, str] | None = None, history: Sequence[Message] = ()) -> list[JsonObject]:
        """The chat in wire form: system prompt, examples, then `history`. Raises KeyError as `render`."""
        prompt = self.render(variables)
        head: list[JsonObject] = [{"role": "system", "content": prompt}] if prompt else []
        for example in self.examples:
            head += [{"role": "user", "content": example.input}, {"role": "assistant", "content": example.output}]
        return head + [message.to_openai() for message in history]


class SentenceOrigin(Value):
    """A sentence of a prompt that the loop wrote, and what it rests on."""

    text: str
    window: str
    """The key of the window whose search wrote it."""
    strategy: str = ""
    samples: tuple[str, ...] = ()
    """Span ids of the samples that motivated it."""
    cause: str = ""
    """What evaluators said of those samples; empty where it answers to no single cause."""
    probed: int = 0
    """Samples of the train split with that cause which were answered again with it."""
    mended: int = 0
    """Those of `probed` of which evaluators no longer said it."""
    gain: float | None = None
    """Of the race that adopted it, with what was adopted beside it: shrunk, a share of the primary evaluator's range.
    None where it was not raced."""


class PolicyShare(Value):
    """One prompt of a window, and its share of the window's samples."""

    system_prompt: str
    """Its template where it is known, else the text as it was sent."""
    variables: tuple[str, ...] = ()
    origin: Literal["registry", "recorded", "recovered", "as_sent"]
    """How the samples were attributed: to a version of the registry, by the template that the spans record, by a
    template recovered from the filled prompts, or by the text itself."""
    version: int | None = None
    """The registry's version with this prompt, the newest of several."""
    in_force: bool = False
    """Whether this is the prompt of the policy that the loop starts from."""
    same_call: bool = True
    """Whether it is a version of the prompt in force; other calls of the application are left out."""
    samples: int
    share: float
    """Of the window's readable samples, 0..1."""
    names: dict[str, int] = Field(default_factory=dict)
    """Samples by the span's name."""
    models: dict[str, int] = Field(default_factory=dict)
    """Samples by model."""
    first: datetime
    last: datetime
