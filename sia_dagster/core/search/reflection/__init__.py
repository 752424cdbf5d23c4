"""The updater that reads what evaluators said of failures and asks a model for edits of the prompt."""
