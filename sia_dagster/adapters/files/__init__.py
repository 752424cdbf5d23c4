"""Files in the storage, a folder or a URL: registry, decisions, gate log, publications and span tables."""
