"""Tests of whole windows through the real job: both platforms, bad input, kills, repeated runs, annotations."""
