"""Token counts without a tokenizer: an estimate for limits, never for the bill."""

import math


def estimate_tokens(text: str) -> int:
    """About how many tokens `text` takes: a quarter of its UTF-8 bytes, and no fewer than its words.

    Tokenizers differ by model and load their tables over the network; the bill comes from the endpoint's own usage.
    """
    return max(math.ceil(len(text.encode("utf-8", "surrogatepass")) / 4), len(text.split()))
