"""The table of how endpoints say what is wrong: a kind of failure by codes, phrases and statuses."""

import re
from typing import Final, Literal, NamedTuple

Kind = Literal[
    "no_quota",
    "bad_key",
    "no_rights",
    "no_model",
    "no_api",
    "moderated",
    "too_long",
    "feature",
    "bad_request",
    "rate_limit",
    "overloaded",
    "unreachable",
    "no_answer",
]
"""What a failure is."""


class Sign(NamedTuple):
    """A kind of failure, and what gives it away: one of the codes, or one of the phrases in the message."""

    kind: Kind
    statuses: tuple[int, ...]
    """The only statuses with which it counts, beside those below 400; empty: any."""
    codes: tuple[str, ...]
    """In lower case, whole; `\\w*` stands for any ending."""
    phrases: tuple[str, ...]
    """Regular expressions without capitals, each of bounded length, so that any message is searched in linear time."""


SIGNS: Final[tuple[Sign, ...]] = (
    # A minute's limit may be called a quota, and a day's limit a rate: what decides is when it ends.
    Sign(
        "too_long",
        (413, 429),
        (),
        ("request too large for", "tokens must be reduced in order to run", "required for long context"),
    ),
    Sign(
        "no_quota",
        (429,),
        (),
        (
            r"(?:per|by)[ _-]?(?:day|week|month)(?:\b|per|_)|per 86400 ?s|\b[tr]pd\b|calls / month",
            r"(?:daily|weekly|monthly) (?:[\w-]{1,20} ){0,2}(?:limit|quota|allocation|allowance|usage)",
            "(?:今日|当日|本周|本月).{0,8}上限",
        ),
    ),
    Sign(
        "rate_limit",
        (429,),
        (),
        (r"(?:per|by)[ _-]?(?:minute|second)", "(?:retry|wait) (?:in|after) ", "try again in ", "rate limit of your"),
    ),
    Sign(
        "no_quota",
        (),
        (
            *("insufficient_quota", "insufficient_credits", "insufficient_balance", "insufficient_user_quota"),
            *(r"billing_\w*", "arrearage", "exceeded_current_quota_error", "budget_exceeded", "credit_unresolved"),
            *("1113", "1304", "1308", "1309", "1310", "30001", "4006"),  # z.AI, SiliconFlow, Cloudflare
        ),
        (
            "insufficient (?:account )?(?:balance|credit|funds|quota)",
            "balance is (?:too low|insufficient|not enough)",
            "exceeded your (?:current quota|monthly included)",
            "out of credits|have (?:no|any) credits|requires? more credits|used all available credits",
            "credits? (?:(?:is|are|was|were|has been|have been) )?(?:expired|exhausted|depleted|used up)",
            r"(?:reached|exceeded|hit) (?:your|its|the) (?:\w{1,20} ){0,4}usage limit",
            "usage limit (?:was |has been )?reached",
            "spend(?:ing)? limit|billing (?:hard )?limit|past invoices|purchase (?:more )?credits",
            "budget has been exceeded|exceededbudget",
            r"account (?:\S{1,80} )?is (?:suspended|not active|in arrears)|account is in good standing",
            "余额不足|欠费",
        ),
    ),
    Sign(
        "bad_key",
        (400, 401, 403, 407),
        ("invalid_api_key", "api_key_invalid", "invalid_authentication"),
        (
            "(?:incorrect|invalid|expired|missing) api[ _]key",
            "api[ _]key (?:is )?(?:not valid|invalid|expired|not found)",
            "no api key provided|invalid (?:authentication|credentials)",
        ),
    ),
    Sign(
        "no_rights",
        (),
        ("access_terminated", "account_deactivated"),
        ("access was terminated", "(?:account|organization) has been (?:disabled|deactivated|terminated)"),
    ),
    Sign(
        "moderated",
        (400, 403, 406, 421, 422, 451, 500),
        (
            *("content_filter", "content_policy_violation", "responsibleaipolicyviolation", r"moderation\w*"),
            *("data_inspection_failed", "datainspectionfailed", "prohibited_content", "invalid_prompt"),
            "1301",  # z.AI
        ),
        (
            "requires moderation|moderation block|(?:was|were|been|prompt|input) flagged|you have been blocked",
            "content (?:management )?polic|usage (?:guideline|polic)",
            "safety (?:system|check|reason|filter)|safety_check|content filter|guardrail",
            "content exists risk|inappropriate content|considered high risk|prohibited content",
            "敏感|不安全",
        ),
    ),
    Sign(
        "too_long",
        (400, 403, 413, 422, 424, 500),
        (
            *("context_length_exceeded", "exceed_context_size_error", "request_too_large", "string_above_max_length"),
            *("3051", "1261"),  # Mistral, z.AI
        ),
        (
            "(?:context|prompt) (?:length|window|size)|maximum (?:context|prompt|number of tokens)",
            "(?:prompt|input) is too long|too (?:long|large) for (?:the )?(?:requested )?model|longer than the model",
            "too many (?:input )?tokens|token count .{0,40}exceed|. must be <=|must have less than",
            "reduce (?:the|your) (?:length|message|prompt)|exceeds? (?:the )?(?:available )?context",
            "context the overflows|maximum allowed length",
        ),
    ),
    # Of a model that reads text alone: a request without images may pass.
    Sign(
        "bad_request", (403, 404), (), (r"support\w* (?:\w{1,20} )?(?:image|audio|video|vision|file|pdf|multimodal)",)
    ),
    Sign("bad_request", (500,), (), ("(?:image|audio|video) input is not supported",)),  # llama.cpp
    Sign(
        "no_model",
        (400, 403, 404, 410, 412, 422, 424, 500),
        (
            *("model_not_found", "invalid_model", "model_decommissioned", "model_not_available"),
            *("deploymentnotfound", "modelnotfound", "1211"),  # the last is z.AI's
        ),
        (
            r"model [`'\"]?[^\s`'\"]{1,160}[`'\"]? .{0,25}(?:not found|not exist|n.t exist|decommission)",
            r"models/\S{1,160} is not found|model (?:was )?not (?:found|exist)|no such model|not a valid model",
            "(?:invalid|unknown|unable to access) model|model identifier is invalid|not supported by any provider",
            "模型不存在|no models? loaded|failed to load model|no endpoints found for|on-demand throughput",
        ),
    ),
    Sign(
        "bad_request",
        (400, 422),
        (
            *("tool_use_failed", "json_validate_failed", r"invalid_image\w*", "invalid_base64", "image_parse_error"),
            r"(?:string|int|float|bool|dict|list|model|iterable|model_attributes)_(?:type|parsing)",  # pydantic
            *("missing", "missing_required_parameter", "invalid_type", r"literal_error|value_error\.\w+|json_invalid"),
        ),
        (),
    ),
    # Of a request with tools or a form: another form of it may pass.
    Sign(
        "feature",
        (400, 404),
        (),
        (
            r"\b(?:tools?|tool_choice|function.?call\w{0,10})\b|response_format|json_schema|structured output",
            "handle the requested parameters",
        ),
    ),
    Sign(
        "no_rights",
        (400, 401, 403),
        (r"unsupported_country\w*", "permission_denied", r"accessdenied\w*", r"insufficient_permissions?"),
        (
            "insufficient permissions|missing scopes|do(?:es)?n.t have access|not have (?:access|permission)",
            "location is not supported|(?:country|region).{0,40}not supported|permission .{0,80}denied",
        ),
    ),
    Sign(
        "rate_limit",
        (400, 403, 424, 500),
        (r"rate_limit\w*", "too_many_requests", r"throttling\w*", "resource_exhausted"),
        (),
    ),
)
"""In order: the first that fits decides. In a 400 or 422, which may repeat anything, a code decides before phrases."""

_CODE_FIRST = (400, 422)

_NEVER = "(?!)"

_COMPILED = [
    (sign, re.compile("|".join(sign.codes) or _NEVER), re.compile("|".join(sign.phrases) or _NEVER)) for sign in SIGNS
]


def kind_by_signs(status: int, code: str, message: str) -> Kind | None:
    """The kind that code and message give away with this HTTP status; None where they say nothing known."""
    code, message = code.casefold(), message.casefold()
    rows = [row for row in _COMPILED if not row[0].statuses or status in row[0].statuses or status < 400]
    by_code = (sign.kind for sign, codes, _ in rows if codes.fullmatch(code))
    if status in _CODE_FIRST and (found := next(by_code, None)) is not None:
        return found
    return next((sign.kind for sign, codes, phrases in rows if codes.fullmatch(code) or phrases.search(message)), None)
