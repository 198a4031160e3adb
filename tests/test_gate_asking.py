"""Asking one node: what it can do to the gate, and what it cannot."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.scripted import TEST, Say, gate, node, problems, report, say

TOKEN = "a-token-of-24-characters"

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name.lower().endswith("_proxy") or name.startswith(("SMOKETEST_", "GITHUB_")):
            monkeypatch.delenv(name)


# -- what is sent


def test_a_node_is_asked_for_json_and_for_nothing_kept(capsys: Capture) -> None:
    with node(report()) as one:
        assert gate(capsys, one.url).status == 0
    [(path, headers)] = one.asked
    assert path == "/smoketest/?format=json"
    wanted = {"Accept", "Accept-Encoding", "Cache-Control", "Connection"}
    assert {name: headers[name] for name in wanted} == {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Cache-Control": "no-cache",
        "Connection": "close",
    }
    assert "Authorization" not in headers


def test_selection_and_limits_become_parameters(capsys: Capture) -> None:
    words = "--test shop --test a.smoke --tag db --exclude-tag slow -k x*y --failfast"
    with node(report()) as one:
        gate(capsys, f"{one.url}?a=1", *words.split(), "--timeout=2", "--deadline=20")
    assert one.asked[0][0] == (
        "/smoketest/?a=1&format=json&test=shop&test=a.smoke&tag=db&exclude-tag=slow&k=x%2Ay"
        "&failfast=1&timeout=2&deadline=19.5"
    )


def test_a_token_is_sent_and_an_echo_of_it_is_in_no_output(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SMOKETEST_TOKEN", TOKEN)
    echo = report(TOKEN, release=TOKEN)
    files = [f"{name}:{tmp_path / name}" for name in ("json", "junit", "html", "text")]
    with node(echo) as one, node(say(f"<h1>{TOKEN}".encode())) as two:
        outputs = [f"--output={file}" for file in files]
        ended = gate(capsys, one.url, two.url, "-v3", *outputs)
    assert one.asked[0][1]["Authorization"] == f"Bearer {TOKEN}"
    written = [path.read_text() for path in tmp_path.iterdir()]
    assert len(written) == 4
    assert TOKEN not in "".join([ended.out, ended.err, *written])
    assert "********" in ended.out


def test_a_netrc_changes_no_header(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login other password stolen\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("SMOKETEST_TOKEN", TOKEN)
    with node(report()) as one:
        gate(capsys, one.url)
    assert one.asked[0][1]["Authorization"] == f"Bearer {TOKEN}"


def test_a_proxy_of_the_environment_is_used(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with node(report()) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        assert gate(capsys, "http://www.example.com/smoketest/").status == 0
    assert proxy.asked[0][0] == "http://www.example.com/smoketest/?format=json"


# -- redirects


def test_a_redirect_on_the_same_host_is_followed(capsys: Capture) -> None:
    there = say(b"", 301, Location="/smoketest/now/?format=json")
    with node(there, report()) as one:
        assert gate(capsys, one.url).status == 0
    assert one.asked[1][0] == "/smoketest/now/?format=json"


def test_a_redirect_to_another_host_is_errored_and_nothing_is_sent_there(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMOKETEST_TOKEN", TOKEN)
    with node(report(), host="127.0.0.2") as other:
        away = say(b"", 302, Location=f"{other.url}{TOKEN}/?next={TOKEN}")
        with node(away) as one:
            [said] = problems(capsys, one.url)
    hidden = "*" * 20
    assert said.startswith(f"The node redirects to '{other.url}{hidden}/', which is another host")
    assert other.asked == []


def test_a_redirect_to_another_port_is_errored(capsys: Capture) -> None:
    with node(report()) as other, node(say(b"", 302, Location=other.url)) as one:
        [said] = problems(capsys, one.url)
    assert "which is another host" in said
    assert other.asked == []


def test_a_circle_of_redirects_is_errored(capsys: Capture) -> None:
    with node(say(b"", 302, Location="/smoketest/")) as one:
        [said] = problems(capsys, one.url)
    assert said.startswith("The node redirects more than 5 times in a row.")
    assert len(one.asked) == 6


@pytest.mark.parametrize(
    ("location", "what"),
    [
        ("http://[", "redirects to 'http://%5b', which is another host"),
        ("http://a:b/", "Invalid URL in location header"),
        ("ftp://127.0.0.1/", "redirects to 'ftp://127.0.0.1/', which is another host"),
        ("http://me:secret@127.0.0.1/", "redirects to 'http://127.0.0.1/', which is another"),
    ],
)
def test_a_redirect_to_nowhere_is_errored(capsys: Capture, location: str, what: str) -> None:
    with node(say(b"", 302, Location=location)) as one:
        [said] = problems(capsys, one.url)
    assert what in said
    assert "secret" not in said


# -- no answer


def test_a_node_that_refuses_is_errored(capsys: Capture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    ended = gate(capsys, url)
    assert ended.status == 1
    assert "The node does not take a connection: Connection refused." in ended.out


def test_a_node_that_hangs_is_errored_at_the_deadline(capsys: Capture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        [said] = problems(capsys, url, "--deadline=1")
    assert said.startswith("The node took the connection and did not answer before the deadline")


def test_a_node_that_breaks_off_is_errored(capsys: Capture) -> None:
    def die(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b'{"status": "PASS"')

    with node(Say(die, headers={"Content-Length": "500"})) as one:
        [said] = problems(capsys, one.url)
    assert said.startswith("The node broke off the exchange: ")


def test_a_name_without_an_address_is_errored(capsys: Capture) -> None:
    [said] = problems(capsys, "http://nowhere.invalid/")
    assert said.startswith("The name 'nowhere.invalid' has no address: ")


def endless(drop: bytes, over: threading.Event, pause: float) -> Say:
    def pour(handler: BaseHTTPRequestHandler) -> None:
        try:
            while not over.wait(pause):
                handler.wfile.write(drop)
        except OSError:
            pass

    return Say(pour)


def test_an_endless_answer_is_cut(capsys: Capture) -> None:
    over = threading.Event()
    with node(endless(b" " * 500_000, over, 0.0)) as one:
        [said] = problems(capsys, one.url)
        over.set()
    assert said.startswith("The node sent more than 10 MB, and the gate does not read on.")


def test_an_answer_in_drops_ends_at_the_deadline(capsys: Capture) -> None:
    over = threading.Event()
    with node(endless(b" ", over, 0.01)) as one:
        [said] = problems(capsys, one.url, "--deadline=1")
        over.set()
    assert "bytes of its answer before the deadline of 1 s, and no end." in said


def test_a_packed_answer_is_not_unpacked(capsys: Capture) -> None:
    with node(say(b"\x1f\x8b", Content_Encoding="gzip")) as one:
        [said] = problems(capsys, one.url)
    assert said.startswith("The node sends its report packed ('gzip'), though it was asked not to.")


# -- answers that are none


@pytest.mark.parametrize("age", ["1", "86400", " 7 "])
def test_a_pass_out_of_a_cache_on_the_way_is_errored(capsys: Capture, age: str) -> None:
    with node(say(report(), Age=age)) as one:
        [said] = problems(capsys, one.url)
    assert said.startswith("The gate was answered by a cache on the way")


@pytest.mark.parametrize("age", ["0", "", "soon", "-1"])
def test_an_answer_that_is_fresh_or_of_no_known_age_counts(capsys: Capture, age: str) -> None:
    with node(say(report(), Age=age)) as one:
        assert gate(capsys, one.url).status == 0


def test_a_busy_node_is_asked_again(capsys: Capture) -> None:
    busy = say({"status": "FAIL"}, 503, Retry_After="1")
    with node(busy, report()) as one:
        assert gate(capsys, one.url).status == 0
    assert len(one.asked) == 2


@pytest.mark.parametrize("after", ["3600", "Wed, 21 Oct 2115 07:28:00 GMT", "31"])
def test_a_node_that_stays_busy_is_errored(capsys: Capture, after: str) -> None:
    with node(say({"status": "FAIL"}, 503, Retry_After=after)) as one:
        [said] = problems(capsys, one.url)
    assert said.startswith("The node is busy (status 503, ")
    assert len(one.asked) == 1


def test_refused_credentials_are_errored(capsys: Capture) -> None:
    with node(say({"status": "FAIL", "error": "Not you."}, 403)) as one:
        ended = gate(capsys, one.url)
    assert ended.status == 1
    assert "The node refuses the credentials" in ended.out


def test_a_selection_that_no_node_knows_is_wrong_usage(capsys: Capture) -> None:
    unknown = say({"status": "FAIL", "error": "Unknown tag 'databse'."}, 400)
    with node(unknown) as one, node(unknown) as two:
        ended = gate(capsys, one.url, two.url, "--tag=databse")
    assert ended.status == 2
    assert ended.err == "python -m smoketest: error: Unknown tag 'databse'.\n"
    assert "FAIL" in ended.out


def test_a_selection_that_one_node_does_not_know_fails_it(capsys: Capture) -> None:
    with node(say({"status": "FAIL", "error": "Unknown tag."}, 400)) as one, node(report()) as two:
        ended = gate(capsys, one.url, two.url, "--tag=new")
    assert (ended.status, ended.err) == (1, "")


# -- TLS and addresses


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def certified(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    return context


def test_a_certificate_of_a_named_authority_is_accepted(
    capsys: Capture, authority: trustme.CA, ca_file: str
) -> None:
    with node(report(), tls=certified(authority, "127.0.0.1")) as one:
        assert gate(capsys, one.url, f"--ca-file={ca_file}").status == 0


def test_a_certificate_of_an_unknown_authority_is_errored(
    capsys: Capture, authority: trustme.CA
) -> None:
    with node(report(), tls=certified(authority, "127.0.0.1")) as one:
        [said] = problems(capsys, one.url)
    assert said.startswith("The node's certificate is not accepted: ")
    assert one.asked == []


def test_a_certificate_for_another_name_is_errored(
    capsys: Capture, authority: trustme.CA, ca_file: str
) -> None:
    with node(report(), tls=certified(authority, "other.example")) as one:
        [said] = problems(capsys, one.url, f"--ca-file={ca_file}")
    assert said.startswith("The node's certificate is not accepted: ")


def test_a_file_without_certificates_is_wrong_usage(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("none\n")
    for file in (tmp_path / "ca.pem", tmp_path / "absent.pem"):
        ended = gate(capsys, "https://127.0.0.1/", f"--ca-file={file}")
        assert ended.status == 2
        assert f"--ca-file names '{file}', which cannot be used" in ended.err


@pytest.fixture
def two_records(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let two.example have two addresses: no name of this machine has so many for sure.

    This one function is a stand-in; what is done with the addresses is real.
    """
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in ("two.example", b"two.example"):
            return real(host, port, *args, **kwargs)
        kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*kind, (address, port)) for address in ("127.0.0.2", "127.0.0.3")]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return iter(())


