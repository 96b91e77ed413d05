"""Lists of clients to act on, all of one shape: `registry` declares each, `decision` gives every
client one action.

`desk` holds what they are made from, `portfolio` and `service` make their rows, `reasons` their
words, `views` the tables.
"""
