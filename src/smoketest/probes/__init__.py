"""Ready-made smoke tests of what most projects stand on.

Derive from one in a ``smoke`` module and set its attributes, or name it in
``SMOKETEST_PROBES``. Each makes one test for each subject: an alias, a path, an address.
"""

from __future__ import annotations

from .admin import Admin
from .caches import Caches
from .celery import Celery
from .configured import Environment, Settings
from .databases import Databases
from .endpoints import Endpoints
from .executables import Executables
from .mail import Mail
from .migrations import Migrations
from .mount import Mount
from .network import Names, Ports
from .pages import Pages
from .rabbitmq import RabbitMQ
from .redis import Redis
from .release import Release
from .resources import Disk, Memory
from .search import Search
from .status_pages import StatusPages
from .storages import Storages
from .subjects import Probe
from .system_checks import SystemChecks
from .tasks import Tasks

__all__ = [
    "Admin",
    "Caches",
    "Celery",
    "Databases",
    "Disk",
    "Endpoints",
    "Environment",
    "Executables",
    "Mail",
    "Memory",
    "Migrations",
    "Mount",
    "Names",
    "Pages",
    "Ports",
    "Probe",
    "RabbitMQ",
    "Redis",
    "Release",
    "Search",
    "Settings",
    "StatusPages",
    "Storages",
    "SystemChecks",
    "Tasks",
]

# The address of their tests is the one that they are imported from.
for _name in __all__:
    globals()[_name].__module__ = __name__
