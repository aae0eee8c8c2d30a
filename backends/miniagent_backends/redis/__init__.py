"""Sessions in Redis or Valkey: one shared connection, one script a commit."""
