"""Reads the role of a message, which instrumentors also write as the name of a class or of an enum's member."""

import re
from functools import lru_cache
from typing import Final

ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
"""The roles that chat completions know. Any other one would be refused, or taken for something else."""
_SYNONYMS = {
    **{role: role for role in ROLES},
    **dict.fromkeys(("human", "userprompt"), "user"),
    **dict.fromkeys(("ai", "model", "chatbot", "bot"), "assistant"),
    **dict.fromkeys(("systemprompt", "systeminstruction"), "system"),
    **dict.fromkeys(("toolresult", "toolreturn", "toolresponse"), "tool"),
}
"""Names of LangChain, Gemini, Cohere and Pydantic AI."""
_LONGEST = 100
_ENUM = re.compile(r"<?(?:\w+\.)*(\w+)(?::.*>)?")
_PREFIX = re.compile(r"^(?:chatcompletion|chatmessage|role|chat(?!bot))")
_SUFFIX = re.compile(r"(?:messageparam|messagechunk|message|promptpart|part|chunk|param|turn)$")


def read_role(value: object) -> str:
    """The role in chat completions, whatever its writing (`HumanMessage`, `MessageRole.USER`, `CHATBOT`).

    A role of no known name is returned in small letters; it is none of `ROLES`. Empty for no role.
    """
    if not isinstance(value, str):
        return "" if value is None else str(value).lower()
    return _SYNONYMS.get(value) or (_spelled(value) if len(value) <= _LONGEST else value.lower())


@lru_cache(maxsize=1024)
def _spelled(value: str) -> str:
    text = value.strip()
    named = _ENUM.fullmatch(text)
    plain = re.sub(r"[\W_]+", "", named[1] if named else text).lower()
    inner = _SUFFIX.sub("", _PREFIX.sub("", plain))
    return _SYNONYMS.get(plain) or _SYNONYMS.get(inner) or text.lower()


def role_of_type(kind: object) -> str:
    """The role that a message's `type` names (LangChain's `human`, `AIMessageChunk`); empty for any other type."""
    role = read_role(kind)
    return role if role in ROLES else ""
