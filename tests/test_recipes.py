"""The recipes: each is read by the client that it is for, where that is here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import load_command_class
from markdown_it import MarkdownIt

from smoketest import conf, periodic
from smoketest.results import Report
from tests.scripted import Scripted, node, report, say

HOW_TO = Path(__file__).parent.parent / "docs" / "how-to"
NAME = re.compile(r"(?:#|//) (\S+)\n")


def blocks(page: str) -> Iterator[tuple[str, str]]:
    """Yield language and text of each fenced block of a page."""
    for token in MarkdownIt().parse((HOW_TO / f"{page}.md").read_text()):
        if token.type == "fence":
            yield token.info.strip(), token.content


def files(page: str) -> dict[str, str]:
    """Return the files that a page shows, by the names in their first lines; the first of each."""
    found: dict[str, str] = {}
    for _, text in blocks(page):
        if (match := NAME.search(text.removeprefix("#!/bin/sh\n"))) and match.start() == 0:
            found.setdefault(match[1], text)
    return found


def needed(program: str) -> str:
    """Return the path of ``program``, or skip the test."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


PAGES = ("monitor", "pipelines", "platforms", "schedule")
DOCUMENTS = [text for page in PAGES for language, text in blocks(page) if language == "yaml"]


@pytest.mark.parametrize("text", DOCUMENTS)
def test_yaml_is_a_mapping(text: str) -> None:
    assert isinstance(yaml.safe_load(text), dict)


def commands() -> Iterator[str]:
    """Yield the arguments of each call of the command that the recipes have."""
    for page in PAGES:
        for _, text in blocks(page):
            joined = re.sub(r"\\\n\s*", "", text)
            for match in re.finditer(
                r"manage\.py smoketest([^'\"\n|>]*?)(?: 2)?(?=['\"\n|>])", joined
            ):
                yield match[1].strip()


def parsed(words: list[str]) -> dict[str, Any]:
    command = load_command_class("smoketest", "smoketest")
    return vars(command.create_parser("manage.py", "smoketest").parse_args(words))


@pytest.mark.parametrize("arguments", sorted(set(commands())))
def test_the_command_has_every_option_that_a_recipe_uses(arguments: str) -> None:
    assert parsed(arguments.split())["labels"] == []


def test_every_recipe_that_calls_the_command_was_found() -> None:
    assert len(list(commands())) >= 9


