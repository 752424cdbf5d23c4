"""Reads `sia.yaml` and the environment, with errors that name key and line. The models are in `core/config`."""
