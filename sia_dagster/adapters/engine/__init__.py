"""The model-call engine: stored answers first, then attempts within limits and budget, each booked."""
