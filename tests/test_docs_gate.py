"""The recipes for a gate: every script of the page is run, at every status of the gate.

With stand-ins for the platforms, which cannot be had here: see ``tests.recipes`` for
what such a test can show and what it cannot. Only git, the shells, jq and ssh's remote
commands are the real thing.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from smoketest import arguments
from smoketest.gate import options
from tests.recipes import Stage, examples, shown
from tests.test_recipes import needed, parsed

PAGE = Path(__file__).parent.parent / "docs" / "how-to" / "gate.md"
SECTIONS = (
    "Plain ssh",
    "GitHub Actions",
    "GitLab",
    "Kamal",
    "Kubernetes",
    "Heroku",
    "AWS CodeDeploy",
)
# 2 is wrong usage, 3 is "could not tell", 127 is a shell's for a program that is not there.
UNCLEAR = ("2", "3", "127")
# The release before failed, so that going back would not help; or could not be asked.
HOPELESS = {"GATE_BEFORE": "1", "GATE": "1"}
ALONE = "was left as it is"
PERSON = "Call a person"


def recipe(title: str) -> dict[str, str]:
    return shown(PAGE, title)


def document(title: str, name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(recipe(title)[name])
    return loaded


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


# What each section shows


@pytest.mark.parametrize("title", SECTIONS)
def test_every_section_has_files(title: str) -> None:
    assert recipe(title)


@pytest.mark.parametrize("title", SECTIONS)
def test_every_script_can_be_read_by_its_shell(title: str) -> None:
    for language, text in examples(PAGE, title):
        if language == "shell":
            shell = "sh" if text.startswith("#!/bin/sh") else "bash"
            subprocess.run([shell, "-n"], input=text, text=True, check=True)


@pytest.mark.parametrize("title", SECTIONS)
def test_no_secret_stands_in_a_recipe(title: str) -> None:
    for _, text in examples(PAGE, title):
        assert not re.search(r"Bearer|TOKEN[:=] *['\"]?\w{8,}$", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("title", "name", "schema"),
    [
        ("GitHub Actions", ".github/workflows/release.yml", "vendor.github-workflows"),
        ("GitLab", ".gitlab-ci.yml", "vendor.gitlab-ci"),
    ],
)
def test_the_jobs_are_as_their_published_schema_says(
    tmp_path: Path, title: str, name: str, schema: str
) -> None:
    path = tmp_path / "job.yml"
    path.write_text(recipe(title)[name])
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


# Plain ssh


@pytest.fixture
def hosts(stage: Stage) -> Stage:
    """Return a stage with two hosts that serve one release, and a commit after it."""
    stage.put(recipe("Plain ssh"))
    before = stage.commit("before")
    assert stage.run("./deploy.sh", before).returncode == 0
    assert stage.serving() == {before}
    stage.variables |= {"BEFORE": before, "RELEASE": stage.commit("after")}
    return stage


def test_a_release_that_passes_is_left_on_every_host(hosts: Stage) -> None:
    done = hosts.run("./release.sh")
    assert (done.returncode, hosts.serving()) == (0, {hosts.variables["RELEASE"]})
    assert "serves, and passes" in done.stdout
    # Before the deploy, and after it.
    assert len(hosts.calls("python", "-m", "smoketest", "https://www.example.com/smoketest/")) == 2
    assert len(hosts.calls("python", "manage.py", "smoketest", "--workers")) == 2


@pytest.mark.parametrize("failing", [{"GATE": "1"}, {"FAILING_WORKERS": "$RELEASE"}])
def test_a_release_that_fails_is_rolled_back_on_every_host(
    hosts: Stage, failing: dict[str, str]
) -> None:
    known = {
        name: value.replace("$RELEASE", hosts.variables["RELEASE"])
        for name, value in failing.items()
    }
    done = hosts.run("./release.sh", **known)
    assert (done.returncode, hosts.serving()) == (1, {hosts.variables["BEFORE"]})
    assert "Rolling back" in done.stderr
    # Two hosts, and three times: the release before, this one, and the way back.
    assert len(hosts.calls("sudo", "systemctl", "restart")) == 6


def test_a_rollback_is_verified_with_the_id_of_what_serves_then(hosts: Stage) -> None:
    hosts.run("./release.sh", GATE="1")
    calls = hosts.calls("python", "-m", "smoketest", "https://www.example.com/smoketest/")
    assert "--expect-release" not in calls[0]
    assert [expected(call) for call in calls[1:]] == [
        hosts.variables["RELEASE"],
        hosts.variables["BEFORE"],
    ]


def expected(call: list[str]) -> str:
    return call[call.index("--expect-release") + 1]


def test_a_rollback_that_does_not_help_calls_a_person(hosts: Stage) -> None:
    done = hosts.run("./release.sh", GATE="1", GATE_AFTERWARDS="1")
    assert done.returncode == 1
    assert "does not pass either. Call a person." in done.stderr


@pytest.mark.parametrize("status", UNCLEAR)
def test_a_release_that_could_not_be_judged_is_left_to_a_person(hosts: Stage, status: str) -> None:
    done = hosts.run("./release.sh", GATE=status)
    assert (done.returncode, hosts.serving()) == (int(status), {hosts.variables["RELEASE"]})
    assert ALONE in done.stderr
    assert PERSON in done.stderr


def test_a_release_is_not_rolled_back_to_one_that_failed_too(hosts: Stage) -> None:
    done = hosts.run("./release.sh", **HOPELESS)
    assert (done.returncode, hosts.serving()) == (1, {hosts.variables["RELEASE"]})
    assert ALONE in done.stderr
    assert PERSON in done.stderr


def test_a_host_out_of_reach_of_ssh_is_no_reason_to_roll_back(hosts: Stage) -> None:
    done = hosts.run("./release.sh", SSH="--workers")
    assert (done.returncode, hosts.serving()) == (255, {hosts.variables["RELEASE"]})
    assert ALONE in done.stderr


def test_a_release_that_is_not_on_the_host_of_the_workers_is_unclear(hosts: Stage) -> None:
    done = hosts.run("./gate.sh", HOSTS="new.example.com")
    assert done.returncode == 3


def test_nothing_is_deployed_without_the_gate(hosts: Stage) -> None:
    done = hosts.run("./release.sh", HELP="1")
    assert (done.returncode, hosts.serving()) == (1, {hosts.variables["BEFORE"]})


def test_a_second_deploy_of_a_release_still_goes_back_to_the_one_before(hosts: Stage) -> None:
    assert hosts.run("./deploy.sh", hosts.variables["RELEASE"]).returncode == 0
    assert hosts.run("./release.sh", GATE="1").returncode == 1
    assert hosts.serving() == {hosts.variables["BEFORE"]}


def test_the_first_release_of_all_has_nothing_to_go_back_to(stage: Stage) -> None:
    stage.put(recipe("Plain ssh"))
    release = stage.commit("first")
    done = stage.run("./release.sh", GATE="1")
    assert (done.returncode, stage.serving()) == (1, {release})
    assert "(status 1, before it 3)" in done.stderr  # the workers had no folder to be asked in


def test_a_rollback_with_nothing_to_go_back_to_says_so(stage: Stage) -> None:
    stage.put(recipe("Plain ssh"))
    stage.run("./deploy.sh", stage.commit("first"))
    done = stage.run("./rollback.sh")
    assert done.returncode == 1
    assert "no release to go back to" in done.stderr


# GitHub Actions


def steps() -> list[dict[str, Any]]:
    job = document("GitHub Actions", ".github/workflows/release.yml")["jobs"]["release"]
    return list(job["steps"])


def holds(condition: str, failed: bool, outputs: dict[str, str], skipped: list[str]) -> bool:
    """Return what the expression of a step's ``if`` is, of those that the recipe uses."""
    terms = {
        "success()": not failed,
        "failure()": failed,
        "always()": True,
        "steps.gate.outputs.status == '1'": outputs.get("gate") == "1",
        "steps.before.outputs.status == '0'": outputs.get("before") == "0",
        "steps.rollback.outcome == 'skipped'": "rollback" in skipped,
    }
    return all(terms[term] for term in condition.split(" && "))


