"""Ports: the roles that the outside world plays for the core, as Protocols, one file a subject.

Implementations are in `adapters`. Import from the subject's file: there is no second way in.
"""
