"""Servers for the tests: one that is reachable already, or one of our own.

    SMOKETEST_TEST_POSTGRESQL=postgresql://user:password@host:port/
    SMOKETEST_TEST_MARIADB=mysql://user:password@host:port/

name a server to use; its user must be allowed to create databases called
``smoketest_…``. ``SMOKETEST_TEST_REDIS``, ``…_MEMCACHED`` and ``…_RABBITMQ`` are for the
probes and name one in the same way. Without the variable a server is started from the
installed binaries, on a free loopback port, with its data in a temporary folder, and is
stopped at the end.

``python -m tests.servers`` starts both, prints the variables and waits for Ctrl-C: with
them exported, pytest need not start servers of its own again and again.

No library does this for us: pytest-postgresql refuses to work as root, and neither it
nor pytest-mysql ends its server when pytest itself is killed. ``setpriv``, which every
Debian has, does both.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

START_SECONDS = 60.0
USER = "smoketest"


class Unavailable(Exception):
    """A server cannot be had; the message says why and what would help."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is, and who may create databases there."""

    host: str
    port: int
    user: str
    password: str

    @classmethod
    def from_url(cls, url: str, port: int) -> Server:
        """The server that `url` names; `port` is used where it names none."""
        parts = urlsplit(url)
        return cls(
            host=parts.hostname or "127.0.0.1",
            port=parts.port or port,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
        )

    def url(self, scheme: str) -> str:
        """This server as an environment variable names it."""
        return f"{scheme}://{self.user}:{self.password}@{self.host}:{self.port}/"


