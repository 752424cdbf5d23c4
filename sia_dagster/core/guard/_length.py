"""How long a prompt may be, and what a longer one may cost at the window's traffic."""

from sia_dagster.core.guard._guard_input import GuardInput
from sia_dagster.core.prompting import estimate_tokens
from sia_dagster.core.records.policy import Actions


def keeps_length(case: GuardInput) -> str | None:
    """Why the prompt is empty or too long; None otherwise. One no longer than the policy in force is not too long.

    Prompt and examples count. Tokens are those of `prompting.estimate_tokens`, before variables are filled in.
    """
    if case.baseline.system_prompt.strip() and not case.candidate.system_prompt.strip():
        return "length: the candidate's prompt is empty"
    tokens, before, most = prompt_tokens(case.candidate), prompt_tokens(case.baseline), case.limits.max_prompt_tokens
    if tokens > max(most, before):
        examples = f", {len(case.candidate.examples)} examples included" if case.candidate.examples else ""
        return (
            f"length: about {tokens} tokens{examples}, and policy.max_prompt_tokens allows {most} "
            f"(the policy in force has about {before})"
        )
    return None


def keeps_cost(case: GuardInput) -> str | None:
    """Why the candidate's longer prompt may cost too much a week; None where it does not or any cost is allowed.

    Extra tokens times the calls of a week times the price of a prompt token, without a discount for cached prompts.
    """
    limits = case.limits
    if limits.max_extra_usd_a_week is None:
        return None
    if case.candidate.model != case.baseline.model:
        return (
            f"cost: the candidate asks the model {case.candidate.model!r}, and policy.max_extra_usd_a_week can only be "
            f"checked at the price of {case.baseline.model!r}"
        )
    extra = prompt_tokens(case.candidate) - prompt_tokens(case.baseline)
    if extra <= 0:
        return None
    if limits.usd_per_prompt_token is None:
        return (
            f"cost: about {extra} more tokens a call, and policy.max_extra_usd_a_week cannot be checked without the "
            f"price of {case.baseline.model!r}: name it in llm.prices"
        )
    usd = extra * limits.calls_a_week * limits.usd_per_prompt_token
    if usd <= limits.max_extra_usd_a_week:
        return None
    return (
        f"cost: about {extra} more tokens in each of {limits.calls_a_week:,.0f} calls a week are {usd:,.2f} USD a "
        f"week, and policy.max_extra_usd_a_week allows {limits.max_extra_usd_a_week:,.2f}"
    )


def prompt_tokens(actions: Actions) -> int:
    """Estimated tokens that a policy adds to each call, before its variables are filled in."""
    examples = sum(estimate_tokens(each.input) + estimate_tokens(each.output) for each in actions.examples)
    return estimate_tokens(actions.system_prompt) + examples
