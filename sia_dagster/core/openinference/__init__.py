"""The OpenInference mapping: span rows to samples and back (`schema`, `messages`, `samples`)."""