@contextmanager
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server, for as long as the block lasts. Raises Unavailable."""
    if "SMOKETEST_TEST_POSTGRESQL" in os.environ:
        yield _named_by("SMOKETEST_TEST_POSTGRESQL", 5432)
        return
    initdb, postgres = _find("PostgreSQL", "postgresql", "initdb", "postgres")
    with _folder() as folder:
        data, port = folder / "data", free_port()
        _run([initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"])
        options = ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]
        options += ["listen_addresses=127.0.0.1", f"unix_socket_directories={folder}"]
        command = [postgres, "-D", data, "-p", port, *(f"--{option}" for option in options)]
        # SIGQUIT is PostgreSQL's immediate shutdown: the data is thrown away anyway.
        with process(command, folder / "log", "ready to accept connections", "QUIT"):
            _create_postgresql_user(port)
            yield Server("127.0.0.1", port, USER, "")


@contextmanager
def mariadb(*options: str) -> Iterator[Server]:
    """A MariaDB server, for as long as the block lasts. Raises Unavailable.

    With `options` it is always one of our own.
    """
    if "SMOKETEST_TEST_MARIADB" in os.environ and not options:
        yield _named_by("SMOKETEST_TEST_MARIADB", 3306)
        return
    install, mariadbd = _find("MariaDB", "mariadb-server", "mariadb-install-db", "mariadbd")
    with _folder() as folder:
        data, port, grants = folder / "data", free_port(), folder / "grants.sql"
        grants.write_text(
            f"CREATE USER {USER}@'127.0.0.1';\n"
            f"GRANT ALL ON `smoketest\\_%`.* TO {USER}@'127.0.0.1';\n"
        )
        places = ["--no-defaults", f"--datadir={data}", f"--tmpdir={folder}"]
        _run([install, *places, "--skip-test-db"])
        command = [mariadbd, *places, f"--init-file={grants}"]
        command += ["--bind-address=127.0.0.1", f"--port={port}", f"--socket={folder / 'socket'}"]
        command += ["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M"]
        command += ["--skip-name-resolve", "--character-set-server=utf8mb4"]
        command += options
        with process(command, folder / "log", "ready for connections", "KILL"):
            yield Server("127.0.0.1", port, USER, "")


@contextmanager
def pgbouncer(server: Server) -> Iterator[Server]:
    """PgBouncer in front of `server`, with one session to each database. Raises Unavailable.

    It pools by transactions: the next transaction gets the session, whoever's it is.
    """
    [binary] = _find("PgBouncer", "pgbouncer", "pgbouncer")
    with _folder() as folder:
        port, users, configuration = free_port(), folder / "users", folder / "pgbouncer.ini"
        users.write_text(f'"{server.user}" "{server.password}"\n')
        configuration.write_text(
            f"[databases]\n* = host={server.host} port={server.port}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = trust\nauth_file = {users}\n"
            "pool_mode = transaction\ndefault_pool_size = 1\n"
        )
        with process([binary, configuration], folder / "log", "process up", "KILL"):
            yield Server("127.0.0.1", port, server.user, server.password)


@contextmanager
def redis() -> Iterator[Server]:
    """A Redis server with a password, for as long as the block lasts. Raises Unavailable."""
    if "SMOKETEST_TEST_REDIS" in os.environ:
        yield _named_by("SMOKETEST_TEST_REDIS", 6379)
        return
    [binary] = _find("Redis", "redis-server", "redis-server")
    with _folder() as folder:
        port, password = free_port(), secrets.token_hex()
        command = [binary, "--bind", "127.0.0.1", "--port", port, "--requirepass", password]
        command += ["--save", "", "--appendonly", "no", "--dir", folder]
        with process(command, folder / "log", "Ready to accept connections", "KILL"):
            yield Server("127.0.0.1", port, "default", password)


@contextmanager
def memcached() -> Iterator[Server]:
    """A memcached, for as long as the block lasts. Raises Unavailable."""
    if "SMOKETEST_TEST_MEMCACHED" in os.environ:
        yield _named_by("SMOKETEST_TEST_MEMCACHED", 11211)
        return
    [binary] = _find("memcached", "memcached", "memcached")
    with _folder() as folder:
        port = free_port()
        command = [binary, "-l", "127.0.0.1", "-p", port, "-U", 0, "-m", 8, "-vv"]
        with process(command, folder / "log", "server listening", "KILL"):
            yield Server("127.0.0.1", port, "", "")


@contextmanager
def rabbitmq() -> Iterator[Server]:
    """A RabbitMQ server, for as long as the block lasts. Raises Unavailable."""
    if "SMOKETEST_TEST_RABBITMQ" in os.environ:
        yield _named_by("SMOKETEST_TEST_RABBITMQ", 5672)
        return
    # Not that of /usr/sbin, which becomes another user, and then outlives us.
    own = "/usr/lib/rabbitmq/bin/rabbitmq-server"
    binary, epmd = _find("RabbitMQ", "rabbitmq-server", own, "epmd")
    with _folder() as folder:
        port, mapper = free_port(), free_port()
        variables = {
            "HOME": folder,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": mapper,
            "RABBITMQ_NODENAME": f"smoketest{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": port,
            "RABBITMQ_MNESIA_BASE": folder,
            "RABBITMQ_LOG_BASE": folder,
            # So that the script becomes the server, instead of waiting for it.
            "RUNNING_UNDER_SYSTEMD": "true",
            "RABBITMQ_DIST_PORT": free_port(),
            "RABBITMQ_ENABLED_PLUGINS_FILE": folder / "plugins",
        }
        words = ["env", *(f"{name}={value}" for name, value in variables.items())]
        # Erlang would start its port mapper by itself, as a daemon that stays behind.
        with (
            process([*words, epmd, "-d"], folder / "epmd", "epmd running", "KILL"),
            process([*words, binary], folder / "log", "completed with", "KILL"),
        ):
            _RABBITMQ[port] = words
            yield Server("127.0.0.1", port, "guest", "guest")


_RABBITMQ: dict[int, list[str]] = {}
"""The words before a command that is for the server on a port: its variables."""


def rabbitmq_objects(server: Server, kind: str) -> list[str]:
    """The names of all ``queues`` or ``exchanges``, if it is a server of our own."""
    if server.port not in _RABBITMQ:
        return []
    command = [*_RABBITMQ[server.port], "/usr/lib/rabbitmq/bin/rabbitmqctl"]
    return sorted(_run([*command, "-q", f"list_{kind}", "name", "--no-table-headers"]).split())


def _named_by(variable: str, port: int) -> Server:
    """The server that `variable` names, if it answers. Raises Unavailable."""
    server = Server.from_url(os.environ[variable], port)
    try:
        socket.create_connection((server.host, server.port), timeout=5).close()
    except OSError as error:
        raise Unavailable(
            f"{variable} names a server that does not answer: {server.host}:{server.port}"
            f" ({error}); start it, or unset the variable to have one started"
        ) from error
    return server


def _create_postgresql_user(port: int) -> None:
    """Make an ordinary role: a project does not run as a superuser in production."""
    import psycopg

    address = f"host=127.0.0.1 port={port} user=postgres dbname=postgres"
    with closing(psycopg.connect(address, autocommit=True)) as connection:
        connection.execute(f"CREATE ROLE {USER} LOGIN CREATEDB".encode())
    _allow_dblink(address.replace("dbname=postgres", "dbname=template1"))


def _allow_dblink(template: str) -> None:
    """Give it to each database that is copied of `template`, where the server has it."""
    import psycopg

    available = "SELECT 1 FROM pg_available_extensions WHERE name = 'dblink'"
    grant = f"GRANT EXECUTE ON FUNCTION dblink_connect_u(text, text) TO {USER}"
    with closing(psycopg.connect(template, autocommit=True)) as connection:
        if connection.execute(available).fetchone():
            connection.execute("CREATE EXTENSION dblink")
            connection.execute(grant.encode())


def _find(product: str, package: str, *names: str) -> list[str]:
    """The paths of the binaries `names`. Raises Unavailable if one is missing."""
    folders = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name)
    )
    path = os.pathsep.join([*map(str, reversed(folders)), os.environ["PATH"], "/usr/sbin"])
    found = [shutil.which(name, path=path) for name in names]
    if not all(found):
        raise Unavailable(
            f"no {product} server: {names[found.index(None)]!r} is not installed;"
            f" 'apt-get install {package}', or set SMOKETEST_TEST_{product.upper()}"
        )
    return [name for name in found if name]


def _as_nobody() -> list[str]:
    """The words before a command that give up root, which PostgreSQL refuses to run as."""
    if os.geteuid() != 0:
        return []
    return ["--reuid=nobody", "--regid=nogroup", "--clear-groups"]


@contextmanager
def _folder() -> Iterator[Path]:
    """A temporary folder that belongs to the user whom the servers run as."""
    # Not pytest's: a socket's path may be at most 107 bytes long.
    with tempfile.TemporaryDirectory(prefix="smoketest-", ignore_cleanup_errors=True) as name:
        if _as_nobody():
            shutil.chown(name, "nobody", "nogroup")
        yield Path(name)


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _run(command: Sequence[object]) -> str:
    """Run `command` as an unprivileged user. Raises Unavailable with what it printed."""
    done = subprocess.run(
        [*_setpriv("KILL"), *map(str, command)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd="/",
        check=False,
    )
    if done.returncode:
        raise Unavailable(f"{command[0]} failed with {done.returncode}: {done.stdout.strip()}")
    return done.stdout


def _setpriv(death: str, *, as_nobody: bool = True) -> list[str]:
    """The words before a command that should get signal `death` when this process ends."""
    return ["setpriv", f"--pdeathsig={death}", *(_as_nobody() if as_nobody else ()), "--"]


@contextmanager
def process(
    command: Sequence[object], log: Path, ready: str, stop: str, *, as_nobody: bool = True
) -> Iterator[None]:
    """Run a server until the block ends; it is up when its log says `ready`."""
    with ExitStack() as stack:
        output = stack.enter_context(log.open("wb"))
        # A session of its own, so that Ctrl-C reaches pytest and not the server under it.
        process = subprocess.Popen(
            [*_setpriv(stop, as_nobody=as_nobody), *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
        )
        stack.callback(process.wait)
        stack.callback(process.send_signal, signal.Signals[f"SIG{stop}"])
        _wait_until_up(process, log, ready)
        yield


def _wait_until_up(process: subprocess.Popen[bytes], log: Path, ready: str) -> None:
    """Return when `ready` is in the log. Raises Unavailable when that cannot come."""
    # Not "when the port answers": PostgreSQL listens before it lets anybody in.
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        if ready in log.read_text(errors="replace"):
            return
        time.sleep(0.02)
    raise Unavailable(f"{process.args!r} did not start: {log.read_text(errors='replace')}")


def main() -> None:
    """Start both servers, print their variables, wait for Ctrl-C."""
    # A process that a script starts in the background ignores it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with ExitStack() as stack:
        postgresql_url = stack.enter_context(postgresql()).url("postgresql")
        mariadb_url = stack.enter_context(mariadb()).url("mysql")
        print(f"export SMOKETEST_TEST_POSTGRESQL={postgresql_url}")
        print(f"export SMOKETEST_TEST_MARIADB={mariadb_url}", flush=True)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
