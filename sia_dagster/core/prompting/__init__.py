"""Prompting: quoting untrusted text, counting tokens, structured answers, and the prompts as files.

Calling a model is the port `ports/model`.
"""

from sia_dagster.core.prompting.quoting import NOTICE, quote
from sia_dagster.core.prompting.structured_answer import Answer, Form
from sia_dagster.core.prompting.structured_calls import StructuredCalls
from sia_dagster.core.prompting.tokens import estimate_tokens

__all__ = ["NOTICE", "Answer", "Form", "StructuredCalls", "estimate_tokens", "quote"]
