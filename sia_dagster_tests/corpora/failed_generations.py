"""Replies of status 200 in the forms that endpoints give them: failed generations, and answers."""

from typing import Any

from simulation.servers import Body, Reply, completion


def _choice(*, error: Any = None, finish_reason: Any = "stop", **message: Any) -> Body:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish_reason}
    return {
        "choices": [choice | ({"error": error} if error is not None else {})],
        "usage": {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14},
    }


STUB = "The parcel is"
"""The beginning of an answer that never came."""

FAILED: dict[str, Body | Reply] = {
    "an error in place of choices": {"error": {"message": "Upstream died.", "code": 502}},
    "an error beside choices": completion(STUB) | {"error": {"message": "Upstream died.", "code": 502}},
    "an error without a code beside choices": completion(STUB) | {"error": "Upstream died."},
    "an error whose code is a text": completion(STUB) | {"error": {"message": "Wait.", "code": "server_error"}},
    "an error in the choice": _choice(content=STUB, error={"message": "Connection lost.", "code": 502}),
    "an error in the choice that ended": _choice(content=STUB, error={"code": 500}, finish_reason="stop"),
    "an error in the message": _choice(content=STUB)
    | {"choices": [{"message": {"content": STUB, "error": {"code": 502, "message": "Upstream died."}}}]},
    "finish_reason as an object": _choice(
        content=STUB, finish_reason={"type": "abort", "message": "Aborted by the scheduler.", "status_code": 503}
    ),
    "finish_reason error": completion(STUB, finish_reason="error"),
    "finish_reason abort": completion(STUB, finish_reason="abort"),
    "finish_reason cancelled": completion(STUB, finish_reason="cancelled"),
    "finish_reason malformed": completion("", finish_reason="MALFORMED_FUNCTION_CALL"),
    "finish_reason of no resources": completion(STUB, finish_reason="insufficient_system_resource"),
    "finish_reason that is not known": completion(STUB, finish_reason="something_new"),
    "an empty choice": completion(""),
    "an empty choice of blanks": completion(" \n"),
    "an empty choice without a reason": _choice(content=None, finish_reason=None),
    "tool calls that are missing": completion(None, finish_reason="tool_calls"),
    "a message of null": {"choices": [{"index": 0, "message": None, "finish_reason": "stop"}]},
    "no choices": {"choices": [], "usage": {"prompt_tokens": 10}},
    "a stream of events": Reply(body=b'data: {"choices": [{"delta": {"content": "The"}}]}\n\ndata: [DONE]\n\n'),
    "a web page": Reply(body=b"<!doctype html><title>Sign in</title>"),
    "an internal status": {"choices": None, "base_resp": {"status_code": 1013, "status_msg": "unknown error"}},
}
"""By what is wrong; each may pass when it is asked again."""

ALIKE: dict[str, Body | Reply] = {
    "an error of code 0 with words": completion(STUB) | {"error": {"code": 0, "message": "Upstream died."}},
    "finish_reason as an object without words": _choice(content=STUB, finish_reason={"type": "error"}),
    "finish_reason as an empty object": _choice(content=STUB, finish_reason={}),
    "finish_reason as a list": _choice(content=STUB, finish_reason=["error"]),
    "finish_reason as a number": _choice(content=STUB, finish_reason=3),
    "finish_reason as false": _choice(content=STUB, finish_reason=False),
}
"""More of the same kinds."""

ANSWERS: dict[str, tuple[Body, str, str]] = {
    "stop": (completion("Yes."), "Yes.", "stop"),
    "a null error": (completion("Yes.") | {"error": None}, "Yes.", "stop"),
    "an empty error": (completion("Yes.") | {"error": {"message": "", "type": "", "code": None}}, "Yes.", "stop"),
    "an error that says there is none": (
        completion("Yes.") | {"error": {"code": 0, "message": "success", "request_id": "r-1"}},
        "Yes.",
        "stop",
    ),
    "an error of code 0 as a text": (completion("Yes.") | {"error": {"code": "0", "message": ""}}, "Yes.", "stop"),
    "an error of OK": (completion("Yes.") | {"error": "OK", "errors": []}, "Yes.", "stop"),
    "a status of 0 as a text": (
        completion("Yes.") | {"base_resp": {"status_code": "0", "status_msg": "success"}},
        "Yes.",
        "stop",
    ),
    "an end as an object": (_choice(content="Yes.", finish_reason={"type": "stop", "matched": 2}), "Yes.", "stop"),
    "another enum's end": (completion("Yes.", finish_reason="FINISH_REASON_STOP"), "Yes.", "stop"),
    "a gateway's end": (completion("Yes.", finish_reason="stopped"), "Yes.", "stop"),
    "a filter with its reason": (completion("", finish_reason="content_filter: SPII"), "", "content_filter"),
    "no reason at all": (_choice(content="Yes.", finish_reason=None), "Yes.", "stop"),
    "a reason of null as text": (completion("Yes.", finish_reason="null"), "Yes.", "stop"),
    "an end of sequence": (completion("Yes.", finish_reason="eos"), "Yes.", "stop"),
    "Anthropic's end": (completion("Yes.", finish_reason="end_turn"), "Yes.", "stop"),
    "Gemini's end": (completion("Yes.", finish_reason="STOP"), "Yes.", "stop"),
    "an enum's end": (completion("Yes.", finish_reason="FinishReason.STOP"), "Yes.", "stop"),
    "a truncated answer": (completion("Yes, beca", finish_reason="MAX_TOKENS"), "Yes, beca", "length"),
    "tokens used up by thoughts": (completion("", finish_reason="length"), "", "length"),
    "a filter": (completion("", finish_reason="SAFETY"), "", "content_filter"),
    "a refusal of the model": (_choice(content=None, refusal="I will not."), "I will not.", "content_filter"),
    "thoughts beside blanks": (_choice(content="\n", reasoning="It is so."), "\n", "stop"),
    "thoughts alone": (_choice(content="", reasoning_content="It is so."), "", "stop"),
}
"""By what is there: the body, the text and the reason."""
