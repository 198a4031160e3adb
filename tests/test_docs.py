"""What the documentation shows is what happens.

The examples of each page are run in a small project, in the order of the page:

- A block whose first line is a comment with a path is a file of that project.
  ``config/settings.py`` is added to, and so is a ``urls.py`` by ``urlpatterns +=``; any
  other file is replaced.
- ```` ```console ```` runs the lines that begin with ``$ python manage.py``, and
  compares what they print with what stands below them. A line ``...`` stands for
  any number of lines. Times, dates and this machine's names are not compared.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from markdown_it import MarkdownIt

from smoketest import __version__, renderers
from smoketest.conf import RELEASE_VARIABLES
from smoketest.gate import options

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
RUNS = re.compile(r"python (manage\.py (smoketest|test|check|shell)|-m pytest)\b")
FILE = re.compile(r"# ((?:\w+/)*\w+\.(?:py|ini))\n")

PROJECT = {
    "manage.py": """
        import os, sys
        from django.core.management import execute_from_command_line
        os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
        execute_from_command_line(sys.argv)
        """,
    "config/__init__.py": "",
    "config/settings.py": """
        from pathlib import Path
        BASE_DIR = Path(__file__).resolve().parent.parent
        SECRET_KEY = "for-the-examples-of-the-documentation-only-0123456789"
        INSTALLED_APPS = [
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.messages",
            "django.contrib.sessions",
            "shop",
        ]
        MIDDLEWARE = [
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ]
        TEMPLATES = [{
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {"context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]},
        }]
        ROOT_URLCONF = "config.urls"
        ALLOWED_HOSTS = ["www.example.com"]
        DATABASES = {"default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": BASE_DIR / "shop.sqlite3",
            "TEST": {"NAME": BASE_DIR / "test.sqlite3"},
        }}
        DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
        PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
        MEDIA_ROOT = BASE_DIR / "media"
        STATIC_URL = "static/"
        USE_TZ = True
        """,
    "config/urls.py": """
        from django.contrib import admin
        from django.urls import path
        from shop.views import home
        urlpatterns = [path("", home, name="home"), path("admin/", admin.site.urls)]
        """,
    "media/uploads.txt": "",
    "shop/__init__.py": "",
    "shop/models.py": """
        from django.db import models
        class Product(models.Model):
            name = models.CharField(max_length=100)
            price = models.DecimalField(max_digits=8, decimal_places=2, default=1)
            stock = models.PositiveIntegerField(default=0)
        """,
    "shop/views.py": """
        from django.http import HttpResponse
        from shop.models import Product
        def home(request):
            return HttpResponse(", ".join(Product.objects.values_list("name", flat=True)))
        """,
}

VOLATILE = [
    # The same where a format writes a line's end otherwise.
    (re.compile(r"(?:\\n|%0A) +[~^]+(?=\\n|%0A)"), ""),
    (re.compile(r"^ *[~^]+\n", re.MULTILINE), ""),  # which Python draws where is its own affair
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.+]+"), "<when>"),
    # Not 0.0 and 1.0, which are the yes and no of metrics.
    (re.compile(r"(?![01]\.0\b)\d+\.\d+(e[-+]\d+)?"), "<number>"),
    (re.compile(r'("pid"(?:: | value=)"?)\d+'), r"\1<number>"),
    (re.compile(r'("node": |\bnode=|\bhostname=)"?[\w.-]+"?'), r"\1<name>"),
]


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    tokens = MarkdownIt().parse(page.read_text())
    return [
        Block(token.info.strip(), token.content, token.map[0] + 2)
        for token in tokens
        if token.type == "fence" and token.map
    ]


def commands(block: Block) -> Iterator[tuple[str, str]]:
    """Yield each command of a console block that is to be run, and what it should print."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        if RUNS.match(command):
            yield command, expected


def has_runs(page: Path) -> bool:
    return any(list(commands(block)) for block in blocks(page) if block.language == "console")


def comparable(text: str) -> str:
    """Return ``text`` without what differs from run to run."""
    for pattern, stands_for in VOLATILE:
        text = pattern.sub(stands_for, text)
    return text


def matches(expected: str, printed: str) -> bool:
    """Whether ``printed`` is what was ``expected``; a line ``...`` is any number of lines."""
    pattern = "".join(
        r"(?:.*\n)*" if line.strip() == "..." else re.escape(line) + r"\n"
        for line in comparable(expected).splitlines()
    )
    return re.fullmatch(pattern, comparable(printed)) is not None


