"""Tests of the integration with the OpenAI Agents SDK."""
