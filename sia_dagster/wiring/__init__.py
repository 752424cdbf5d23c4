"""From configuration to ports: what the Dagster definitions and the Python entry point both build on."""