def run_github(stage: Stage, **variables: str) -> tuple[bool, list[str], str]:
    """Run the job as its runner would; return whether it failed, the steps, and what they print."""
    failed, ran, printed = False, [], ""
    outputs: dict[str, str] = {}
    skipped: list[str] = []
    for step in steps():
        id = step.get("id", "")
        if not holds(step.get("if", "success()"), failed, outputs, skipped):
            skipped.append(id)
            continue
        ran.append(step.get("name") or step["uses"])
        if "run" in step:
            done, outputs[id] = run_step(stage, step, variables)
            failed, printed = failed or done.returncode != 0, printed + done.stdout + done.stderr
    return failed, ran, printed


def run_step(
    stage: Stage, step: dict[str, Any], variables: dict[str, str]
) -> tuple[subprocess.CompletedProcess[str], str]:
    """Return what came of a step, and its output named "status"."""
    output = stage.root / "output"
    output.write_text("")
    secrets = dict.fromkeys(step.get("env", {}), stage.environment()["TOKEN"])
    known = {"GITHUB_OUTPUT": str(output), "SMOKETEST_TOKEN": "", **secrets, **variables}
    done = stage.run("bash", "-e", "-c", step["run"], **known)
    return done, output.read_text().removeprefix("status=").strip()


def test_every_secret_of_the_job_comes_from_the_store_of_github() -> None:
    given = [value for step in steps() for value in step.get("env", {}).values()]
    assert given
    assert all(re.fullmatch(r"\$\{\{ secrets\.\w+ \}\}", value) for value in given)


