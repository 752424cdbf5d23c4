"""The loop in Dagster: partitions, assets, checks, resources, jobs, schedules and sensors."""