@pytest.mark.usefixtures("two_records")
def test_every_address_is_asked_with_the_name_in_host_and_tls(
    capsys: Capture, authority: trustme.CA, ca_file: str
) -> None:
    tls = certified(authority, "two.example")
    with node(report(), host="127.0.0.2", tls=tls) as one:
        port = one.server_port
        with node(report("test_x"), host="127.0.0.3", port=port, tls=tls) as two:
            url = f"https://two.example:{port}/smoketest/"
            ended = gate(capsys, url, "--resolve", f"--ca-file={ca_file}", "-v2")
    assert ended.status == 1
    assert f"{url} (127.0.0.2) ... ok (1 of 1 test passed, release r2, 0.2 s)\n" in ended.out
    assert f"{url} (127.0.0.3) ... FAIL (1 of 2 tests failed, release r2, 0.2 s)\n" in ended.out
    hosts = [asked[1]["Host"] for asked in (*one.asked, *two.asked)]
    assert hosts == [f"two.example:{port}"] * 2


@pytest.mark.usefixtures("two_records")
def test_the_certificate_of_an_address_must_be_that_of_the_name(
    capsys: Capture, authority: trustme.CA, ca_file: str
) -> None:
    with node(report(), host="127.0.0.2", tls=certified(authority, "127.0.0.2")) as one:
        port = one.server_port
        with node(report(), host="127.0.0.3", port=port, tls=certified(authority, "two.example")):
            url = f"https://two.example:{port}/"
            [said] = problems(capsys, url, "--resolve", f"--ca-file={ca_file}")
    assert said.startswith("The node's certificate is not accepted: ")
    assert one.asked == []


