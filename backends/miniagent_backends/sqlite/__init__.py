"""Sessions in a SQLite file: durable on return, shared by all processes of one machine."""
