"""`syncer` mirrors GitHub repositories and tells how fresh the copies are.

The flow, as the packages tell it:

    catalog   what we know      repos.toml and the database
    schedule  who is due        pure decisions, with reasons
    upstream  what they have    refs by one request
    sync      one run           probe, fetch, promote, record
    git       where it lives    bare repositories, published by one rename
"""

from __future__ import annotations

__version__ = "0.1.0"
