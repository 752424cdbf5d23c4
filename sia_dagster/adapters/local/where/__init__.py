"""The condition `traces.where` over trace files: what it may hold, and what it becomes for each group of files."""

from sia_dagster.adapters.local.where.condition import Condition, named_columns, parse_condition, partition_values

__all__ = ["Condition", "named_columns", "parse_condition", "partition_values"]