def test_the_job_of_kubernetes_is_not_repeated_and_ends() -> None:
    job: dict[str, Any] = yaml.safe_load(files("platforms")["smoketest-job.yaml"])
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    assert job["spec"]["backoffLimit"] == 0
    pod = job["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    # More than the wait and the last attempt after it.
    assert job["spec"]["activeDeadlineSeconds"] > 60 + 25
    _, _, command, *words = pod["containers"][0]["command"]
    assert command == "smoketest"
    assert parsed(words)["wait"] == 60


def test_the_cron_job_of_kubernetes_never_runs_beside_itself_and_ends() -> None:
    job: dict[str, Any] = yaml.safe_load(files("schedule")["smoketest-cronjob.yaml"])
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    spec = job["spec"]["jobTemplate"]["spec"]
    assert spec["backoffLimit"] == 0
    assert spec["activeDeadlineSeconds"] > conf.settings.deadline
    [container] = spec["template"]["spec"]["containers"]
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    _, _, command, *words = container["command"]
    assert command == "smoketest"
    assert parsed(words)["tags"] == ["monitor"]


def test_the_schedule_of_beat_names_the_task_and_words_that_it_takes() -> None:
    [text] = [text for _, text in blocks("schedule") if "BEAT" in text]
    assigned: dict[str, Any] = {}
    exec(text, assigned)
    [entry] = assigned["CELERY_BEAT_SCHEDULE"].values()
    assert entry["task"] == periodic.TASK
    assert periodic.selection(**entry["kwargs"]).tags == ("monitor",)
    assert entry["options"]["expires"] < entry["schedule"]


def promtool(*arguments: str, folder: Path, said: str | None = None) -> str:
    """Return what promtool says, which has nothing to object."""
    done = subprocess.run(
        [needed("promtool"), *arguments],
        input=said,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_configuration_and_rules(tmp_path: Path) -> None:
    for name, text in files("monitor").items():
        if name.endswith(".yml"):
            token = tmp_path / "token"
            token.write_text("a-token")
            path = "/etc/prometheus/smoketest-token"
            (tmp_path / name).write_text(text.replace(path, str(token)))
    assert "3 rules found" in promtool("check", "config", "prometheus.yml", folder=tmp_path)


# Unit tests of promtool: an hour in which minute by minute there is what `series` says.
RULES = """
rule_files: [smoketest.rules.yml, smoketest-fleet.rules.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {series: 'smoketest_run_success{instance="www"}', values: '0x10'}
      - {series: 'smoketest_node_success{instance="www",node="web-1"}', values: '1x10'}
      - {series: 'smoketest_node_success{instance="www",node="web-2"}', values: '0x10'}
      - {series: 'smoketest_run_timestamp_seconds{instance="www"}', values: '60x10'}
    alert_rule_test:
      - {eval_time: 1m, alertname: SmokeTestsOfANodeFail, exp_alerts: []}
      - eval_time: 3m
        alertname: SmokeTestsOfANodeFail
        exp_alerts:
          - exp_labels: {severity: warning, instance: www, node: web-2}
            exp_annotations:
              summary: "web-2 does not pass its smoke tests, or gives no report"
      - eval_time: 3m
        alertname: SmokeTestsFail
        exp_alerts:
          - exp_labels: {severity: critical, instance: www}
            exp_annotations: {summary: Smoke tests fail on www}
      - {eval_time: 6m, alertname: SmokeTestsAreOld, exp_alerts: []}
      - eval_time: 8m
        alertname: SmokeTestsAreOld
        exp_alerts:
          - exp_labels: {severity: critical, instance: www}
            exp_annotations: {summary: Nobody has run the smoke tests for five minutes}
"""


def test_the_alerts_on_a_fleet_fire_when_they_should(tmp_path: Path) -> None:
    for name, text in files("monitor").items():
        if name.endswith("rules.yml"):
            (tmp_path / name).write_text(text)
    (tmp_path / "tests.yml").write_text(RULES)
    assert "SUCCESS" in promtool("test", "rules", "tests.yml", folder=tmp_path)


GATE = "/opt/smoketest/bin/python"


def of_nagios() -> str:
    """Return the command line of the service, with what the service puts into it."""
    text = files("monitor")["/etc/nagios4/conf.d/smoketest.cfg"]
    line: str
    [line] = re.findall(r"command_line +(.+)", text)
    [check] = re.findall(r"check_command +(.+)", text)
    name, *arguments = check.split("!")
    assert re.findall(r"command_name +(.+)", text) == [name]
    for number, argument in enumerate(arguments, 1):
        line = line.replace(f"$ARG{number}$", argument)
    assert "$" not in line
    return line


def of_icinga() -> str:
    """Return the command line that Icinga makes of the command and the variables."""
    text = files("monitor")["/etc/icinga2/conf.d/smoketest.conf"]
    variables: dict[str, str] = dict(re.findall(r"vars\.(\w+) = \"?([^\"\n]+)", text))
    words = " ".join(re.findall(r'"([^"]+)"', re.findall(r"command = \[(.+)\]", text)[0]))
    for key, value in re.findall(r'^    "([\w-]+)" = (.+)', text, re.MULTILINE):
        literal = re.findall(r'"([^"]+)"', value)
        key_and_value = [] if "skip_key" in value else [key]
        words += " " + " ".join(key_and_value + literal)
    return re.sub(r"\$(\w+)\$", lambda name: variables[name[1]], words)


def of_cron() -> str:
    line = files("monitor")["/etc/cron.d/smoketest-fleet"].splitlines()[-1]
    assert "%" not in line  # would end the command
    return line.split(" prometheus ", 1)[1]


def asked(
    line: str, folder: Path, server: Scripted, nodes: int
) -> subprocess.CompletedProcess[str]:
    """Run a recipe's command line, with ``server`` for the site, which is to have ``nodes``."""
    token = folder / "token"
    token.write_text("a-token-that-is-no-argument\n")
    for old, new in (
        (GATE, sys.executable),
        ("https://www.example.com/smoketest/", server.url),
        ("--expect-nodes 2", f"--expect-nodes {nodes}"),
        ("/var/lib/prometheus/node-exporter", str(folder)),
    ):
        line = line.replace(old, new)
    line = re.sub(r"/\S+-token\b", str(token), line)
    # asyncio's debug mode, a part of the development mode, reports what is slow.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDEVMODE"}
    return subprocess.run(
        line, shell=True, capture_output=True, text=True, check=False, cwd=folder, env=kept
    )


@pytest.mark.parametrize("line", [of_nagios, of_icinga])
@pytest.mark.parametrize(
    ("said", "nodes", "status", "word"),
    [
        (report(), 1, 0, "OK"),
        (report("mail"), 1, 2, "CRITICAL"),
        (report(), 2, 2, "CRITICAL"),
    ],
)
def test_the_gate_is_a_plugin(
    tmp_path: Path, line: Callable[[], str], said: Report, nodes: int, status: int, word: str
) -> None:
    with node(say(said)) as server:
        done = asked(line(), tmp_path, server, nodes)
    assert (done.returncode, done.stderr) == (status, "")
    assert done.stdout.startswith(f"SMOKETEST {word} - ")
    [(path, headers)] = server.asked
    assert "tag=monitor" in path
    assert headers["Authorization"] == "Bearer a-token-that-is-no-argument"


def test_the_gate_writes_what_node_exporter_reads_and_cron_mails_nothing(tmp_path: Path) -> None:
    with node(say(report("mail"))) as server:
        done = asked(of_cron(), tmp_path, server, 1)
    assert (done.stdout, done.stderr) == ("", "")
    written = tmp_path / "smoketest.prom"
    assert written.stat().st_mode & 0o044 == 0o044  # of another user
    assert "smoketest_run_success 0.0" in written.read_text()
    promtool("check", "metrics", folder=tmp_path, said=written.read_text())


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    analyze = needed("systemd-analyze")
    units = {
        Path(name).name: text for name, text in files("platforms").items() if "systemd" in name
    }
    assert len(units) == 3
    for name, text in units.items():
        here = text.replace("/srv/site/.venv/bin/python", sys.executable)
        (tmp_path / name).write_text(here.replace("/srv/site", str(tmp_path)))
    checked = subprocess.run(
        [analyze, "verify", *sorted(units)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    complaints = [line for line in checked.stderr.splitlines() if "smoketest" in line]
    assert complaints == []


def test_shell_can_read_the_scripts() -> None:
    scripts = [text for page in PAGES for language, text in blocks(page) if language == "shell"]
    assert len(scripts) >= 5
    for script in scripts:
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize(("status", "printed"), [(0, ""), (1, "FAIL: it is broken\n")])
def test_the_job_of_cron_prints_the_report_of_a_failure_only(
    tmp_path: Path, status: int, printed: str
) -> None:
    line = files("platforms")["/etc/cron.d/smoketest"].splitlines()[-1]
    assert "%" not in line  # would end the command
    job = line.split("www-data ")[1].replace("/srv/site", str(tmp_path))
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\necho 'FAIL: it is broken'\nexit {status}\n")
    python.chmod(0o755)
    done = subprocess.run(["sh", "-c", job], capture_output=True, text=True, check=False)
    assert done.stdout == printed
