"""Settings of all tests: properties draw the same examples everywhere, and none is timed."""

from hypothesis import settings

settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")
