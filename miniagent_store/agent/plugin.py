"""Registers the built-in chat models."""
