"""Memories found by the words in them: names, numbers and identifiers, which no model knows."""
