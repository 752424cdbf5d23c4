"""Builders and small simulated applications for the tests: samples, judges, verdicts, whole windows, projects."""
