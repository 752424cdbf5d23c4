"""What people look at: the HTML report of a window and the tables and diffs of the Dagster UI."""
