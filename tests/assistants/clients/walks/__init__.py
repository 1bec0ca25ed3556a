"""What a user of the official client does, step by step, run by each version's own interpreter.

Nothing here may import more than that client and the standard library.
"""
