"""JSON records: an object a line, or objects over any number of lines, in arrays or not."""

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from sia_dagster.adapters.local.reading.records import BLOCK, LONGEST, TOO_DEEP, Broken, Record, checked
from sia_dagster.adapters.local.reading.text_blocks import BLANK, split_lines
from sia_dagster.core.text import storable

_GAP = re.compile(r"[\s\x00\x1e,]*")
_NEXT_OBJECT = re.compile(r"\}\s*,?\s*(?=\{)|\n\s*(?=\{)")
_NOT_JSON = "it is not JSON, or cut off"
_TRIED = 20
"""Lines of a file that are tried."""


def is_lines(first: bytes) -> bool:
    """Whether one of the first lines, which need not be sound, is a record of its own."""
    lines = first.split(b"\n", _TRIED)[:_TRIED]
    return b"\n" in first and any(
        line[:1] in (b"{", b'"') and isinstance(_parsed(line.strip(BLANK)), dict) for line in lines
    )


def json_lines(blocks: Iterable[bytes | Broken]) -> Iterator[Record]:
    """A record for each line that is not empty."""
    for number, line in enumerate(split_lines(blocks), 1):
        if isinstance(line, Broken):
            yield Record(f"line {number}", line)
        elif text := line.strip(BLANK):
            yield Record(f"line {number}", checked(_parsed(text)))


def _parsed(text: bytes) -> Any:
    """The JSON value, also where it is the text of a JSON text.

    What orjson refuses (half surrogates, NaN, raw control characters) is read by json.
    """
    found = _loaded(text)
    return _loaded(found.encode()) if isinstance(found, str) and found[:1] == "{" else found


def _loaded(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        return storable(json.loads(text.decode("utf-8", "replace"), strict=False))
    except RecursionError:
        return Broken(TOO_DEEP)
    except ValueError:
        return Broken(_NOT_JSON)


def json_values(blocks: Iterable[bytes | Broken]) -> Iterator[Record]:
    """Objects one after the other, over any number of lines, in arrays or not; a broken one costs itself alone."""
    decoder, text, number, is_open = json.JSONDecoder(strict=False), _Text(blocks), 0, False
    while text.skip_gap():
        if (bracket := text.here()) in "[]":
            is_open = bracket == "["
            text.at += 1
            continue
        number += 1
        try:
            value, text.at = decoder.raw_decode(text.text, text.at)
            yield Record(f"record {number}", checked(storable(value)))
        except RecursionError:
            yield Record(f"record {number}", Broken(TOO_DEEP))
            text.skip_record(text.at + 1)
        except json.JSONDecodeError as error:
            if text.may_go_on(error) and text.grow():
                number -= 1
                continue
            yield Record(f"record {number}", text.broken or Broken(_NOT_JSON))
            text.skip_record(error.pos)
        except ValueError:  # a number of thousands of digits, which Python does not read
            yield Record(f"record {number}", Broken(_NOT_JSON))
            text.skip_record(text.at + 1)
    if is_open:
        yield Record(f"record {number + 1}", text.broken or Broken("the JSON array has no end: the file is cut off"))


class _Text:
    """The part of a JSON text that is being read."""

    def __init__(self, blocks: Iterable[bytes | Broken]) -> None:
        self._blocks, self._decoder = iter(blocks), codecs.getincrementaldecoder("utf-8")("replace")
        self.text, self.at = "", 0
        self.broken: Broken | None = None

    def skip_gap(self) -> bool:
        """Go to the next value; False at the end."""
        while True:
            self.at = self._match(_GAP)
            if self.at < len(self.text):
                return True
            if not self.grow():
                return False

    def here(self) -> str:
        return self.text[self.at]

    def may_go_on(self, error: json.JSONDecodeError) -> bool:
        """Whether the value is not broken but not all here, by where and what the error is."""
        at_end = error.pos >= len(self.text) - 10 or error.msg.startswith("Unterminated string")
        return at_end and len(self.text) - self.at <= LONGEST

    def grow(self) -> bool:
        """Read as much again as is held, and drop what was read; False if nothing is left."""
        wanted, parts = max(BLOCK, len(self.text) - self.at), [self.text[self.at :]]
        while wanted > 0 and (block := next(self._blocks, None)) is not None:
            if isinstance(block, Broken):
                self.broken = block
                break
            parts.append(self._decoder.decode(block))
            wanted -= len(block)
        self.text, self.at = "".join(parts), 0
        return len(parts) > 1

    def skip_record(self, start: int) -> None:
        """Go to what looks like the next object after `start`."""
        self.at = start
        while not (found := _NEXT_OBJECT.search(self.text, self.at)):
            self.at = max(self.at, len(self.text) - 1000)
            if not self.grow():
                whole = self.text.rstrip()
                self.at = len(whole) - whole.endswith("]") if whole else 0
                return
        self.at = found.end()

    def _match(self, pattern: re.Pattern[str]) -> int:
        found = pattern.match(self.text, self.at)
        return found.end() if found else self.at