def test_a_github_job_that_passes_rolls_nothing_back(hosts: Stage) -> None:
    failed, ran, _ = run_github(hosts, GITHUB_SHA=hosts.variables["RELEASE"])
    assert not failed
    assert ran[-2:] == ["Verify", "Keep the report"]
    assert hosts.serving() == {hosts.variables["RELEASE"]}


def test_a_github_job_whose_tests_fail_rolls_back_and_fails(hosts: Stage) -> None:
    failed, ran, printed = run_github(hosts, GITHUB_SHA=hosts.variables["RELEASE"], GATE="1")
    assert failed
    assert ran[-3:] == ["Verify", "Keep the report", "Roll back"]
    assert hosts.serving() == {hosts.variables["BEFORE"]}
    assert "::warning title=Rolled back::" in printed


@pytest.mark.parametrize("status", UNCLEAR)
def test_a_github_job_that_could_not_tell_calls_a_person(hosts: Stage, status: str) -> None:
    failed, ran, printed = run_github(hosts, GITHUB_SHA=hosts.variables["RELEASE"], GATE=status)
    assert failed
    assert ran[-2:] == ["Keep the report", "Call a person"]
    assert hosts.serving() == {hosts.variables["RELEASE"]}
    assert "::error title=Not rolled back::" in printed


def test_a_github_job_does_not_go_back_to_a_release_that_failed_too(hosts: Stage) -> None:
    failed, ran, _ = run_github(hosts, GITHUB_SHA=hosts.variables["RELEASE"], **HOPELESS)
    assert failed
    assert ran[-2:] == ["Keep the report", "Call a person"]
    assert hosts.serving() == {hosts.variables["RELEASE"]}


def test_a_github_job_whose_deploy_fails_is_not_rolled_back(hosts: Stage) -> None:
    failed, ran, _ = run_github(hosts, GITHUB_SHA=hosts.variables["RELEASE"], SSH="tar")
    assert failed
    assert ran[-3:] == ["Deploy", "Keep the report", "Call a person"]
    assert hosts.serving() == {hosts.variables["BEFORE"]}


# GitLab


def run_gitlab(stage: Stage, job: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a job as its runner would: in one shell, which ends at the first failure."""
    jobs = document("GitLab", ".gitlab-ci.yml")
    script = "\n".join([*jobs["default"]["before_script"], *jobs[job]["script"]])
    key = stage.root / "key"
    key.touch()
    known = {"SSH_KEY": str(key), "SSH_KNOWN_HOSTS": str(key)}
    known |= {"CI_COMMIT_SHA": stage.variables["RELEASE"], **variables}
    return stage.run("bash", "-e", "-o", "pipefail", "-c", script, **known)


def test_gitlab_runs_every_job_in_a_stage_of_the_pipeline() -> None:
    jobs = document("GitLab", ".gitlab-ci.yml")
    named = [value for value in jobs.values() if isinstance(value, dict) and "stage" in value]
    assert [job["stage"] for job in named] == ["deploy", "verify", "rollback", "rollback"]
    assert all(job["environment"]["name"] == "production" for job in named)
    assert jobs["rollback"]["when"] == "on_failure"
    # on_failure has the file of a job that failed only if that job always hands it on.
    assert jobs["verify"]["artifacts"]["when"] == "always"
    assert "gate-status" in jobs["verify"]["artifacts"]["paths"]


def test_a_gitlab_pipeline_that_passes_has_nothing_to_roll_back(hosts: Stage) -> None:
    assert run_gitlab(hosts, "deploy").returncode == 0
    assert run_gitlab(hosts, "verify").returncode == 0
    assert hosts.serving() == {hosts.variables["RELEASE"]}


def test_a_gitlab_pipeline_whose_tests_fail_rolls_back(hosts: Stage) -> None:
    run_gitlab(hosts, "deploy")
    assert run_gitlab(hosts, "verify", GATE="1").returncode == 1
    assert run_gitlab(hosts, "rollback").returncode == 0
    assert hosts.serving() == {hosts.variables["BEFORE"]}


@pytest.mark.parametrize("status", UNCLEAR)
def test_a_gitlab_pipeline_that_could_not_tell_calls_a_person(hosts: Stage, status: str) -> None:
    run_gitlab(hosts, "deploy")
    assert run_gitlab(hosts, "verify", GATE=status).returncode == int(status)
    done = run_gitlab(hosts, "rollback")
    assert done.returncode == 1
    assert f"{hosts.variables['RELEASE']} was left as it is (status {status}," in done.stdout
    assert hosts.serving() == {hosts.variables["RELEASE"]}


def test_a_gitlab_pipeline_does_not_go_back_to_a_release_that_failed_too(hosts: Stage) -> None:
    run_gitlab(hosts, "deploy", **HOPELESS)
    assert run_gitlab(hosts, "verify", **HOPELESS).returncode == 1
    done = run_gitlab(hosts, "rollback")
    assert done.returncode == 1
    assert "(status 1, before it 1)" in done.stdout
    assert hosts.serving() == {hosts.variables["RELEASE"]}


def test_a_person_can_roll_a_gitlab_pipeline_back(hosts: Stage) -> None:
    run_gitlab(hosts, "deploy")
    assert run_gitlab(hosts, "roll-back-by-hand").returncode == 0
    assert hosts.serving() == {hosts.variables["BEFORE"]}


# Kamal

KAMAL = """
case "$1 $2" in
    "app version") [ -z "$RUNNING" ] || printf 'App Host: 192.0.2.1\\n%s\\n\\n' "$RUNNING" ;;
    "app exec") exit "${KAMAL_EXEC:-0}" ;;
    rollback*)
        export KAMAL_COMMAND=rollback  # whose hooks the real one runs as well
        .kamal/hooks/pre-deploy && .kamal/hooks/post-deploy ;;
