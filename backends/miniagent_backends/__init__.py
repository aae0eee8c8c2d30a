"""The backends that miniagent-store ships: memory and SQLite."""
