"""Reports: the HTML report of a window with its SVG figures, and the Markdown tables and diffs of the Dagster UI."""
