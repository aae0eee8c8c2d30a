"""A plugin that claims what others have."""