@pytest.mark.usefixtures("two_records")
def test_a_redirect_stays_at_the_address(capsys: Capture) -> None:
    with node(say(b"", 301, Location="/now/"), report(), host="127.0.0.2") as one:
        port = one.server_port
        with node(report(), host="127.0.0.3", port=port):
            assert gate(capsys, f"http://two.example:{port}/", "--resolve").status == 0
    assert [path for path, _ in one.asked] == ["/?format=json", "/now/"]


def test_localhost_is_resolved_for_real(capsys: Capture) -> None:
    with node(report()) as one:
        ended = gate(capsys, f"http://localhost:{one.server_port}/", "--resolve", "-v2")
    assert f"http://localhost:{one.server_port}/ (127.0.0.1) ... ok" in ended.out


def test_an_unknown_name_among_others_hides_none_of_them(capsys: Capture) -> None:
    with node(report()) as one:
        url = f"http://localhost:{one.server_port}/"
        ended = gate(capsys, url, "http://nowhere.invalid/", "--resolve", "--at-least=1", "-v2")
    assert ended.status == 0
    assert "The name 'nowhere.invalid' has no address: " in ended.out


def test_proxies_are_passed_by_where_each_address_is_asked(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with node(report()) as proxy, node(report()) as one:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        gate(capsys, f"http://localhost:{one.server_port}/", "--resolve")
    assert (len(proxy.asked), len(one.asked)) == (0, 1)


def test_a_failed_test_is_run_again_by_a_line_that_a_shell_takes(capsys: Capture) -> None:
    with node(report("test_x")) as one:
        ended = gate(capsys, one.url)
        line = ended.out.rpartition("To run again what failed:\n")[2]
        words = " ".join(line.replace("\\\n", " ").split()).removeprefix("python -m smoketest ")
        assert gate(capsys, *words.split()).status == 1
    assert one.asked[1][0].endswith("?format=json&test=shop.smoke.Catalogue.test_x")
    assert TEST not in words