esac
"""


@pytest.fixture
def kamal(stage: Stage) -> Stage:
    stage.stand_in("kamal", KAMAL)
    stage.put(recipe("Kamal"))
    stage.variables |= {"KAMAL_COMMAND": "deploy", "KAMAL_VERSION": "after", "RUNNING": "before"}
    return stage


def run_kamal(stage: Stage, **variables: str) -> subprocess.CompletedProcess[str]:
    before = stage.run(".kamal/hooks/pre-deploy", **variables)
    assert before.returncode == 0, before.stderr
    return stage.run(".kamal/hooks/post-deploy", **variables)


def test_a_kamal_deploy_that_passes_is_left(kamal: Stage) -> None:
    assert run_kamal(kamal).returncode == 0
    assert kamal.calls("kamal", "rollback") == []
    (worker,) = kamal.calls("kamal", "app", "exec")
    assert worker[-1] == "python manage.py smoketest --workers"


def test_a_kamal_deploy_that_fails_goes_back_to_what_ran_before_it(kamal: Stage) -> None:
    done = run_kamal(kamal, GATE="1")
    assert done.returncode == 1
    assert kamal.calls("kamal", "rollback") == [["kamal", "rollback", "before"]]
    gates = kamal.calls("python", "-m", "smoketest", "https://www.example.com/smoketest/")
    assert [expected(call) for call in gates[1:]] == ["after", "before"]


def test_a_kamal_rollback_to_a_container_that_is_gone_is_told(kamal: Stage) -> None:
    done = run_kamal(kamal, GATE="1", GATE_AFTERWARDS="1")
    assert done.returncode == 1
    assert "before does not serve, or fails. Call a person." in done.stderr


@pytest.mark.parametrize("status", UNCLEAR)
def test_a_kamal_deploy_that_could_not_be_judged_is_left_to_a_person(
    kamal: Stage, status: str
) -> None:
    done = run_kamal(kamal, GATE=status)
    assert done.returncode == 3
    assert ALONE in done.stderr
    assert PERSON in done.stderr
    assert kamal.calls("kamal", "rollback") == []


def test_workers_that_kamal_cannot_vouch_for_are_left_to_a_person(kamal: Stage) -> None:
    done = run_kamal(kamal, KAMAL_EXEC="1")
    assert done.returncode == 3
    assert "after was left as it is (its workers do not pass)" in done.stderr
    assert kamal.calls("kamal", "rollback") == []


def test_the_first_kamal_deploy_has_nothing_to_go_back_to(kamal: Stage) -> None:
    done = run_kamal(kamal, GATE="1", RUNNING="")
    assert done.returncode == 3
    assert ALONE in done.stderr
    assert kamal.calls("kamal", "rollback") == []


def test_a_kamal_deploy_does_not_go_back_to_a_release_that_failed_too(kamal: Stage) -> None:
    kamal.put({".kamal/previous-release": "long-ago\n"})
    done = run_kamal(kamal, **HOPELESS)
    assert done.returncode == 3
    assert "so did what served before it" in done.stderr
    assert kamal.calls("kamal", "rollback") == []


def test_kamal_does_not_deploy_without_the_gate(kamal: Stage) -> None:
    assert kamal.run(".kamal/hooks/pre-deploy", HELP="1").returncode == 1


@pytest.mark.parametrize("hook", ["pre-deploy", "post-deploy"])
def test_a_rollback_by_hand_is_no_matter_of_the_kamal_hooks(kamal: Stage, hook: str) -> None:
    assert kamal.run(f".kamal/hooks/{hook}", KAMAL_COMMAND="rollback").returncode == 0
    assert kamal.calls() == []


def test_kamal_is_asked_for_the_destination_that_is_deployed(kamal: Stage) -> None:
    run_kamal(kamal, GATE="1", KAMAL_DESTINATION="staging")
    run_kamal(kamal, KAMAL_DESTINATION="staging")
    calls = kamal.calls("kamal")
    assert calls
    assert all(call[call.index("--destination") + 1] == "staging" for call in calls)


# Kubernetes

KUBECTL = """
case "$1 $2" in
    "get deployment/site")
        case "$*" in *image*) printf registry.example.com/site:1e0d77b ;; *) printf 2 ;; esac ;;
    "get pods")
        case $(grep -c '^kubectl create' "$CALLS") in
            1) printf '%s' "${GATE_BEFORE-0}" ;;
            2) printf '%s' "$GATE" ;;
            *) printf '%s' "${GATE_AFTERWARDS:-0}" ;;
        esac ;;
    "create --filename") cat > job.yaml; echo job.batch/smoketest-gate-x7k2p ;;
    "rollout status") exit "${ROLLOUT:-0}" ;;
    "logs --follow") exit 1 ;;
