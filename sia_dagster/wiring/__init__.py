"""From configuration to ports, and the stages of a window: what the Dagster assets and the Python runners both call."""
