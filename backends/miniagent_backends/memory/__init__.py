"""Sessions in the memory of one process: for tests, and the reference for every other backend."""
