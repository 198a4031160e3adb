"""The gate, ``python -m smoketest URL``: one verdict over the web nodes of a site.

It needs no project and reads no settings: it asks each node over HTTP for the report of
its smoke tests, and makes one report of the answers. ``program`` is what is started,
``rounds`` says when to ask again, ``asking`` asks, ``reading`` reads what came back,
``problems`` says why nothing did, ``addresses`` says whom to ask, and ``credentials`` keeps
the token to itself.
"""

from __future__ import annotations
