"""What tests of pages need."""

from tests.docs.reader import reader, servers

__all__ = ["reader", "servers"]
