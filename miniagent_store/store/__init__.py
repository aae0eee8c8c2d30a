"""The session store: its protocol, and the one implementation that stands on every backend."""
