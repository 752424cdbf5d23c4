"""The template variables: the application fills in exactly these."""

import re
from collections import Counter

from sia_dagster.core.guard._traffic import Traffic
from sia_dagster.core.records.policy import Actions

_ANY = re.compile(r"\{\{\s*([A-Za-z_][\w.]*)\s*\}\}|\{([A-Za-z_][\w.]*)\}")


def keeps_variables(candidate: Actions, baseline: Actions, traffic: Traffic | None = None) -> str | None:
    """Why the application could not fill in the candidate's prompt as it fills in the baseline's; None if it can.

    Each variable stands as often as before and in the same braces (`{name}` or `{{name}}`), and no new `{word}`
    appears. A policy without variables is sent as it is, so that braces are only text in it.
    """
    if set(candidate.variables) != set(baseline.variables):
        return (
            f"template variables: the policy has {sorted(baseline.variables)}, the candidate "
            f"{sorted(candidate.variables)}"
        )
    if not baseline.variables:
        return None
    old, new = _placeholders(baseline), _placeholders(candidate)
    own = {braced for braced in old | new if braced.strip("{} ") in baseline.variables}
    if changed := [f"{b} stands {new[b]} times instead of {old[b]}" for b in sorted(own) if new[b] != old[b]]:
        return f"template variables: {'; '.join(changed)} in the policy in force"
    if unknown := sorted(set(new) - set(old)):
        origin = f", {traffic.origin(unknown[0])}" if traffic else ""
        return f"template variables: {', '.join(unknown)} is new{origin}, and the application would not fill it in"
    return None


def _placeholders(actions: Actions) -> Counter[str]:
    """How often each `{name}` and `{{name}}` stands in the prompt, spaces inside the braces aside."""
    names = "|".join(re.escape(name) for name in sorted(actions.variables, key=len, reverse=True))
    own = re.compile(r"\{\{\s*(" + names + r")\s*\}\}|\{(" + names + r")\}")
    counts = Counter(_braced(match) for match in own.finditer(actions.system_prompt))
    rest = own.sub(" ", actions.system_prompt)
    return counts + Counter(_braced(match) for match in _ANY.finditer(rest))


def _braced(match: re.Match[str]) -> str:
    return f"{{{{{match[1]}}}}}" if match[1] else f"{{{match[2]}}}"
