"""Direct calls: one chat request to an endpoint, retried and repaired as its answers require."""
