"""Traces from files: finding, querying and reading them with DuckDB."""
