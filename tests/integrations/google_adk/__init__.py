"""Tests of the integration with Google's Agent Development Kit."""
