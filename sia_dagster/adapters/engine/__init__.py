"""The model-call engine: stored answers first, then attempts within limits and budget, each booked.

`calls` sends direct calls and `batches` those of the Batch API, in the form of `wire`; `rate_limits` paces them,
`money` has prices, the spend ledger and the cap, and `store` keeps every paid answer.
"""
