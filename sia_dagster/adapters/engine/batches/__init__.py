"""The Batch API: the same requests at half the price within a day."""
