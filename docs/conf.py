"""Sphinx: ``make docs`` builds these pages into ``docs/_build/html``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import django
from django.conf import settings

from smoketest import __version__

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))

# The width of what --help prints, whatever the terminal is.
os.environ["COLUMNS"] = "88"

# autodoc and the generated pages import the package, and that needs a Django project.
settings.configure(INSTALLED_APPS=["smoketest"], SECRET_KEY="documentation", USE_TZ=True)
django.setup()

project = "django-smoketest"
author = "the authors of django-smoketest"
release = __version__
version = release.rpartition(".")[0]

extensions = ["myst_parser", "sphinx.ext.autodoc", "generated", "generated_probes"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3

# Quotation marks in settings and commands are code.
smartquotes = False

autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"

html_theme = "furo"
html_title = f"django-smoketest {release}"
html_show_sourcelink = False
