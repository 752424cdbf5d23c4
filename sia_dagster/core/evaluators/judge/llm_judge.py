"""The judge: a template, rails and an explanation, answered as structured output."""

import json
import re
from functools import cached_property
from typing import Any

from pydantic import Field

from sia_dagster.core.config.loop import LLMClassifyConfig
from sia_dagster.core.errors import ConfigError, EvaluatorError
from sia_dagster.core.evaluators.judge.judge_template import parse_judge_template, sample_texts
from sia_dagster.core.evaluators.judge.labels import folded, rail_of
from sia_dagster.core.ports.model import ChatModel, ChatRequest
from sia_dagster.core.prompting import NOTICE, Answer, Form, StructuredCalls
from sia_dagster.core.prompting.prompts import load_prompt
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.value import JsonObject, Value, fingerprint

_LABEL_LINE = "LABEL:"

_LINE = re.compile(r"[*_`\"'#\s-]*label[*_`\"']*\s*[:\uff1a](?P<label>.*)", re.IGNORECASE)


class JudgeSpec(Value):
    """Everything that a judge's answer depends on, but the text that is judged."""

    name: str
    model: str
    template: str
    """The template's text; trace text is quoted in it."""
    rails: dict[str, float | None] = Field(min_length=2)
    """The labels it may answer with, and the score of each; None where a label has no score."""
    provide_explanation: bool = True

    @classmethod
    def of(cls, config: LLMClassifyConfig, template: str) -> "JudgeSpec":
        """The judge that a configuration describes; `template` is its text."""
        return cls(
            name=config.name,
            model=config.model,
            template=template,
            rails=dict(config.rails),
            provide_explanation=config.provide_explanation,
        )

    @property
    def system(self) -> str:
        """The judge's system message: its task, the labels and what quotes are."""
        labels = ", ".join(json.dumps(label, ensure_ascii=False) for label in self.rails)
        return load_prompt("judge_system").replace("{labels}", labels).replace("{notice}", NOTICE)

    @property
    def form(self) -> Form:
        """How it answers: the explanation before the label, so that it reasons before it decides."""
        label: JsonObject = {"label": {"type": "string", "enum": list(self.rails)}}
        properties = {"explanation": {"type": "string"}, **label} if self.provide_explanation else label
        required = list(properties)
        return Form(
            name="classification",
            shape={"type": "object", "properties": properties, "required": required, "additionalProperties": False},
            text_instruction=self._text_instruction,
            read_text=read_label_line,
        )

    @property
    def _text_instruction(self) -> str:
        labels = " | ".join(self.rails)
        if self.provide_explanation:
            return f"Write your explanation first. The last line of your answer is:\n{_LABEL_LINE} {labels}"
        return f"Answer with this line alone:\n{_LABEL_LINE} {labels}"

    def labels(self) -> dict[str, str]:
        """The rails by their folded form. Raises ConfigError for two rails that differ in case or blanks alone."""
        labels = {folded(label): label for label in self.rails}
        if len(labels) < len(self.rails):
            raise ConfigError(f"two of the rails {list(self.rails)} of {self.name!r} differ in case or blanks alone")
        return labels

    @property
    def fingerprint(self) -> str:
        """Of all that shapes the answer: template, rails in order, model, schema, system message and instruction."""
        form = self.form
        return fingerprint(
            {
                "kind": "llm_classify",
                "model": self.model,
                "template": self.template,
                "rails": list(self.rails.items()),
                "system": self.system,
                "schema": form.shape,
                "text_instruction": form.text_instruction,
            }
        )


def read_label_line(text: str) -> JsonObject | None:
    """A plain answer whose last line is `LABEL: <label>`, the explanation before it; None for any other.

    The line may be in bold, in quotation marks, an item or a heading, and a code fence may end behind it. Lines that
    are quoted with `>` are not the last.
    """
    lines = text.strip().rstrip("`~ \n").splitlines()
    while lines and (not lines[-1].strip() or lines[-1].lstrip().startswith(">")):
        lines.pop()
    found = _LINE.fullmatch(lines[-1].strip()) if lines else None
    return {"explanation": "\n".join(lines[:-1]).strip(), "label": found["label"].strip()} if found else None


