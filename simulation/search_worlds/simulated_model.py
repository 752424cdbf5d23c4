"""An in-process `ChatModel` that answers as a world's application, judge and proposing model, and counts answers."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sia_dagster.core.config.llm import Price
from sia_dagster.core.ports.model import ChatReply, ChatRequest
from sia_dagster.core.records.policy import Example
from sia_dagster.core.records.sample import ToolCall
from sia_dagster.core.records.spend import Spend, spend_key
from sia_dagster.core.records.value import JsonObject, Value, fingerprint
from sia_dagster.demo import quotes
from sia_dagster.demo.simulation_rules import draw, pick
from simulation.search_worlds.applications import JUDGE, PRICES, PROPOSER, Truth
from simulation.search_worlds.explanations import Wording, explain
from simulation.search_worlds.proposing import Habits, Proposing
from simulation.search_worlds.reading import read_brief
from simulation.search_worlds.task import Lack, read_policy

JUDGE_ERRS: Final = 0.08
"""The share of judgements that are wrong in a noisy world."""
ANEW: Final = 0.2
"""The share of requests that draw anew at each level, so that a better prompt does worse here and there."""
_PROMPTS: Final = ("prompt", "system_prompt", "new_prompt", "instructions")
"""Fields of an answer that hold a whole prompt."""


class Options(Value):
    """How a world's models behave."""

    seed: int = 0
    noise: bool = False
    """Whether each draw is a new one and the judge errs. Without it an answer depends on the request and on what the
    prompt asks for alone."""
    wording: Wording = Wording()
    habits: Habits = Habits()