INSTALLED = 'INSTALLED_APPS += ["smoketest"]\n'

ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("DJANGO_", "SMOKETEST_", "PYTEST_", "COV_"))
    and name not in RELEASE_VARIABLES
} | {"PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "100"}


class Project:
    """A project on disk, with one product in its database."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def made(cls, root: Path) -> Project:
        """Return a new one."""
        project = cls(root)
        for path, text in PROJECT.items():
            project.write(path, dedent(text).lstrip())
        product = "from shop.models import *; Product.objects.create(name='Teapot')"
        project.run("python manage.py makemigrations shop -v 0", check=True)
        project.run("python manage.py migrate -v 0", check=True)
        project.run(f'python manage.py shell -v 0 -c "{product}"', check=True)
        return project

    def write(self, path: str, text: str) -> None:
        """Write a file, and the folders above it."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def add(self, path: str, text: str) -> None:
        """Put a file of the documentation in its place."""
        if path.endswith("settings.py"):
            settings = (self.root / "config/settings.py").read_text()
            if INSTALLED in text:  # this page shows how
                settings = settings.replace(INSTALLED, "")
            self.write("config/settings.py", settings + text)
        elif path.startswith("shop/smoke/"):
            self.write("shop/smoke/__init__.py", "")
            self.write(path, text)
        elif "urlpatterns +=" in text:
            self.write("config/urls.py", (self.root / "config/urls.py").read_text() + text)
        else:
            self.write(path, text)

    def run(self, command: str, check: bool = False) -> str:
        """Return what ``command`` prints; with ``check`` it must not fail."""
        ended = subprocess.run(
            re.sub(r"\bpython ", f"{sys.executable} ", command),
            shell=True,
            check=check,
            cwd=self.root,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return ended.stdout.replace(str(self.root), "/srv/site")


@pytest.fixture(scope="module")
def new_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.made(tmp_path_factory.mktemp("project"))


@pytest.fixture
def project(new_project: Project, tmp_path: Path) -> Project:
    """A fresh copy of the project, in which ``smoketest`` is installed."""
    copied = Project(tmp_path / "site")
    shutil.copytree(new_project.root, copied.root)
    copied.add("config/settings.py", INSTALLED)
    return copied


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_python_example_compiles(page: Path) -> None:
    for block in blocks(page):
        if block.language == "python":
            compile(block.text, f"{page}:{block.line}", "exec")


LONG = ("docs/reference/formats.md", "docs/how-to/test-runners.md")
"""Pages whose commands take more than five seconds."""


def run_by(page: Path) -> Any:
    """Return ``page`` as a parameter."""
    return pytest.param(page, marks=pytest.mark.slow if name(page) in LONG else ())


@pytest.mark.parametrize("page", [run_by(page) for page in PAGES if has_runs(page)], ids=name)
def test_every_command_prints_what_the_page_shows(page: Path, project: Project) -> None:
    for block in blocks(page):
        file = FILE.match(block.text)
        if file:
            project.add(file[1], block.text)
        if block.language == "console":
            for command, expected in commands(block):
                printed = project.run(command)
                assert 'manage.py", line' not in printed, "it crashed"
                if expected and not matches(expected, printed):
                    pytest.fail(f"{page}:{block.line}: {command}\n{printed}", pytrace=False)


def test_readme_leads_from_pip_to_a_served_report_in_a_new_project(tmp_path: Path) -> None:
    """To the letter: ``django-admin startproject``, and what the README says to add."""
    page = ROOT / "README.md"
    subprocess.run(
        [sys.executable, "-m", "django", "startproject", "config", tmp_path],
        check=True,
        env=ENVIRONMENT,
    )
    project = Project(tmp_path)
    for block in blocks(page):
        file = FILE.match(block.text)
        if file and not file[1].startswith("shop/"):
            path = tmp_path / "config" / file[1]
            path.write_text(path.read_text() + block.text)
    project.run("python manage.py migrate -v 0", check=True)
    [first, *_] = project.run("python manage.py smoketest").splitlines()
    get = "print(Client(SERVER_NAME='localhost').get('/smoketest/').text)"
    served = project.run(f'python manage.py shell -v 0 -c "from django.test import Client; {get}"')
    assert first == "PASS: 4 of 4 tests passed, 1 skipped"
    assert served.startswith("PASS\n")
    assert "path('admin/'" in project.run("cat config/urls.py")


def test_readme_calls_the_gate_by_options_that_there_are() -> None:
    [line] = re.findall(r"^\$ python -m smoketest (.+)", (ROOT / "README.md").read_text(), re.M)
    assert options.parsed(shlex.split(line))["urls"] == ["https://www.example.com/smoketest/"]


def test_readme_names_the_version_while_pip_must_be_told() -> None:
    readme = (ROOT / "README.md").read_text()
    assert (f'pip install "django-smoketest>={__version__}"' in readme) is ("rc" in __version__)


def test_keys_of_a_report_are_those_that_the_reference_lists(project: Project) -> None:
    page = (ROOT / "docs/reference/formats.md").read_text()
    section = page.partition("\n## json\n")[2].partition("\n## ")[0]
    listed = {
        key
        for line in section.splitlines()
        if line.startswith("| `")
        for key in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    project.add(
        "shop/smoke.py",
        "from smoketest import SmokeTest\nclass A(SmokeTest):\n  def test_a(self): pass\n",
    )
    report = json.loads(project.run("python manage.py smoketest --format json"))
    assert listed == {*report, *report["results"][0]}


@pytest.mark.parametrize("format", renderers.formats())
def test_every_format_is_shown_on_its_page_as_it_comes_out(format: str) -> None:
    """That what is shown is true is tested with the page's other commands."""
    page = ROOT / "docs/reference/formats.md"
    shown = [
        command
        for block in blocks(page)
        if block.language == "console"
        for command, expected in commands(block)
        if re.search(rf"--format {format}\b", command) and expected
    ]
    assert len(shown) == 1
    assert f"\n## {format}\n" in page.read_text()


PAPERS = [ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")]


@pytest.mark.parametrize("page", [*PAGES, *PAPERS, ROOT / "example/README.md"], ids=name)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_architecture_page_names_every_room() -> None:
    page = (ROOT / "docs/explanation/architecture.md").read_text()
    house = ROOT / "src/smoketest"
    files = {f"`{file.stem}`" for file in house.glob("[!_]*.py")}
    wings = {f"`{file.parent.name}/`" for file in house.glob("*/__init__.py")}
    assert {room for room in files | wings if room not in page} == set()
