"""Everything that a smoke test was seen to hang in, as tests that hang.

:data:`SMOKE` is the smoke module of a project. Each kind is one class, named like the
kind, with one test ``test_it``. What is waited for is on this machine alone: silent
sockets on the loopback, a FIFO that nobody opens, a lock that nobody releases.
"""

from __future__ import annotations

SMOKE = '''
import asyncio, ctypes, os, queue, re, socket, struct, subprocess, tempfile, threading, time
import urllib.request

from django.db import connection, connections
from smoketest import SmokeTest, tag
from tests.testapp.models import Item


def silent_server():
    """A socket that accepts, as the kernel does it, and never answers."""
    return socket.create_server(("127.0.0.1", 0))


def fifo():
    path = os.path.join(tempfile.mkdtemp(), "fifo")
    os.mkfifo(path)
    return path


def ask_a_silent_resolver():
    """Let this thread's resolver ask a port of the loopback that swallows every packet.

    glibc keeps it in a structure of each thread, see <resolv.h>; there is no other way to
    name a port.
    """
    hole = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    hole.bind(("127.0.0.1", 0))
    libc = ctypes.CDLL(None)
    libc.__res_init()
    libc.__res_state.restype = ctypes.c_void_p
    state = libc.__res_state()
    address = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(hole.getsockname()[1]),
                          socket.inet_aton("127.0.0.1"))
    ctypes.memmove(state, struct.pack("ii", 30, 5), 8)  # seconds, attempts
    ctypes.memmove(state + 16, struct.pack("i", 1), 4)  # servers
    ctypes.memmove(state + 20, address, 16)
    return hole


@tag("hang")
class Hang(SmokeTest):
    abstract = True


class sleep(Hang):
    def test_it(self): time.sleep(600)


class socket_read(Hang):
    def test_it(self):
        with silent_server() as server:
            socket.create_connection(server.getsockname()).recv(1)


class http_without_timeout(Hang):
    def test_it(self):
        with silent_server() as server:
            urllib.request.urlopen("http://127.0.0.1:%d/" % server.getsockname()[1])


class dns(Hang):
    def test_it(self):
        with ask_a_silent_resolver():
            socket.getaddrinfo("blackhole.example", 80)


class fifo_read(Hang):
    def test_it(self): open(fifo()).read()


class lock(Hang):
    def test_it(self):
        mutex = threading.Lock()
        mutex.acquire()
        mutex.acquire()


class queue_get(Hang):
    def test_it(self): queue.Queue().get()


class child_process(Hang):
    def test_it(self):
        # It ends with this process, and keeps nobody from reading the output to its end.
        command = ["setpriv", "--pdeathsig", "KILL", "sleep", "600"]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class python_loop(Hang):
    def test_it(self):
        while True:
            pass


class swallows_exceptions(Hang):
    def test_it(self):
        while True:
            try:
                time.sleep(0.01)
            except Exception:
                pass


class swallows_everything(Hang):
    def test_it(self):
        while True:
            try:
                time.sleep(0.01)
            except:
                pass


class async_sleep(Hang):
    async def test_it(self): await asyncio.sleep(600)


class async_read(Hang):
    async def test_it(self):
        with silent_server() as server:
            reader, _ = await asyncio.open_connection(*server.getsockname())
            await reader.read(1)


class async_blocking(Hang):
    async def test_it(self): time.sleep(600)


class async_swallows_cancellation(Hang):
    async def test_it(self):
        while True:
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                pass


class in_set_up(Hang):
    def setUp(self): time.sleep(600)
    def test_it(self): pass


class in_tear_down(Hang):
    def tearDown(self): time.sleep(600)
    def test_it(self): pass


class in_cleanup(Hang):
    def test_it(self): self.addCleanup(time.sleep, 600)


class in_set_up_class(Hang):
    @classmethod
    def setUpClass(cls): time.sleep(600)
    def test_it(self): pass


class in_tear_down_class(Hang):
    @classmethod
    def tearDownClass(cls): time.sleep(600)
    def test_it(self): pass


# -- in a database, after a write


@tag("hang-database")
class DatabaseHang(SmokeTest):
    abstract = True

    def setUp(self):
        Item.objects.create(name=type(self).__name__)

    def ask(self, **by_vendor):
        with connection.cursor() as cursor:
            cursor.execute(by_vendor[connection.vendor])
            return cursor.fetchall()


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
BILLION = ", ".join(f"(SELECT 0{' UNION ALL SELECT 0' * 9}) AS t{n}" for n in range(9))


class idle_in_transaction(DatabaseHang):
    def test_it(self): time.sleep(600)


class slow_query(DatabaseHang):
    def test_it(self):
        self.ask(
            postgresql="SELECT pg_sleep(600)",
            mysql="SELECT SLEEP(600)",
            sqlite=ENDLESS + "SELECT count(*) FROM n",
        )


class many_queries(DatabaseHang):
    def test_it(self):
        while True:
            Item.objects.count()


class huge_fetch(DatabaseHang):
    def test_it(self):
        self.ask(
            postgresql="SELECT repeat('x', 50) FROM generate_series(1, 1000000000)",
            mysql=f"SELECT repeat('x', 50) FROM {BILLION}",
            sqlite=ENDLESS + "SELECT 'x' FROM n LIMIT 50000000",
        )


class async_query(DatabaseHang):
    async def test_it(self):
        await Item.objects.acreate(name="async")
        await asyncio.sleep(600)


@tag("hang-row-lock")
class row_lock(SmokeTest):
    """Somebody else holds the row ``locked``."""

    def test_it(self):
        Item.objects.create(name="row_lock")
        Item.objects.filter(name="locked").update(name="mine")


# -- what keeps every other thread of the interpreter from running


SECONDS = float(os.environ.get("SMOKETEST_HOG_SECONDS", 600))


@tag("hang-interpreter")
class c_loop(SmokeTest):
    def test_it(self): sum(range(int(SECONDS * 3e7)))


@tag("hang-interpreter")
class regular_expression(SmokeTest):
    def test_it(self):
        length = 40 if SECONDS >= 600 else 25
        re.match("(a+)+$", "a" * length + "b")


@tag("hang")
class harmless(SmokeTest):
    def test_it(self): pass
'''

EVERYWHERE = (
    "sleep", "socket_read", "http_without_timeout", "dns", "fifo_read", "lock", "queue_get",
    "child_process", "python_loop", "swallows_exceptions", "swallows_everything", "async_sleep",
    "async_read", "async_blocking", "async_swallows_cancellation", "in_set_up", "in_tear_down",
    "in_cleanup", "in_set_up_class", "in_tear_down_class",
)  # fmt: skip
"""Kinds that have nothing to do with a database."""

IN_A_DATABASE = (
    "idle_in_transaction", "slow_query", "many_queries", "huge_fetch", "async_query",
)  # fmt: skip
IN_A_LOCK = "row_lock"
IN_THE_INTERPRETER = ("c_loop", "regular_expression")
