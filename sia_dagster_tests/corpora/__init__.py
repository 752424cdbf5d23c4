"""Texts and recordings that tests read: recorded spans, documents of format 1, edits and attacks for the guard."""