class SimulatedModel:
    """Implements `ChatModel`. Its store lasts as long as it does: a stored answer is not counted again."""

    def __init__(self, truth: Truth, options: Options) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()
        """Answers given, by stage and model."""
        self._truth, self._task, self._options = truth, truth.task, options
        self._store: dict[str, ChatReply] = {}
        self._spend: dict[str, Spend] = {}

    @property
    def total(self) -> int:
        """All answers given."""
        return self.calls.total()

    async def complete(self, request: ChatRequest) -> ChatReply:
        key = _key(request)
        if (stored := self._store.get(key)) is not None:
            return self._counted(request, stored.model_copy(update={"cached": True}))
        reply = self._reply(request, key)
        self._store[key] = reply
        self.calls[request.stage, request.model] += 1
        return self._counted(request, reply)

    async def stored(self, requests: Sequence[ChatRequest]) -> Sequence[ChatReply | None]:
        found = [self._store.get(_key(request)) for request in requests]
        return [reply.model_copy(update={"cached": True}) if reply else None for reply in found]

    def ignores_form(self, request: ChatRequest) -> bool:
        return False

    def learn_form(self, request: ChatRequest) -> None:
        """Nothing to learn: every form is answered."""

    def learn_ignored_form(self, request: ChatRequest) -> None:
        """As `learn_form`."""

    def withdraw(self, request: ChatRequest, reply: ChatReply) -> None:
        """No answer comes in another form than was asked for."""

    @property
    def spend(self) -> Mapping[str, Spend]:
        return dict(self._spend)

    def _counted(self, request: ChatRequest, reply: ChatReply) -> ChatReply:
        key = spend_key(request.stage, request.model)
        before = self._spend.get(key, Spend())
        self._spend[key] = Spend(
            calls=before.calls + 1,
            paid_calls=before.paid_calls + (not reply.cached),
            prompt_tokens=before.prompt_tokens + reply.prompt_tokens,
            completion_tokens=before.completion_tokens + reply.completion_tokens,
            cost_usd=round((before.cost_usd or 0.0) + (reply.cost_usd or 0.0), 9),
        )
        return reply

    def _reply(self, request: ChatRequest, key: str) -> ChatReply:
        if request.model == PROPOSER:
            text = self._proposal(request, key)
        elif request.model == JUDGE:
            text = self._judgement(request, key)
        else:
            text = self._answer(request, key)
        calls: tuple[ToolCall, ...] = ()
        if request.tools and (request.model in (PROPOSER, JUDGE)):
            calls = (ToolCall(id="1", name=str(request.tools[0]["function"]["name"]), arguments=text),)
        asked = sum(len(str(message.get("content") or "").split()) for message in request.messages)
        tokens = (asked * 4 // 3 + 4, len(text.split()) * 4 // 3 + 1)
        price: Price = PRICES[request.model]
        return ChatReply(
            text="" if calls else text,
            tool_calls=calls,
            finish_reason="tool_calls" if calls else "stop",
            prompt_tokens=tokens[0],
            completion_tokens=tokens[1],
            cost_usd=price.cost(*tokens),
        )

    def _answer(self, request: ChatRequest, key: str) -> str:
        prompt, examples, asked = _conversation(request.messages)
        seed, reading, right = str(self._options.seed), read_policy(self._task, prompt, examples), {}
        spoiled = self._truth.spoiled(request.model, asked, reading)
        lost = draw(self._task.name, key if self._options.noise else f"{seed}/{asked}", request.model) < spoiled
        for aspect in self._task.aspects(asked, reading):
            anew = draw(self._task.name, seed, asked, aspect.name, "anew") < ANEW
            luck = (key,) if self._options.noise else (seed, asked, aspect.level if anew else "")
            drawn = draw(self._task.name, *luck, aspect.name, request.model)
            right[aspect.name] = drawn < aspect.chance and not lost
        return self._task.compose(asked, right)

    def _judgement(self, request: ChatRequest, key: str) -> str:
        shown = quotes.read("\n".join(str(message["content"]) for message in request.messages)).quotes
        asked, output = shown.get("input", ""), shown.get("output", "")
        lacks = self._task.lacks(asked, output)
        luck = key if self._options.noise else f"{self._options.seed}\n{asked}\n{output}"
        wrong = self._options.noise and draw("judge", luck) < JUDGE_ERRS
        found = self._mistaken(lacks, luck) if wrong else lacks
        said = explain(found, self._options.wording, luck)
        labels = tuple(self._task.rails)
        fields = {"explanation": said, "label": labels[min(len(found), len(labels) - 1)]}
        properties = _properties(request)
        if properties is None:
            return f"{said}\nLABEL: {fields['label']}"
        return json.dumps({name: fields[name] for name in properties if name in fields}, ensure_ascii=False)

    def _mistaken(self, lacks: Sequence[Lack], luck: str) -> tuple[Lack, ...]:
        """The other verdict: a fault that is none, or none."""
        return () if lacks else (Lack(fault=pick(self._task.faults, "judge", luck, "fault"), detail="this"),)

    def _proposal(self, request: ChatRequest, key: str) -> str:
        prompt = "\n".join(str(message["content"]) for message in request.messages)
        properties, brief = _properties(request), read_brief(prompt)
        model = Proposing(self._task, self._options.habits, str(self._options.seed), key)
        if properties is None:
            return f"Here is what I suggest.\n```\n{model.whole_prompt(brief)}\n```"
        return json.dumps(
            {name: _field(name, shape, model, brief) for name, shape in properties.items()}, ensure_ascii=False
        )

    @property
    def pending(self) -> int:
        """Nothing comes in batches."""
        return 0


def _field(name: str, shape: JsonObject, model: Proposing, brief: Any) -> Any:
    """What an answer's field holds: edits, a whole prompt, or something of the field's type."""
    if name == "edits":
        wanted = shape.get("items", {}).get("properties", {})
        empty = {other: _empty(kind) for other, kind in wanted.items()}
        return [
            {**empty, **{n: v for n, v in edit.items() if n in wanted or not wanted}} for edit in model.edits(brief)
        ]
    if name == "faults":
        return model.faults(brief)
    if name in _PROMPTS:
        return model.whole_prompt(brief)
    return "I looked for what is named most." if name == "thoughts" else _empty(shape)


def _empty(shape: JsonObject) -> Any:
    if "enum" in shape:
        return shape["enum"][0]
    return {"array": [], "integer": 0, "number": 0, "boolean": False, "object": {}}.get(str(shape.get("type")), "")


def _properties(request: ChatRequest) -> Mapping[str, JsonObject] | None:
    """The fields of the form that was asked for; None for plain text."""
    form = request.response_format or {}
    if form.get("type") == "json_schema":
        found: Mapping[str, JsonObject] = form["json_schema"]["schema"]["properties"]
        return found
    if request.tools:
        asked: Mapping[str, JsonObject] = request.tools[0]["function"]["parameters"]["properties"]
        return asked
    return None


def _conversation(messages: Sequence[JsonObject]) -> tuple[str, tuple[Example, ...], str]:
    """The system prompt, the examples and the request: a world's requests have no history."""
    prompt = "\n".join(str(m["content"]) for m in messages if m["role"] == "system")
    said = [str(m["content"]) for m in messages if m["role"] in ("user", "assistant")]
    shown = tuple(Example(input=said[i], output=said[i + 1]) for i in range(0, len(said) - 1, 2))
    return prompt, shown, said[-1] if said else ""


def _key(request: ChatRequest) -> str:
    return fingerprint(request.model_dump(mode="json", exclude={"stage"}))
