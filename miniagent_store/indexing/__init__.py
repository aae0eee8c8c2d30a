"""Vector indexes that need no server. Each is a plugin; see `miniagent_store.vector_index`."""
