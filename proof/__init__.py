"""`make proof`: the scheduler's promises, tried on the release binary from outside.

What it believes are outside traces (files that jobs append to, a recorder of HTTP requests, the process table)
and the run records in the database; nothing of the server's own code is used. Each file of `checks` tries one
family of promises; `__main__` runs them and writes docs/PROOF.md.
"""
