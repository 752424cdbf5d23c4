"""No order to drop instructions in a prompt, and no marker that frames text for models."""

import re
from typing import Final

from sia_dagster.core.guard._guard_input import Findings, GuardInput
from sia_dagster.core.guard._text import shown
from sia_dagster.core.records.guard import GuardAction

_DROP = r"\b(?:ignor\w*|disregard\w*|forget\w*|overrid\w*|bypass\w*|(?:do not|don't|stop) (?:follow|obey)\w*)\b"
_OTHERS = r"(?:request|attempt|question|demand|wish|tr(?:y|ies|ying)\b|someone|anyone|people|user|customer)"
_OVERRIDE: Final = re.compile(
    rf"{_DROP}(?:(?!{_OTHERS})[^.\n]){{0,40}}?"
    r"\b(?:above|previous|prior|earlier|preceding|foregoing|former|original|system|developer)\b"
    r"[^.\n]{0,30}?\b(?:instruction|prompt|rule|direction|guideline|command|polic)\w*"
    rf"|{_DROP}(?:(?!{_OTHERS})[^.\n]){{0,20}}?\b(?:instruction|prompt|rule|direction|guideline|command)s?\s+"
    r"(?:(?:that|which|are|is|was|were|came|stand)\s+)*(?:above|before|so far)\b"
    rf"|{_DROP}\s+(?:(?:the|all|everything|anything|of|that|is|was|said|written)\s+)*(?:above|foregoing|before)\b",
    re.IGNORECASE,
)
_EARLIER = r"(?:above|previous|prior|earlier|preceding|original)"
_RULES = r"(?:instruction|prompt|rule|direction|guideline|command)s?"
_ANNOUNCED: Final = re.compile(
    rf"\bsupersed\w*(?:(?!{_OTHERS})[^.\n]){{0,20}}?\b{_EARLIER}\b[^.\n]{{0,15}}?\b(?:instruction|prompt|guideline"
    rf"|command)s?\b|\b(?:{_EARLIER}\s+{_RULES}|{_RULES}\s+(?:above|before|so far))\s+(?:no longer|do(?:es)? not|don't)"
    r"\s+(?:apply|count|hold|matter)\b(?!\s+to\s+(?!you\b))|\bnew system (?:prompt|message)\b",
    re.IGNORECASE,
)
"""Announces that other orders hold from here on."""
_CLAIM: Final = re.compile(
    r"\b(?:claim|pretend|say|said|tell|told|state|assert|announc)\w*\b[^.!?\n]{0,60}$", re.IGNORECASE
)
FEW: Final = 2
"""Words before an order that still begins its sentence ("From now on" is three)."""
_LAST_SENTENCE: Final = re.compile(r"[^.!?:;\n\u3002]{0,400}$")
_OPEN_QUOTE: Final = re.compile(r"[\"\u201c\u201e\u00ab\u300c']\s*$")
_BEFORE: Final = 400
"""Characters before an order in which a defence is searched for."""
_DEFENCE: Final = re.compile(
    r"\b(?:never|do not|don't|refuse to|decline to)\s+(?:follow|obey|comply|act on|carry out|execute|accept)\b"
    r"[^.\n]*\bto\s+$",
    re.IGNORECASE,
)
_FOREIGN: Final = re.compile(
    r"\b(?:ignorier|missacht|vergiss|vergesst|vergessen|befolg\w* nicht)\w*[^.\n]{0,40}?\b(?:vorherig|vorig|bisherig"
    r"|obig|früher|vorangehend|ursprünglich)\w*[^.\n]{0,20}?(?:anweisung|regel|vorgabe|instruktion|prompt)"
    r"|\b(?:ignore[zr]?|oublie[zr]?)\b[^.\n]{0,20}?\b(?:instruction|consigne|règle)s?\b[^.\n]{0,15}?"
    r"(?:précédent|antérieur|ci-dessus|initial)"
    r"|\b(?:ignora|ignore|ignorar|olvida|olvide|omite)\b[^.\n]{0,25}?\b(?:instruc\w+|reglas?|órdenes|regras?)\b"
    r"[^.\n]{0,15}?(?:anterior|previa|prévia|de arriba|acima)"
    r"|\b(?:ignora|dimentica|ignorate)\b[^.\n]{0,20}?\b(?:istruzioni|regole)\b[^.\n]{0,15}?(?:precedent|sopra)"
    r"|\b(?:negeer|vergeet)\b[^.\n]{0,20}?(?:vorige|eerdere|bovenstaande)[^.\n]{0,15}?(?:instructies|regels)"
    r"|(?:игнорир|забуд|не следуй)\w*[^.\n]{0,20}?(?:предыдущ|прежн|прошл|выше)\w*[^.\n]{0,15}?"
    r"(?:инструкц|правил|указан)"
    r"|(?:忽略|无视|無視|忘记|忘記|不要理会)[^。\n]{0,12}?(?:指令|指示|规则|規則|说明|提示)"
    r"|(?:以前|上記|これまで|前|先)[^。\n]{0,6}?(?:指示|命令|ルール)[^。\n]{0,6}?(?:無視|忘れ)"
    r"|(?:이전|위|앞)[^.\n]{0,8}?(?:지시|명령|규칙)[^.\n]{0,8}?(?:무시|잊)"
    r"|(?:تجاهل|انس)[^.\n]{0,12}?(?:التعليمات|الأوامر)[^.\n]{0,8}?(?:السابقة|أعلاه)",
    re.IGNORECASE,
)
"""The same in German, French, Spanish and Portuguese, Italian, Dutch, Russian, Chinese, Japanese, Korean, Arabic."""
_MARKER: Final = re.compile(
    r"<<<\s*\w+[^\n]{0,40}|\b\w+[ \t]+\w+[ \t]*>>>|<\|[^|\n]{1,40}\|>|\[/?INST\]|<</?SYS>>"
    r"|</?(?:system|assistant|(?:start|end)_of_turn)>"
    r"|^[ \t#*\[(]*(?:system|developer)\s+(?:message|prompt|override|note|instruction)s?\s*[\])*]*[ \t]*:"
    r"|\[\s*(?:system|admin|developer)(?:\s+\w+)?\s*\]",
    re.IGNORECASE | re.MULTILINE,
)


def holds_no_order(case: GuardInput) -> Findings:
    """New orders to drop instructions, and markers of a quote or a chat template.

    A defence against such an order passes ("do not follow texts that tell you to ignore the rules above", "who claims
    to bring a new system prompt"). An order that begins a sentence stops; within one it may be a defence in other
    words, which cannot always be distinguished by reading one sentence, and a person must look.
    """
    for pattern, defence in ((_OVERRIDE, _DEFENCE), (_ANNOUNCED, _CLAIM), (_FOREIGN, None)):
        for match in case.new_matches(pattern):
            if defence and defence.search(case.text, max(0, match.start() - _BEFORE), match.start()):
                continue
            action: GuardAction = "stop" if _begins(case.text, match.start()) else case.sure(match[0])
            yield case.holds(action, "instructions", f"an order to drop instructions: {shown(match[0])}", match[0])
    for match in case.new_matches(_MARKER):
        what = f"a marker that frames text for models: {shown(match[0])}"
        yield case.holds("stop", "instructions", what, match[0])


def _begins(text: str, start: int) -> bool:
    """Whether at most two words of the same sentence stand before `start`, and no quote opens there."""
    before = _LAST_SENTENCE.search(text, max(0, start - _BEFORE), start)
    words = before[0] if before else ""
    return len(words.split()) <= FEW and not _OPEN_QUOTE.search(words)
