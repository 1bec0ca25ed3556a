"""Reports of a benchmark: pure functions of what was stored.

Each is imported by itself: what draws a page needs none that is made for terminals.
"""
