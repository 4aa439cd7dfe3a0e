"""Fixtures: the binary under test, its clients' certificates, and the backends around it.

Every test has a directory of its own for configurations and logs; it is kept when the test failed, and its place and the
end of the logs stand in the report."""
import asyncio
import inspect
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from kit import backends as kit_backends  # noqa: E402
from kit import process, servers  # noqa: E402
from kit.admin import Admin  # noqa: E402
from kit.certs import Certs  # noqa: E402
from kit.frames import echo_frames, read_frame_from, websocket_play  # noqa: E402
from kit.loop import LoopThread  # noqa: E402
from kit.wait import wait_until  # noqa: E402

USUAL_LIMIT = 90  # seconds for one test


class TookTooLong(BaseException):
    """Not an Exception: nothing between here and the test may swallow it."""


def with_limit(item):
    marker = item.get_closest_marker("limit")
    seconds = marker.args[0] if marker else USUAL_LIMIT

    def alarm(*_):
        raise TookTooLong(f"the test took more than {seconds} s")
    signal.signal(signal.SIGALRM, alarm)
    signal.alarm(seconds)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    yield
    signal.alarm(0)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    with_limit(item)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item):
    with_limit(item)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """`async def` tests run in a loop of their own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    asyncio.run(pyfuncitem.obj(**{n: pyfuncitem.funcargs[n] for n in names}))
    return True


def add_logs(report, item):
    for hf in getattr(item, "processes", ()):
        if not hf.stderr.exists():
            continue
        report.sections.append((f"holdfast {hf.pid}, {hf.stderr}", hf.log()[-6000:]))
        report.sections.append((f"holdfast {hf.pid}, {hf.stdout}", hf.access_text()[-2000:]))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        item.has_failed = True
        add_logs(report, item)


@pytest.fixture(scope="session")
def run_directory():
    """Where logs go: HOLDFAST_E2E_LOGS, or a new directory; gone at the end if nothing is left in it."""
    given = os.environ.get("HOLDFAST_E2E_LOGS")
    if given:
        Path(given).mkdir(parents=True, exist_ok=True)
    directory = Path(given or tempfile.mkdtemp(prefix="holdfast-e2e-"))
    yield directory.resolve()
    if not any(directory.iterdir()) and not given:
        directory.rmdir()


def name_of(node):
    return "".join(c if c.isalnum() else "_" for c in node.nodeid.split("/")[-1])[:80]


@pytest.fixture
def directory(request, run_directory):
    path = Path(tempfile.mkdtemp(prefix=name_of(request.node) + "-", dir=run_directory))
    yield path
    if getattr(request.node, "has_failed", False):
        print(f"logs kept: {path}", file=sys.stderr)
    else:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def short_directory():
    """For UNIX sockets, whose paths have 107 bytes at most."""
    path = Path(tempfile.mkdtemp(prefix="hf-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def module_directory(request, run_directory):
    path = Path(tempfile.mkdtemp(prefix=name_of(request.node) + "-", dir=run_directory))
    failed = request.session.testsfailed
    yield path
    if request.session.testsfailed == failed:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def home():
    loop = LoopThread()
    yield loop
    loop.stop()


@pytest.fixture(scope="session")
def certs(tmp_path_factory):
    return Certs(tmp_path_factory.mktemp("certs"))


class Factory:
    """Makes things and ends all of them, also when ending one of them fails."""

    def __init__(self):
        self.things = []

    def keep(self, thing, end):
        self.things.append(end)
        return thing

    def finish(self):
        failures = []
        while self.things:
            try:
                self.things.pop()()
            except Exception as e:  # the others still have to end
                failures.append(e)
        if failures:
            raise failures[0]


def holdfast_maker(request, path, certs, factory):
    request.node.processes = []

    def make(backend=None, *, config=None, args=(), env=None, prefix=(), ready=None, tls=None,
             program=None, pass_fds=(), **parts):
        """Starts one: with a whole `config` (mapping or text), or from the parts of kit.process.config_of();
        tls=True: the listener has the usual certificate; a mapping: its `tls` keys."""
        if tls:
            parts["listener"] = {"tls": {"certificates": [certs.leaf.config], **(tls if tls is not True else {})},
                                 **parts.get("listener", {})}
        if config is None and (backend is not None or parts):
            config = process.config_of(backend, **parts)
        hf = process.Holdfast(path / f"hf{len(request.node.processes)}", config, args, env, prefix, ready, program, pass_fds)
        request.node.processes.append(hf)
        return factory.keep(hf, hf.finish)
    return make


@pytest.fixture
def holdfast(request, directory, certs, factory):
    return holdfast_maker(request, directory, certs, factory)


@pytest.fixture(scope="module")
def shared_holdfast(request, module_directory, certs, shared_factory):
    """As `holdfast`, for processes that serve all tests of a module."""
    return holdfast_maker(request, module_directory, certs, shared_factory)


@pytest.fixture
def factory():
    made = Factory()
    yield made
    made.finish()


@pytest.fixture(scope="module")
def shared_factory():
    made = Factory()
    yield made
    made.finish()


def maker(kind):
    @pytest.fixture
    def make(home, factory):
        def with_options(*args, **options):
            backend = kind(home, *args, **options)
            return factory.keep(backend, backend.stop)
        return with_options
    return make


make_origin = maker(kit_backends.Origin)
make_raw = maker(kit_backends.RawBackend)
make_websocket = maker(servers.WebSocketServer)


@pytest.fixture
def origin(make_origin):
    return make_origin()


@pytest.fixture
def echo(make_raw):
    """A backend that sends each frame back."""
    return make_raw(websocket_play(echo_frames))


@pytest.fixture
def quiet(make_raw):
    """A backend that sends nothing and records every frame it gets, in the `frames` of its connections."""
    async def script(conn):
        while True:
            conn.frames.append(await read_frame_from(conn))
    play = websocket_play(script)

    async def record(conn):
        conn.frames = []
        await play(conn)
    return make_raw(record)


@pytest.fixture
def admin_path(short_directory):
    return short_directory / "admin.sock"


@pytest.fixture
def start(holdfast, admin_path):
    """A process with an admin socket, and who asks it."""
    def make(backend=None, **parts):
        parts.setdefault("admin", {"socket": str(admin_path)})
        hf = holdfast(backend, **parts)
        wait_until(admin_path.exists, "the admin socket")
        return hf, Admin(admin_path)
    return make


@pytest.fixture
def websocket_server(make_websocket):
    return make_websocket()


@pytest.fixture
def hole(factory):
    made = kit_backends.Hole()
    return factory.keep(made, made.close)


@pytest.fixture(scope="session")
def node_home():
    return servers.node_home()


@pytest.fixture
def make_child(directory, factory):
    def make(args, **options):
        child = servers.Child(args, directory / f"child{len(factory.things)}.log", **options)
        return factory.keep(child, child.stop)
    return make


@pytest.fixture
def make_node(make_child, node_home):
    """A script of node/ as a server."""
    def make(script="echo_server.js", *args):
        return make_child(servers.node_args(script, *args), env={"NODE_PATH": str(node_home / "node_modules")})
    return make


@pytest.fixture
def make_nginx(directory, factory):
    def make(leaf=None):
        nginx = servers.Nginx(directory / "nginx", leaf)
        return factory.keep(nginx, nginx.stop)
    return make


@pytest.fixture
def nginx(make_nginx):
    return make_nginx()
