"""`sia policy`: list, show, compare, promote, publish and roll back policies."""
