"""How numbers, instants and untrusted text are written for people, the same in every report."""

import math
import re

from sia_dagster.core.records.comparison import EvaluatorComparison
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.spend import Spend
from sia_dagster.core.text import count

NOTHING = "\N{EN DASH}"
"""Written where there is no number."""
STATUSES = {
    "chosen": "chosen for validation",
    "not_chosen": "not chosen",
    "stopped_by_guard": "stopped by the contract guard",
    "unusable": "unusable answer",
}
"""A candidate's status, in words."""
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    "\u2028-\u202e\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Controls, what hides or turns the order of text round, and letters that show nothing. The joiners of ordinary writing
(U+200C, U+200D) and the selectors of emoji stay."""


def visible(text: str) -> str:
    """`text` with characters that hide or reorder text written out (`⟨U+202E⟩`): what is read is what is there.

    Every kind of line break becomes a line feed. Makes any string writable as UTF-8: lone surrogates are written out.
    """
    joined = text.replace("\r\n", "\n").replace("\r", "\n")
    return _UNSEEN.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", joined)


def left_out(comparison: EvaluatorComparison) -> tuple[str, ...]:
    """The samples that a comparison leaves out, in words: those without a score, and those it does not apply to."""
    c = comparison
    parts = [f"{count(c.unscored, 'sample')} unscored"] if c.unscored else []
    if c.not_applicable or c.applies_to_baseline_only or c.applies_to_candidate_only:
        one = (
            f", {c.applies_to_baseline_only} under the new and {c.applies_to_candidate_only} under the old policy alone"
        )
        changed = one if c.applies_to_baseline_only or c.applies_to_candidate_only else ""
        parts.append(f"does not apply to {count(c.not_applicable, 'sample')}{changed}")
    return tuple(parts)


def trimmed(text: str, limit: int) -> str:
    """`text` on one line, white space folded, no longer than `limit` characters with the ellipsis."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def capped(text: str, limit: int = 20_000) -> str:
    """`text`, or its first `limit` characters and how many are left out."""
    return text if len(text) <= limit else f"{text[:limit]}\n… {len(text) - limit:,} more characters are not shown"


def decimals(scale: float) -> int:
    """How many decimals a score takes whose evaluator spans `scale`: a hundredth of the range is distinguishable."""
    if not (math.isfinite(scale) and scale > 0):
        return 2
    return min(max(2 - math.floor(math.log10(scale)), 0), 6)


def number(value: float | None, scale: float = 1.0) -> str:
    """A score of an evaluator that spans `scale`."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return _minus(f"{value:.{decimals(scale)}f}")


def signed(value: float | None, scale: float = 1.0) -> str:
    """A difference of scores, always with its sign unless it is written as zero."""
    if value is None or not math.isfinite(value):
        return NOTHING
    text = f"{value:+.{decimals(scale)}f}"
    return _minus(text) if float(text) else text[1:]


def of_range(gain: float) -> str:
    """A gain as a share of an evaluator's range, with three decimals: gains of a search are small."""
    return f"{signed(gain, 0.1)} of the range"


def interval(low: float | None, high: float | None, scale: float = 1.0) -> str:
    """`[low, high]`; empty where a bound is unknown."""
    return "" if low is None or high is None else f"[{signed(low, scale)}, {signed(high, scale)}]"


def p_value(value: float | None) -> str:
    """Two significant digits; below a ten-thousandth only that."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if value < 0.0001:
        return "< 0.0001"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.4f}" if value < 0.001 else f"{value:.3f}"


def share(value: float | None) -> str:
    """A share as a percentage without decimals, one decimal where it would be lost."""
    if value is None or not math.isfinite(value):
        return NOTHING
    percent = value * 100
    whole = math.isclose(percent, round(percent), abs_tol=1e-9) or 1 <= abs(percent) <= 99
    return _minus(f"{percent:.0f} %" if whole else f"{percent:.1f} %")


def usd(spend: Spend) -> str:
    """The cost; a note where a model has no known price."""
    if spend.cost_usd is None:
        return "price unknown"
    return f"${spend.cost_usd:,.2f}" if spend.cost_usd >= 1 or not spend.cost_usd else f"${spend.cost_usd:.4f}"


def dollars(amount: float) -> str:
    """An amount that is not negative, in whole cents; below a cent with two significant digits."""
    return f"${amount:,.2f}" if amount >= 0.01 or not amount else f"${amount:.2g}"


def confidence(alpha: float) -> str:
    """The confidence of a bound at this one-sided level: `95 %`, with decimals where it would round to `100 %`."""
    places = 0 if alpha > 0.005 else 1 if alpha >= 0.0005 else 2
    return f"{100 * (1 - alpha):.{places}f} %"


def window_text(window: TimeWindow) -> str:
    """The window's bounds to the minute in its own time zone; the end is not part of it."""
    zone = window.start.strftime("%Z") or "UTC"
    return f"{window.start:%Y-%m-%d %H:%M} up to {window.end:%Y-%m-%d %H:%M} {zone}"


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")


_JOINER = "\N{WORD JOINER}"
"""Takes no space; put where GitHub's dialect would see an address, which no backslash prevents."""


def escape(text: str) -> str:
    """Untrusted text as plain inline Markdown on one line."""
    line = " ".join(visible(text).split())
    line = re.sub(r"([\\`*_{}\[\]<>()#+\-.!|~&$^=\"':])", r"\\\1", line)
    line = re.sub(r"(?i)(https?|ftp|mailto|xmpp)(\\:)", rf"\1{_JOINER}\2", line)
    line = re.sub(r"(?i)(www)(?=\\\.)", rf"\1{_JOINER}", line)
    return line.replace("@", f"{_JOINER}@{_JOINER}")
