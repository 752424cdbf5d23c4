"""Adapters implement the ports: trace stores, model endpoints, the completion store, the policy registry, files."""
