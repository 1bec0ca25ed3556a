"""``nova serve --workers N``: a parent that owns the address and llama.cpp, and those who answer.

The parent binds the address, keeps the embedded engines' child processes and watches over its
workers; it answers no request. A worker is a whole server that accepts on the parent's address.
What they say to each other goes through two pipes a worker, which nobody else can open: the keys
of llama.cpp and the settings stand in no argument list and no environment. The end of its pipe
ends a worker, so that it never outlives its parent.
"""
