"""The largest call so far of each stage and model, from which the cost of the next one is predicted."""

from sia_dagster.adapters.engine.money.spend_cap import Amount
from sia_dagster.adapters.engine.wire.completions import answer_limit
from sia_dagster.core.config.llm import Price
from sia_dagster.core.ports.model import ChatReply, ChatRequest
from sia_dagster.core.records.spend import spend_key


class LargestCalls:
    """By stage and model; the next calls are expected to be no larger."""

    def __init__(self) -> None:
        self._largest: dict[str, tuple[float, int]] = {}

    def knows(self, request: ChatRequest) -> bool:
        """Whether a call of this stage and model was answered before."""
        return ledger_key(request) in self._largest

    def learn(self, key: str, estimated_prompt: int, reply: ChatReply) -> None:
        """Take an answer into account; `key` is its `ledger_key`."""
        ratio, completion = self._largest.get(key, (0.0, 0))
        ratio = max(ratio, reply.prompt_tokens / max(1, estimated_prompt))
        self._largest[key] = ratio, max(completion, reply.completion_tokens)

    def expected(
        self, request: ChatRequest, estimated_prompt: int, price: Price | None, *, batch: bool = False
    ) -> Amount:
        """The most that the request is expected to take: its prompt where no call is known, 0 USD without a price."""
        ratio, completion = self._largest.get(ledger_key(request), (1.0, 0))
        completion = min(completion, answer_limit(request) or completion)
        prompt = estimated_prompt * ratio
        return Amount(price.cost(prompt, completion, batch=batch) if price else 0.0, prompt + completion)


def ledger_key(request: ChatRequest) -> str:
    """The line of the ledger for `request`: its stage and model."""
    return spend_key(request.stage, request.model)
