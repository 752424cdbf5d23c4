"""The loop in Dagster: partitions, assets, checks, resources, jobs, schedules and sensors.

The code location loads specs and names alone. What a stage needs of `wiring`, `reports` and the rooms of `core` is
imported by the function that runs it: with all of it the import costs 1.85 times that of dagster, without 1.15 times.
"""
