"""Rate limits: requests and tokens a minute, and calls in flight, over all processes of a machine."""
