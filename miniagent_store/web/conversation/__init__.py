"""Logs as people read them: from stored entries to what a page shows.

`ranges` reads a part of a log, `shapes` finds out what a message says whichever framework wrote it,
`markdown` makes safe HTML of it, `damage` says what cannot be read and why, `tail` tells what is new.
"""
