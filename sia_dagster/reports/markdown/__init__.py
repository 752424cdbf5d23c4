"""Markdown for the metadata of assets in the Dagster UI. The HTML report is `html`."""
