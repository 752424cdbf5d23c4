"""The simulated provider and the simulated application: the loop without an account. Nothing here is a real model."""
