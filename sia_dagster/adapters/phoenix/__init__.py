"""Phoenix, by its own client: spans and annotations in, annotations and prompts back. Needs `sia-dagster[phoenix]`."""
