"""`sia check`: configuration, credentials, traces and cost before a run."""
