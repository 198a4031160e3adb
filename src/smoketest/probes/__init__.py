"""Ready-made smoke tests of what most projects stand on.

Derive from one in a ``smoke`` module and set its attributes, or name it in
``SMOKETEST_PROBES``. Each makes one test for each subject: an alias, a path, an address.
"""

from __future__ import annotations

from .caches import Caches
from .databases import Databases
from .mail import Mail
from .migrations import Migrations
from .storages import Storages
from .subjects import Probe

__all__ = ["Caches", "Databases", "Mail", "Migrations", "Probe", "Storages"]

# The address of their tests is the one that they are imported from.
for _name in __all__:
    globals()[_name].__module__ = __name__
