"""One server: connections to it, what they carry, and what it means when they fail; nothing of sessions."""
