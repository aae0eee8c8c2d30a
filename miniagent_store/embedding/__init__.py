"""Embedders: what makes vectors of texts. Each is a plugin; see `miniagent_store.embedder`."""