esac
"""


@pytest.fixture
def cluster(stage: Stage) -> Stage:
    stage.stand_in("kubectl", KUBECTL)
    stage.put(recipe("Kubernetes"))
    return stage


def undone(stage: Stage) -> list[str]:
    return [call[-1] for call in stage.calls("kubectl", "rollout", "undo")]


def test_a_release_that_passes_stays_in_the_cluster(cluster: Stage) -> None:
    done = cluster.run("./release.sh", "4f2a9c1", GATE="0")
    assert done.returncode == 0
    assert undone(cluster) == []


def test_a_release_that_fails_is_undone_in_the_cluster_with_its_workers(cluster: Stage) -> None:
    done = cluster.run("./release.sh", "4f2a9c1", GATE="1")
    assert done.returncode == 1
    assert undone(cluster) == ["deployment/site", "deployment/site-worker"]
    assert PERSON not in done.stderr


def test_a_rollback_in_the_cluster_that_does_not_help_calls_a_person(cluster: Stage) -> None:
    done = cluster.run("./release.sh", "4f2a9c1", GATE="1", GATE_AFTERWARDS="1")
    assert done.returncode == 1
    assert "1e0d77b does not pass either. Call a person." in done.stderr


@pytest.mark.parametrize("before", ["1", "3", ""])
def test_the_cluster_does_not_go_back_to_a_release_that_did_not_pass(
    cluster: Stage, before: str
) -> None:
    done = cluster.run("./release.sh", "4f2a9c1", GATE="1", GATE_BEFORE=before)
    assert done.returncode == 3
    assert ALONE in done.stderr
    assert undone(cluster) == []


@pytest.mark.parametrize("status", [*UNCLEAR, ""])
def test_a_job_without_a_clear_status_leaves_the_release_to_a_person(
    cluster: Stage, status: str
) -> None:
    done = cluster.run("./release.sh", "4f2a9c1", GATE=status)
    assert done.returncode == 3
    assert ALONE in done.stderr
    assert PERSON in done.stderr
    assert undone(cluster) == []


def test_pods_that_do_not_start_are_undone_without_a_job(cluster: Stage) -> None:
    done = cluster.run("./release.sh", "4f2a9c1", ROLLOUT="1")
    assert done.returncode == 1
    assert undone(cluster)
    assert len(cluster.calls("kubectl", "create")) == 1  # what asked the release before


def container(cluster: Stage) -> dict[str, Any]:
    """Return the container of the Job that the recipe creates."""
    cluster.run("./release.sh", "4f2a9c1", GATE="0")
    job = yaml.safe_load((cluster.folder / "job.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    assert job["metadata"]["generateName"]
    assert job["spec"]["backoffLimit"] == 0
    pod = job["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    found: dict[str, Any] = pod["containers"][0]
    return found


def test_the_job_asks_as_many_nodes_as_there_are_pods_of_the_release(cluster: Stage) -> None:
    gate = container(cluster)
    assert gate["image"] == "registry.example.com/site:4f2a9c1"
    cluster.run(*gate["command"])
    (call,) = cluster.calls("python", "-m", "smoketest")
    assert expected(call) == "4f2a9c1"
    assert call[call.index("--expect-nodes") + 1] == "2"
    assert call[3] == "http://site-nodes:8000/smoketest/"


@pytest.mark.parametrize(
    ("gate", "workers", "status"), [("0", "0", 0), ("0", "3", 3), ("1", "0", 1), ("3", "1", 3)]
)
def test_the_job_ends_with_the_status_of_what_did_not_pass(
    cluster: Stage, gate: str, workers: str, status: int
) -> None:
    done = cluster.run(*container(cluster)["command"], GATE_BEFORE=gate, WORKERS=workers)
    assert done.returncode == status


@pytest.mark.parametrize("name", ["site-nodes.yaml", "site-preview.yaml"])
def test_a_service_gives_the_gate_the_address_of_each_pod(name: str) -> None:
    service = document("Kubernetes", name)
    assert (service["apiVersion"], service["kind"]) == ("v1", "Service")
    assert service["metadata"]["name"] == name.removesuffix(".yaml")
    assert service["spec"]["clusterIP"] == "None"


def test_the_rollout_is_promoted_by_the_analysis_and_gives_it_its_arguments() -> None:
    template = document("Kubernetes", "smoketest-analysis.yaml")
    rollout = document("Kubernetes", "site-rollout.yaml")
    assert (template["kind"], rollout["kind"]) == ("AnalysisTemplate", "Rollout")
    assert template["apiVersion"] == rollout["apiVersion"] == "argoproj.io/v1alpha1"
    strategy = rollout["spec"]["strategy"]["blueGreen"]
    analysis = strategy["prePromotionAnalysis"]
    assert analysis["templates"] == [{"templateName": template["metadata"]["name"]}]
    given = {argument["name"]: argument["value"] for argument in analysis["args"]}
    assert given.keys() == {argument["name"] for argument in template["spec"]["args"]}
    (pod,) = rollout["spec"]["template"]["spec"]["containers"]
    assert pod["image"].endswith(f":{given['release']}")
    assert int(given["nodes"]) == rollout["spec"]["replicas"]
    assert strategy["previewService"] == "site-preview"


def test_one_failed_job_aborts_the_rollout() -> None:
    (metric,) = document("Kubernetes", "smoketest-analysis.yaml")["spec"]["metrics"]
    assert (metric["count"], metric["failureLimit"]) == (1, 0)
    job = metric["provider"]["job"]["spec"]
    assert job["backoffLimit"] == 0
    pod = job["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    command = pod["containers"][0]["command"]
    assert command[:4] == ["python", "-m", "smoketest", "http://site-preview:8000/smoketest/"]
    assert all(isinstance(word, str) for word in command)


# Heroku

HEROKU = """
taken() { [ -z "$REFUSED" ] && git --git-dir "$REMOTE" rev-parse --verify main > /dev/null 2>&1; }
if taken; then version=8; else version=7; fi
case $1 in
    releases)
        printf '[{"version": 9, "current": false}, {"version": %s, "current": true}]' $version ;;
    run) exit "${RUN:-0}" ;;
