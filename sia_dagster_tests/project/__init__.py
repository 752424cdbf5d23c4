"""Tests of the repository itself: layers and sizes, documentation, examples and exported names."""
