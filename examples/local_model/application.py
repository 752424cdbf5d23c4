"""The application: turns a shop's notes into single lines with the policy in force, and logs each call to `traces/`.

`python application.py 2026-11-02 --notes 60` answers the notes of the week that begins on that day.
"""

import argparse
import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from openai import OpenAI

from sia_dagster import load_policy
from sia_dagster.core.records.policy import Actions

FOLDER = Path(__file__).parent
FIRST = Actions(
    system_prompt="You help the staff of a small shop.",
    model="smollm2",
    parameters={"temperature": 0.7, "max_tokens": 28},
)
"""What is sent until a policy is promoted."""
CUSTOMERS = (
    "Mara",
    "Jonas",
    "Aylin",
    "Tom",
    "Ines",
    "Piotr",
    "Greta",
    "Samir",
    "Lotte",
    "Noor",
    "Emil",
    "Vera",
    "Hana",
)
GOODS = (
    *("an oak shelf", "a linen tablecloth", "a blue teapot", "a brass candlestick", "a wool blanket", "a desk lamp"),
    *("a soup bowl", "a wall clock", "a leather notebook", "a bread knife", "a garden lantern", "a picture frame"),
    *("a bamboo tray", "a cork board", "a spice rack", "a hall mirror"),
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
MATTERS = (
    "The parcel has not arrived yet, and the tracking page shows no news.",
    "One corner was broken when the box was opened.",
    "The colour is not the one in the catalogue.",
    "The size is wrong and it does not fit.",
    "The invoice carries the name of a former employer.",
    "The parcel went to an old address across the river.",
)
WISHES = (
    "A refund would be fine.",
    "A new one should come before the weekend.",
    "A call in the afternoon would be best.",
    "A voucher is not wanted.",
    "The old box is kept for the return.",
    "A neighbour can take the parcel in.",
)


def main() -> None:
    """Answer one week's notes, two at a time, as the application would."""
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("week", type=lambda text: datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC))
    given.add_argument("--notes", type=int, default=60)
    chosen = given.parse_args()
    settings = yaml.safe_load((FOLDER / "sia.yaml").read_text(encoding="utf-8"))
    policy = load_policy("notes", storage=str(FOLDER / settings["storage"]), default=FIRST)
    client = OpenAI(base_url=settings["llm"]["base_url"], api_key="none", timeout=300)
    with ThreadPoolExecutor(2) as pool:
        calls = list(pool.map(lambda n: answer(client, policy, chosen.week, n), range(chosen.notes)))
    traces = FOLDER / "traces" / f"{chosen.week:%Y-%m-%d}.jsonl"
    traces.parent.mkdir(exist_ok=True)
    traces.write_text("".join(f"{json.dumps(call)}\n" for call in calls), encoding="utf-8")
    print(f"{len(calls)} calls in {traces.relative_to(FOLDER)}, under the prompt: {policy.system_prompt!r}")


def answer(client: OpenAI, policy: Actions, week: datetime, number: int) -> dict[str, Any]:
    """One call as the log keeps it: request, response, time and conversation."""
    key = f"{week:%Y-%m-%d}/{number}"
    chat = [*policy.messages(), {"role": "user", "content": note(key)}]
    request: dict[str, Any] = {"model": policy.model, "messages": chat, **policy.parameters}
    response = client.chat.completions.create(**request)
    at = week + timedelta(hours=8, minutes=number)
    return {"request": request, "response": response.model_dump(), "created": at.isoformat(), "session_id": key}


def note(key: str) -> str:
    """What a member of staff wrote down: the same key, the same note."""
    customer, bought, day, matter, wish = (
        pick(options, key, str(place)) for place, options in enumerate((CUSTOMERS, GOODS, DAYS, MATTERS, WISHES))
    )
    return f"{customer} bought {bought} on {day}. {matter} {wish}"


def pick(options: Sequence[str], *parts: str) -> str:
    """One of `options`, by a hash."""
    digest = hashlib.sha256("/".join(parts).encode()).digest()
    return options[int.from_bytes(digest[:7], "big") % len(options)]


if __name__ == "__main__":
    main()