esac
"""


@pytest.fixture
def heroku(stage: Stage) -> Stage:
    needed("jq")
    stage.stand_in("heroku", HEROKU)
    stage.put(recipe("Heroku"))
    stage.variables |= {"RELEASE": stage.commit("after"), "REMOTE": str(stage.root / "heroku.git")}
    stage.git("init", "--quiet", "--bare", stage.variables["REMOTE"])
    stage.git("remote", "add", "heroku", stage.variables["REMOTE"])
    return stage


def test_a_release_that_passes_is_left_on_heroku(heroku: Stage) -> None:
    done = heroku.run("./release.sh")
    assert done.returncode == 0, done.stderr
    assert heroku.calls("heroku", "rollback") == []
    _, gate = heroku.calls("python", "-m", "smoketest", "https://www.example.com/smoketest/")
    assert expected(gate) == heroku.variables["RELEASE"]


@pytest.mark.parametrize("failing", [{"GATE": "1"}, {"RUN": "41"}])
def test_a_release_that_fails_is_rolled_back_on_heroku(
    heroku: Stage, failing: dict[str, str]
) -> None:
    done = heroku.run("./release.sh", **failing)
    assert done.returncode == 1
    assert heroku.calls("heroku", "rollback") == [["heroku", "rollback", "v7", "--app", "example"]]
    assert len(heroku.calls("python", "-m", "smoketest", "https://www.example.com/smoketest/")) == 3


# A 1 of ``heroku run`` is the client's own: the command's would be 41.
@pytest.mark.parametrize(
    "unclear", [*({"GATE": status} for status in UNCLEAR), {"RUN": "1"}, {"RUN": "43"}]
)
def test_a_release_that_could_not_be_judged_on_heroku_is_left_to_a_person(
    heroku: Stage, unclear: dict[str, str]
) -> None:
    done = heroku.run("./release.sh", **unclear)
    assert done.returncode == int(unclear.get("GATE", "3"))
    assert ALONE in done.stderr
    assert PERSON in done.stderr
    assert heroku.calls("heroku", "rollback") == []


def test_a_release_phase_that_failed_is_followed_by_no_rollback(heroku: Stage) -> None:
    done = heroku.run("./release.sh", REFUSED="1", GATE="1")
    assert done.returncode == 1
    assert "v7 goes on" in done.stderr
    assert heroku.calls("heroku", "rollback") == []


def test_heroku_does_not_go_back_to_a_release_that_failed_too(heroku: Stage) -> None:
    done = heroku.run("./release.sh", **HOPELESS)
    assert done.returncode == 1
    assert ALONE in done.stderr
    assert heroku.calls("heroku", "rollback") == []


def test_nothing_is_pushed_to_heroku_without_the_gate(heroku: Stage) -> None:
    assert heroku.run("./release.sh", HELP="1").returncode == 1
    assert heroku.git("ls-remote", "heroku") == ""


@pytest.mark.parametrize(("command", "status"), [("0", 0), ("1", 41), ("3", 43)])
def test_the_words_that_heroku_runs_end_with_a_status_of_their_own(
    heroku: Stage, command: str, status: int
) -> None:
    heroku.run("./release.sh")
    (call,) = heroku.calls("heroku", "run")
    assert heroku.run("bash", "-c", call[-1], WORKERS=command).returncode == status


# AWS CodeDeploy

AWS = """
case "$1 $2" in
    "ssm get-parameter") echo "$TOKEN"; exit "${SSM:-0}" ;;
    "deploy stop-deployment") exit "${STOP:-0}" ;;
    "sns publish") exit "${PUBLISH:-0}" ;;
