"""The wire form of chat completions: request bodies, answers, failures and rate-limit headers."""
