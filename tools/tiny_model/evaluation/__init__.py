"""Measures nova-tiny through a server's OpenAI-compatible API, on what training never saw."""
