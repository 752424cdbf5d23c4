"""Plain prose for the reader of a prompt: no markup, template syntax, role words or code that the policy lacks."""

import re
from typing import Final

from sia_dagster.core.guard._guard_input import Findings, GuardInput
from sia_dagster.core.guard._text import shown

RULE: Final = "plain prose"
_HTML: Final = (
    "a|abbr|article|audio|b|base|big|blockquote|body|br|button|canvas|center|code|dd|del|details|div|dl|dt"
    "|em|embed|fieldset"
    "|font|footer|form|frame|h[1-6]|head|header|hr|html|i|iframe|img|input|ins|kbd|label|li|link|main|map|mark|marquee"
    "|math|meta|nav|object|ol|option|p|param|picture|pre|q|s|samp|script|section|select|small|source|span|strike|strong"
    "|style|sub|summary|sup|svg|table|tbody|td|template|textarea|tfoot|th|thead|title|tr|tt|u|ul|var|video"
)
_PROMPT_TAGS: Final = (
    "system|user|assistant|human|developer|tool|instructions?|rules?|prompt|policy|important|context"
    "|override|admin|bos|eos"
    "|end|endoftext|input|output|message|thinking|think|function|command|secret|hidden|note|bot|ai|begin|start"
)
_MARKUP: Final = re.compile(
    rf"</[A-Za-z][\w:-]{{0,40}}[ \t]{{0,5}}>|<(?:{_HTML}|{_PROMPT_TAGS})(?:[ \t][^<>\n]{{0,300}})?/?>"
    r"|<[A-Za-z][\w:-]{0,40}[ \t][^<>\n]{0,200}=[^<>\n]{0,200}>|<[!?][^<>\n]{1,200}>|&(?:#\d{1,6}"
    r"|#x[0-9a-f]{1,6}|[a-z]{2,8});"
    r"|!\[[^\]\n]{0,200}\]|\]\([^)\n]{1,200}\)|^[ \t]{0,3}\[[^\]\n]{1,80}\]:[ \t]\S",
    re.IGNORECASE | re.MULTILINE,
)
"""HTML and XML tags, entities, and Markdown that loads or leads; `<city>` is a blank to fill in."""
_TEMPLATE: Final = re.compile(
    r"\{\{[^{}\n]{0,200}\}\}|\{[%#][^{}\n]{0,200}[%#]\}|[$#]\{[^{}\n]{0,200}\}|<[%?][^<>\n]{0,200}[%?]>"
    r"|\[\[[^\[\]\n]{1,200}\]\]"
    r"|(?<![\\\w}^{$#])\{[A-Za-z_][\w.]{0,60}\}|\$\([^()\n]{1,200}\)|%\([A-Za-z_]\w{0,40}\)s|__[A-Z]{3,}__"
)
"""Something that some program fills in: Jinja, shells, ERB, format strings, wikis."""
_ROLES: Final = (
    "system|user|assistant|human|developer|tool|bot|ai|model|admin(?:istrator)?|operator|moderator|root|sysadmin"
    "|nutzer|benutzer|assistent|utilisateur|syst[eè]me|usuario|usu[aá]rio|sistema|asistente|assistente|utente"
    "|система|пользователь|ассистент|системное сообщение|σύστημα|χρήστης|βοηθός"
    "|系统|用户|助手|系統|用戶|システム|ユーザー|アシスタント|시스템|사용자|어시스턴트|النظام|المستخدم|المساعد|सिस्टम|उपयोगकर्ता|सहायक"
    "|ระบบ|ผู้ใช้|ผู้ช่วย"
)
_ROLE: Final = re.compile(
    rf"(?<![\w-])(?:{_ROLES})(?:[ \t]{{1,3}}(?:message|prompt|note|override|update|notice|instruction|command"
    rf"|mode|alert|log)s?)?"
    rf"[\])}}*_]{{0,3}}[ \t]{{0,3}}[:\uff1a>](?!/)|^[ \t]*#{{1,6}}[ \t]{{0,3}}(?:{_ROLES}|instruction|response"
    rf"|input)s?[ \t]{{0,3}}:?[ \t]*$"
    rf"|[\[<{{\u300a\u3010](?:/|\||end of |begin |start )?[ \t]{{0,2}}(?:{_ROLES}|inst|sys|s"
    rf"|prompt)(?:[ \t](?:message|prompt|note|override|update))?[ \t]{{0,2}}\|?[\])>}}\u300b\u3011]"
    r"|\b(?:begin|end|start) (?:of )?(?:the )?(?:system |user |new )?(?:prompt|instructions)\b|\b(?:begin|end"
    r"|start) of (?:the )?(?:message|conversation|input|context)\b"
    r"|^[ \t]*(?!-+BEGIN [A-Z ]{0,30}KEY)[-=_*#]{3,}[ \t]{0,3}\w[^\n]{0,60}?[-=_*#]{3,}[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
"""Whoever speaks in a chat, and borders of a prompt: what follows would be taken for another voice."""
_VOICE: Final = re.compile(
    r"\b(?:jailbreak\w*|DAN mode|do anything now|developer mode|debug mode|god mode|maintenance mode"
    r"|admin mode|root access|sudo)\b"
    r"|\bsystem[ -](?:override|update|notice|instruction)s?\b",
    re.IGNORECASE,
)
_OWN_PROMPT: Final = re.compile(r"\bsystem[ -](?:prompt|message)s?\b", re.IGNORECASE)
"""A defence names it, too, so that only a trace that does makes it suspect."""
_CODE: Final = re.compile(
    r"^[ \t]{0,3}(?:```|~~~)|\b(?:curl|wget|chmod|powershell|nc|ssh|eval|exec|subprocess|os\.system"
    r"|base64)\b[ \t(]{1,3}[-\w'\"(/$.]"
    r"|\b(?:document|window)\.\w+|\b(?:fetch|alert|require|import)\(|\b(?:rm|sudo)\s-?\w+|;\s?(?:DROP|DELETE"
    r"|INSERT|UPDATE)\s"
    r"|<\?php|#!/|\b(?:base ?64|rot ?-?13|hex(?:adecimal)?|morse)\b",
    re.IGNORECASE | re.MULTILINE,
)
_PLACES: Final = (
    ("markup", _MARKUP),
    ("template syntax", _TEMPLATE),
    ("a role of a chat", _ROLE),
    ("words of another voice", _VOICE),
    ("words of another voice", _OWN_PROMPT),
    ("code", _CODE),
)


def is_plain_prose(case: GuardInput) -> Findings:
    """What in the candidate's new text is not plain prose: a person must look.

    Code passes where the policy in force has code of its own, and `system prompt` where no trace holds it; all else
    passes as far as its wording stands in the policy in force.
    """
    has_code = "```" in case.known or "`" in case.known or "SQL" in case.known
    for what, pattern in _PLACES:
        for match in () if pattern is _CODE and has_code else case.new_matches(pattern):
            own = pattern is _TEMPLATE and match[0].strip("{} ") in case.baseline.variables
            if not own and (pattern is not _OWN_PROMPT or case.traffic.holds(match[0])):
                yield case.holds("person", RULE, f"{what}: {shown(match[0])}", match[0])
