"""Conversations over HTTP, kept by miniagent-store: see README.md."""
