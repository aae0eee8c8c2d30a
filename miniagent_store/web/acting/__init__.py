"""What changes sessions, only with ``allow_write``: it asks first, says what goes, and is written down.

An act is a `Kind` (`kind`): `renewing`, `forking`, `removing`, `redacting`, `undoing`. `audit` keeps who
did what; `keeping` keeps aside what an act takes away, for as long as it may be undone.
"""
