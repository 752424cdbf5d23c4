"""Every error this package raises on purpose.

```
SiaError
├── ConfigError            sia.yaml: names the key, the line and the fix
├── TraceError             the trace source cannot be read
│   ├── TracesUnavailable  it did not answer; a later attempt may succeed
│   ├── TraceFileError     one file is no Parquet/JSON, or misses a column
│   └── SpanError          one span cannot be mapped (a value of that row, never of the window)
├── WriteBackError         evaluations could not go back to the trace store; what was taken is in its report
├── PublishError           a platform did not accept a policy or a validation
│   └── PublishConflict    its prompt or label belongs to somebody else: nothing was changed
├── EvaluatorError         one evaluator gave no score for one sample (a value of that row)
├── ModelCallError         a model call gave no usable answer
│   ├── CallFailed         this call failed after its attempts (a value of that row)
│   ├── EndpointRefused    401, 403, unknown model: no call can succeed, so the run stops
│   ├── SpendCapReached    the window's cap is spent: stop before the next call, keep everything
│   ├── SearchCapReached   the search's own cap leaves no room for the next step: what it has found counts
│   └── BatchesUnderWay    requests were submitted as batches: run again when the endpoint has answered them
├── GateLogError           the gate's records cannot be read or written
└── PolicyError            the registry of policies
    ├── PolicyNotFound     no such version, or none in force yet
    └── PromotionRefused   the evidence does not allow it, or a newer policy is in force
```

`SpanError`, `EvaluatorError` and `CallFailed` are caught by the stage that runs rows and become the row's `error`.
"""

from pathlib import Path


class SiaError(Exception):
    """Root of the tree. The message says what happened, where, and what to do."""


class ConfigError(SiaError):
    """The configuration cannot be used."""

    def __init__(self, message: str, *, key: str = "", line: int | None = None, file: str = "") -> None:
        """Keep the facts beside the sentence: `key` is dotted (`loops.0.window`), `line` counts from 1."""
        where = ":".join(str(part) for part in (file, line) if part)
        at = f" [{where}]" if where else ""
        super().__init__(f"{key}: {message}{at}" if key else f"{message}{at}")
        self.key, self.line, self.file = key, line, file


class TraceError(SiaError):
    """The trace source cannot be read."""


class TracesUnavailable(TraceError):
    """The trace source did not answer, or refused us: its spans are not known, and a later attempt may succeed."""


class TraceFileError(TraceError):
    """One file of a local trace source cannot be read."""

    def __init__(self, message: str, *, path: Path | str) -> None:
        """Keep the path of the file at fault."""
        super().__init__(f"{path}: {message}")
        self.path = str(path)


class SpanError(TraceError):
    """One span cannot be mapped to a sample."""

    def __init__(self, message: str, *, span_id: str, reason: str = "unreadable") -> None:
        """Keep the span's id, the sentence without it, and the kind of fault, by which such spans are counted."""
        super().__init__(f"span {span_id}: {message}")
        self.span_id, self.sentence, self.reason = span_id, message, reason


class WriteBackError(SiaError):
    """Evaluations could not be written back to the trace store; the local result stands."""


class PublishError(SiaError):
    """A platform did not accept a policy or a validation; the registry is unchanged."""


class PublishConflict(PublishError):
    """The prompt's name or its label belongs to somebody else; nothing was changed."""


class EvaluatorError(SiaError):
    """One evaluator gave no score for one sample."""


class ModelCallError(SiaError):
    """A model call gave no usable answer."""


class CallFailed(ModelCallError):
    """One call failed for good after its attempts; its row carries the error."""

    def __init__(self, message: str, *, attempts: int, status: int | None = None, kind: str = "") -> None:
        """Keep the attempts that were made, the last HTTP status, None where no reply came, and what the failure is.

        `kind` is `too_long`, `moderated`, `rate_limit` and the like; empty where it is not known.
        """
        super().__init__(message)
        self.attempts, self.status, self.kind = attempts, status, kind


class EndpointRefused(ModelCallError):
    """The endpoint refuses this key or this model: every further call would fail the same way."""


class SpendCapReached(ModelCallError):
    """The window's spend cap is reached. Answers that were paid for are stored and not paid for again."""

    def __init__(self, message: str, *, spent: float, cap: float, unit: str) -> None:
        """Keep what was spent and the cap, in `unit` (`USD` or `tokens`)."""
        super().__init__(message)
        self.spent, self.cap, self.unit = spent, cap, unit


class SearchCapReached(ModelCallError):
    """The search's own cap (`policy.search_calls`, `policy.search_usd`) leaves no room for the next step."""


class BatchesUnderWay(ModelCallError):
    """A stage's requests were submitted as batches, and this run does not wait: run the window again to collect them.

    At whatever time, nothing is lost and nothing is paid for twice.
    """

    def __init__(self, message: str, *, batches: tuple[str, ...]) -> None:
        """Keep the names of the batches, as the completion store has them."""
        super().__init__(message)
        self.batches = batches


class GateLogError(SiaError):
    """A record of the gate's log cannot be read or written; names the file."""


class PolicyError(SiaError):
    """The registry of policies cannot do what was asked."""


class PolicyNotFound(PolicyError):
    """No such version, or none in force yet."""


class PromotionRefused(PolicyError):
    """The evidence does not allow this promotion, or a newer policy is in force."""
