"""``export``, ``import`` and ``migrate``: sessions from one place to another."""
