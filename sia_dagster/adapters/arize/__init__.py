"""Arize AX, through its own client: spans in; evaluations, prompts and experiments back. Needs `sia-dagster[arize]`."""
