"""Ports: Protocols for what the core needs from the outside world, one file a subject; `adapters` implement them.

Import from the subject's file.
"""
