"""An OpenAI-compatible server on loopback that fails in the ways of real ones, by the shares that it is told.

Which request fails, and how, is a hash of its prompt and of how often that was asked: the same in every run. In a
process of its own: `python -m simulation.fault_server '{"shares": {"hang": 0.01}, "latency": 0.5}'` prints
the base URL; for each line that it reads it prints what it has seen.
"""

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from simulation.servers import Body, Reply, ScriptedServer, completion, refusal

HANG = 3600.0


ANSWER = json.dumps({"explanation": "e" * 300, "label": "correct"})


def _truncated() -> Reply:
    return Reply(body=json.dumps(completion(ANSWER)).encode()[:100])


FAULTS: Mapping[str, Callable[[], Reply]] = {
    "429": lambda: refusal(429, "Rate limit reached.", code="rate_limit_exceeded"),
    "429_told": lambda: refusal(429, "Rate limit reached.", code="rate_limit_exceeded", retry_after="1"),
    "500": lambda: refusal(500, "The server had an error while processing your request."),
    "503": lambda: refusal(503, "The engine is overloaded."),
    "hang": lambda: Reply(body=completion(ANSWER), delay=HANG),
    "drop": lambda: Reply(drop=True),
    "slow_body": lambda: Reply(body=completion(ANSWER), pause=HANG),
    "cut_body": lambda: Reply(body=completion(ANSWER), cut=True),
    "truncated_json": _truncated,
    "wrong_content_type": lambda: Reply(body=b"<html>502 Bad Gateway</html>", headers={"content-type": "text/html"}),
    "no_choices": lambda: Reply(body={"error": {"message": "Upstream error."}}),
    "aborted": lambda: Reply(body=completion(ANSWER[:40], finish_reason="abort")),
    "empty_choice": lambda: Reply(body=completion("")),
    # Answers, though not what one hopes for: they are paid for, and asking again would not change them.
    "refusal": lambda: Reply(body=completion("I cannot help with that.")),
    "content_filter": lambda: Reply(body=completion("", finish_reason="content_filter")),
}
"""One reply for each way to fail. After `hang` and `slow_body` the caller has to give up by itself."""


ANSWERS = ("refusal", "content_filter")
"""Those that are answers."""


def chance(*parts: object) -> float:
    """A number in [0, 1) that depends on `parts` alone."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


class Faulty:
    """Answers for a ScriptedServer: `shares` of the requests fail, by the names of FAULTS.

    Prompts that hold the text `poison` always fail, with a 500. The rest is answered after `latency` seconds times 0.5
    to 1.5.
    """

    def __init__(self, shares: Mapping[str, float] | None = None, *, latency: float = 0.0, poison: str = "") -> None:
        self.shares, self.latency, self.poison = dict(shares or {}), latency, poison
        self.asked: Counter[str] = Counter()
        """Requests by prompt."""
        self.finished: Counter[str] = Counter()
        """Answers by prompt: what an endpoint bills."""
        self.faults: Counter[str] = Counter()
        """Failures by name."""

    def __call__(self, body: Body, _: int) -> Reply:
        """The reply to one request."""
        prompt = str(body["messages"][-1]["content"])
        self.asked[prompt] += 1
        if self.is_poison(prompt):
            self.faults["poison"] += 1
            return refusal(500, "The model crashed on this input.")
        fault = self._fault(prompt)
        if fault:
            self.faults[fault] += 1
        if not fault or fault in ANSWERS:
            self.finished[prompt] += 1
        if fault:
            return FAULTS[fault]()
        return Reply(body=completion(ANSWER), delay=self.latency * (0.5 + chance("latency", prompt)))

    def is_poison(self, prompt: str) -> bool:
        """Whether this prompt always fails."""
        return bool(self.poison) and self.poison in prompt

    def seen(self) -> dict[str, Any]:
        """Counts of all that came: requests, answers, answers beyond the first of a prompt, failures, attempts."""
        return {
            "requests": sum(self.asked.values()),
            "finished": sum(self.finished.values()),
            "paid_twice": sum(count - 1 for count in self.finished.values()),
            "faults": dict(sorted(self.faults.items())),
            "attempts_of_poison": sorted(count for prompt, count in self.asked.items() if self.is_poison(prompt)),
        }

    def _fault(self, prompt: str) -> str:
        drawn = chance("requests", prompt, self.asked[prompt])
        for name, share in self.shares.items():
            if drawn < share:
                return name
            drawn -= share
        return ""


def main() -> None:
    """Serve until stdin ends."""
    faulty = Faulty(**json.loads(sys.argv[1]))
    with ScriptedServer(faulty) as server:
        sys.stdout.write(f"{server.base_url}\n")
        sys.stdout.flush()
        for _ in sys.stdin:
            sys.stdout.write(json.dumps(faulty.seen()) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
