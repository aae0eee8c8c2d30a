"""Fails on import, as a plugin for another version of something might."""

raise RuntimeError("written for another world")