esac
"""


@pytest.fixture
def instance(stage: Stage) -> Stage:
    """Return a stage whose folder is what the recipe's ``/srv/site`` is."""
    stage.stand_in("aws", AWS)
    stage.stand_in("systemctl")
    stage.put(
        {
            name: re.sub(r"/srv/site(?=[\n/])", str(stage.folder), text)
            for name, text in recipe("AWS CodeDeploy").items()
        }
    )
    stage.put({"RELEASE": "4f2a9c1\n", "deploy/topic": "arn:aws:sns:eu-west-1:1:smoketest\n"})
    stage.put({".venv/bin/python": (stage.root / "bin" / "python").read_text()})  # the one before
    stage.variables |= {"DEPLOYMENT_ID": "d-ABC", "APPLICATION_NAME": "site"}
    return stage


def run_instance(stage: Stage, **variables: str) -> subprocess.CompletedProcess[str]:
    for script in ("ask", "after_install"):
        done = run_hook(stage, script, **variables)
        assert done.returncode == 0, done.stderr
    return run_hook(stage, "validate", **variables)


def run_hook(stage: Stage, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a hook as the agent does, which has no token."""
    return stage.run("env", "--unset=SMOKETEST_TOKEN", f"deploy/{script}.sh", **variables)


def test_every_hook_of_the_appspec_is_an_event_and_a_script_of_the_page() -> None:
    spec = document("AWS CodeDeploy", "appspec.yml")
    assert (spec["version"], spec["os"]) == (0.0, "linux")
    files = recipe("AWS CodeDeploy")
    events = ["BeforeInstall", "AfterInstall", "ApplicationStart", "ValidateService"]
    assert list(spec["hooks"]) == events
    for (hook,) in spec["hooks"].values():
        assert hook["location"] in files
        assert hook["runas"] in {"site", "root"}
    # More than the wait and the last attempt after it.
    assert spec["hooks"]["ValidateService"][0]["timeout"] > 120 + 25


def test_an_instance_that_passes_is_taken(instance: Stage) -> None:
    done = run_instance(instance)
    assert done.returncode == 0, done.stderr
    assert instance.calls("aws", "deploy") == []
    assert instance.run("deploy/start.sh").returncode == 0
    assert instance.calls("systemctl") == [["systemctl", "restart", "site"]]


def test_an_instance_that_fails_fails_its_hook_so_that_codedeploy_rolls_back(
    instance: Stage,
) -> None:
    assert run_instance(instance, GATE="1").returncode == 1
    assert instance.calls("aws", "deploy") == []


@pytest.mark.parametrize("status", UNCLEAR)
def test_an_unclear_instance_stops_the_deployment_and_calls_a_person(
    instance: Stage, status: str
) -> None:
    done = run_instance(instance, GATE=status)
    assert done.returncode == 0
    assert "nothing is rolled back" in done.stderr
    (stop,) = instance.calls("aws", "deploy", "stop-deployment")
    assert stop[3:] == ["--deployment-id", "d-ABC", "--no-auto-rollback-enabled"]
    assert instance.calls("aws", "sns", "publish")


def test_an_instance_does_not_go_back_to_a_release_that_failed_too(instance: Stage) -> None:
    assert run_instance(instance, **HOPELESS).returncode == 0
    assert instance.calls("aws", "deploy", "stop-deployment")


def test_an_instance_without_its_token_stops_the_deployment(instance: Stage) -> None:
    run_instance(instance)
    done = run_hook(instance, "validate", SSM="254")
    assert done.returncode == 0
    assert "status none" in done.stderr
    assert instance.calls("aws", "deploy", "stop-deployment")


@pytest.mark.parametrize("failing", ["STOP", "PUBLISH"])
def test_a_deployment_that_nobody_heard_of_is_rolled_back(instance: Stage, failing: str) -> None:
    done = run_instance(instance, GATE="3", **{failing: "254"})
    assert done.returncode == 254


@pytest.mark.parametrize("status", ["1", "2", "3"])
def test_an_instance_that_has_nothing_else_to_serve_is_rolled_back_at_every_status(
    instance: Stage, status: str
) -> None:
    done = instance.run("deploy/after_install.sh", COMMAND=status)
    assert done.returncode == int(status)


@pytest.mark.slow  # the client takes a second to start
def test_the_client_of_aws_takes_every_call(instance: Stage) -> None:
    needed("aws")
    run_instance(instance, GATE="3")
    calls = [call[1:] for call in instance.calls("aws")]
    (once,) = [text for _, text in examples(PAGE, "AWS CodeDeploy") if text.startswith("aws ")]
    joined = once.replace("\\\n", " ").split()
    for words in [*calls, joined[1:]]:
        # The client checks the words, and prints a sample of what would come back.
        checked = subprocess.run(
            ["aws", *words, "--region", "eu-west-1", "--generate-cli-skeleton", "output"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert checked.returncode == 0, checked.stderr


# The options


def understood(calls: list[list[str]]) -> list[dict[str, Any]]:
    """Return what the gate makes of calls of it, other than those for help."""
    found = [options.parsed(call[3:]) for call in calls if call[3:] != ["--help"]]
    for given in found:
        arguments.expectation(given)
        options.patience(given)
        arguments.targets(given)
    return found


def test_the_gate_takes_what_the_scripts_for_ssh_github_and_gitlab_say(hosts: Stage) -> None:
    hosts.run("./release.sh", GATE="1")
    run_github(hosts, GITHUB_SHA=hosts.variables["RELEASE"])
    run_gitlab(hosts, "deploy")
    run_gitlab(hosts, "verify")
    assert len(understood(hosts.calls("python", "-m", "smoketest"))) == 3 + 2 + 2


def test_the_gate_takes_what_the_hooks_of_kamal_say(kamal: Stage) -> None:
    run_kamal(kamal, GATE="1")
    assert len(understood(kamal.calls("python", "-m", "smoketest"))) == 3


def test_the_gate_takes_what_the_jobs_in_a_cluster_say(cluster: Stage) -> None:
    cluster.run(*container(cluster)["command"])
    (metric,) = document("Kubernetes", "smoketest-analysis.yaml")["spec"]["metrics"]
    pod = metric["provider"]["job"]["spec"]["template"]["spec"]
    words = [word.replace("{{args.nodes}}", "2") for word in pod["containers"][0]["command"]]
    (job, analysis) = understood([*cluster.calls("python", "-m", "smoketest"), words])
    assert job["wait"] == analysis["wait"] == 120


def test_the_gate_takes_what_the_script_for_heroku_says(heroku: Stage) -> None:
    heroku.run("./release.sh", GATE="1")
    assert len(understood(heroku.calls("python", "-m", "smoketest"))) == 3


def test_the_gate_takes_what_the_hooks_of_codedeploy_say(instance: Stage) -> None:
    run_instance(instance)
    assert len(understood(instance.calls("python", "-m", "smoketest"))) == 2


def test_the_command_takes_what_the_recipes_say(hosts: Stage) -> None:
    hosts.run("./release.sh")
    page = PAGE.read_text()
    (call, *_) = hosts.calls("python", "manage.py", "smoketest")
    words = {
        *re.findall(r"manage\.py smoketest((?: --[\w-]+(?: \d+)?)+)", page),
        " ".join(call[3:]),
    }
    assert {"--workers", " --wait 30"} <= words
    for given in words - {" --tag"}:  # whose tag is an example of one that is not there
        assert parsed(given.split())["labels"] == []


def test_the_gate_takes_the_example_and_has_each_option_that_the_page_names() -> None:
    _, (example, *_) = zip(*examples(PAGE, "What asks"), strict=True)
    words = shlex.split(example.replace("\\\n", " "))
    understood([words[words.index("python") :]])
    known = {name for action in options.create_parser()._actions for name in action.option_strings}
    prose = re.sub(r"^```.*?^```$", "", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)
    named = set(re.findall(r"`(--?[a-z][a-z-]*)[ `]", prose))
    assert named - known == {"--workers", "--fail-with-body", "--build-arg"} & named
    assert {"--wait", "--nodes-file", "--token-file"} <= named
