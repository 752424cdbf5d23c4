"""Servers and clocks for the tests: Arize and faulty networks are imitated, Phoenix and PostgreSQL are real."""