class Judge:
    """Asks a model to classify texts. One instance serves all workers: what the endpoint refuses is learned once."""

    def __init__(self, spec: JudgeSpec, chat: ChatModel) -> None:
        """Raises ConfigError for rails that differ in case or blanks alone."""
        spec.labels()
        self._spec = spec
        self._calls = StructuredCalls(chat, spec.form)
        self._system, self._fingerprint = spec.system, spec.fingerprint

    async def classify(self, text: str, draw: str) -> EvalMetrics:
        """Classify by `text`, the template filled in. A failure of this row is a value with `error`.

        Raises what must stop the stage: EndpointRefused, SpendCapReached.
        """
        messages = ({"role": "system", "content": self._system}, {"role": "user", "content": text})
        request = ChatRequest(
            model=self._spec.model, messages=messages, parameters={"temperature": 0}, draw=draw, stage="judge"
        )
        return self._metrics(await self._calls.ask(request))

    def failed(self, problem: str) -> EvalMetrics:
        """The value of a row about which the model cannot be asked."""
        return self._row(Answer(), error=problem)

    def _row(self, answer: Answer, **fields: Any) -> EvalMetrics:
        return EvalMetrics(
            name=self._spec.name,
            fingerprint=self._fingerprint,
            source="llm_classify",
            attempts=answer.attempts,
            cost_usd=answer.cost_usd,
            **fields,
        )

    def _metrics(self, answer: Answer) -> EvalMetrics:
        if answer.content is None:
            return self._row(answer, error=answer.problem)
        given, explanation = answer.content.get("label"), answer.content.get("explanation")
        label = rail_of(given, self._spec.rails)
        if label is None:
            problem = f"the answer {str(given)[:80]!r} is not one of the rails {list(self._spec.rails)}"
            return self._row(answer, error=problem)
        reason = explanation if isinstance(explanation, str) and explanation else None
        return self._row(answer, label=label, score=self._spec.rails[label], explanation=reason)


class LLMClassify:
    """An evaluator that asks a judge. Implements `Evaluator`."""

    def __init__(self, spec: JudgeSpec, chat: ChatModel | None, *, primary: bool = False) -> None:
        """Without `chat` it cannot score. Raises ConfigError for a template or rails that cannot be used."""
        self._template = parse_judge_template(spec.template)
        spec.labels()
        self._spec, self._primary = spec, primary
        self._judge = Judge(spec, chat) if chat is not None else None

    @cached_property
    def constant(self) -> EvalConstant:
        """Its criteria are the template, its range that of the rails' scores."""
        rails = {label: score for label, score in self._spec.rails.items() if score is not None}
        return EvalConstant(
            name=self._spec.name,
            kind="llm_classify",
            fingerprint=self._spec.fingerprint,
            criteria=self._spec.template,
            rails=rails,
            low=min(rails.values(), default=0.0),
            high=max(rails.values(), default=1.0),
            primary=self._primary,
        )

    async def score(self, sample: Sample, draw: str) -> EvalMetrics:
        """Ask the judge about `sample.output`. A sample that lacks what the template names is an error of its row."""
        if self._judge is None:
            raise ConfigError(f"the evaluator {self._spec.name!r} was built without a model endpoint: it cannot score")
        try:
            text = self.question(sample)
        except EvaluatorError as error:
            return self._judge.failed(str(error))
        return await self._judge.classify(text, draw)

    def question(self, sample: Sample) -> str:
        """The template filled in for `sample`. Raises EvaluatorError for a missing variable."""
        return self._template.fill(sample_texts(sample, self._template.names))
