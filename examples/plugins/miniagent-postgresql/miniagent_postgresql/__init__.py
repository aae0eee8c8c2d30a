"""Sessions of miniagent-store in PostgreSQL."""
