"""The base of every value, and fingerprints."""

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict

JsonObject = dict[str, Any]


class Value(BaseModel):
    """A frozen value that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


def fingerprint(content: object) -> str:
    """Sixteen hex digits of the SHA-256 of `content` as canonical JSON; equal content, equal fingerprint."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
