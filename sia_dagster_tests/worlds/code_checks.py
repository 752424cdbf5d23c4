"""One check of an answer in the forms that users write: a function, and objects that are called."""

from typing import Any

from sia_dagster.core.config.loop import CodeConfig
from sia_dagster.core.records.sample import Sample


def config(**fields: Any) -> CodeConfig:
    """An evaluator that such a check plays; `fields` replace what it holds."""
    return CodeConfig(**{"name": "brief", "kind": "code", "function": "my_checks:is_brief", **fields})


def is_brief(item: Sample) -> bool:
    """Whether the answer has at most five words."""
    return len(item.output.split()) <= 5


class Brief:
    def __call__(self, item: Sample) -> bool:
        return is_brief(item)


class BriefAsync:
    async def __call__(self, item: Sample) -> bool:
        return is_brief(item)
