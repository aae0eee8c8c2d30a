"""A page a file; its template has the same name."""
