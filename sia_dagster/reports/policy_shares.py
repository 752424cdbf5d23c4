"""The prompts of a window with their shares, and the samples that were left out, as text."""

from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

from sia_dagster.core.records.policy import Actions, PolicyShare
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.text import count
from sia_dagster.reports.wording import share, trimmed, visible

PROMPT = 60
"""Characters of a prompt in a row."""
_ORIGINS = {"recorded": "recorded template", "recovered": "recovered template", "as_sent": "text as sent"}
REASONS = {
    "another_call": "another call of the application",
    "variables_unknown": "lack a variable of the policy in force",
    "variables_ambiguous": "variables can be read in several ways",
    "redacted": "text is redacted in the trace",
    "cut": "text is cut in the trace",
    "role": "a message has an unknown role",
    "prompt_again": "the system prompt stands again in the history, in other words",
    "media": "an image or audio is incomplete",
    "part": "content that a chat endpoint does not accept",
    "provider_tool": "tools that run at the provider",
    "server_state": "continues a conversation stored at the provider",
    "tool_calls": "tool calls without results, or results without calls",
    "assistant_last": "the chat ends with the assistant",
    "no_request": "the request has no message",
}


class PolicyRow(NamedTuple):
    """One prompt of the window as a row of a table."""

    prompt: str
    """Its first words, with its slots; of one that begins as the policy in force does, the first that differ."""
    origin: str
    role: str
    """`in force`, `same call` or `another call`."""
    samples: int
    share: str
    names: str
    models: str
    seen: str
    """The days of its first and its last sample."""


def policy_rows(policies: Sequence[PolicyShare], force: Actions | None = None) -> list[PolicyRow]:
    """A row for each prompt, in order; `force` is the policy in force, which may not be among them."""
    first = force.system_prompt if force else policies[0].system_prompt if policies else ""
    return [
        PolicyRow(
            prompt=beginning(policy.system_prompt, first),
            origin=origin(policy),
            role="in force" if policy.in_force else "same call" if policy.same_call else "another call",
            samples=policy.samples,
            share=share(policy.share),
            names=", ".join(name or "no name" for name in policy.names),
            models=", ".join(name or "no model" for name in policy.models),
            seen=f"{policy.first:%Y-%m-%d} to\n{policy.last:%Y-%m-%d}",
        )
        for policy in policies
    ]


def beginning(prompt: str, beside: str = "") -> str:
    """The first words of a prompt, on one line; of one that begins as `beside` does, the first that differ."""
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(prompt, beside, strict=False)))
    if same <= PROMPT // 2 or prompt == beside:
        return trimmed(visible(prompt), PROMPT) or "no system prompt"
    words = prompt[:same].rfind(" ") + 1
    return "… " + trimmed(visible(prompt[words:]), PROMPT - 2)


def origin(policy: PolicyShare) -> str:
    """How samples were attributed to this prompt."""
    if policy.origin == "registry":
        return f"version {policy.version}" if policy.version else "before version 1"
    return _ORIGINS[policy.origin]


def policy_share_sentence(state: StateActions, limit: int = 3) -> str:
    """The share of samples that the policy in force produced, and the other prompts with the largest shares."""
    if state.policy_share is None:
        return "The window has no samples."
    sentence = f"The policy in force produced {state.policy_share:.0%} of them."
    others = [row for row in policy_rows(state.policies, state.actions) if row.role != "in force"]
    if not others:
        return sentence
    named = [f"{row.share} “{row.prompt}” ({row.origin}, {row.role})" for row in others[:limit]]
    more = [count(len(others) - limit, "more prompt")] if len(others) > limit else []
    return f"{sentence} The others: {'; '.join(named + more)}."


def left_out_rows(state: StateActions) -> list[tuple[str, int]]:
    """The reasons why samples were left out, with their numbers."""
    return [(REASONS.get(why, why.replace("_", " ")), amount) for why, amount in state.left_out.items()]


def left_out_sentence(state: StateActions) -> str:
    """How many samples were left out, by reason."""
    reasons = ", ".join(f"{amount:,} ({why})" for why, amount in left_out_rows(state))
    return f"Left out of the replay: {reasons}." if reasons else "No sample was left out."
