"""The words in which endpoints report why a generation ended, and OpenAI's word for each."""

from typing import Final, Literal

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]

_WORDS: Final[dict[FinishReason, str]] = {
    # OpenAI, Hugging Face TGI, Anthropic, Cohere, Gemini and Vertex, xAI; gateways
    "stop": (
        "stop stopped eos eos_token end_turn endturn stop_sequence stop_token complete completed finish finished done"
    ),
    # Anthropic, Gemini, the Responses API, Mistral, z.AI; vLLM ends a text that repeats itself
    "length": "length max_tokens max_output_tokens max_length model_length model_context_window_exceeded repetition",
    # Anthropic and Bedrock, Cohere, OpenAI's older API
    "tool_calls": "tool_calls tool_call tool_use function_call",
    # Azure; Gemini and Vertex; Bedrock; Cohere; z.AI; Anthropic
    "content_filter": (
        "content_filter content_filtered safety recitation blocklist prohibited_content spii language image_safety "
        "guardrail_intervened error_toxic sensitive refusal"
    ),
}
"""The words of a generation that ended. Any other (`error`, `abort`, `cancelled`, `malformed_function_call`,
`insufficient_system_resource`, `network_error`, `other`, one that is not known) is that of a failed one."""

_OF_WORD: Final = {word: reason for reason, words in _WORDS.items() for word in words.split()}


def finish_reason_of(word: str) -> FinishReason | None:
    """OpenAI's word for an endpoint's, whatever its case and separators; None for that of a failed generation.

    An enum's class in front of the word (`FinishReason.STOP`, `FINISH_REASON_STOP`) and what follows it behind a colon
    (`content_filter: PROHIBITED_CONTENT`) are ignored.
    """
    plain = word.partition(":")[0].strip().rpartition(".")[2].casefold().replace("-", "_")
    return _OF_WORD.get(plain.removeprefix("finish_reason_"))
