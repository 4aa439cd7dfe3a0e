"""SIGUSR2 and POST /upgrade: another process takes over, and no client is refused; or it cannot, and nothing changes."""
import copy
import os
import shutil
import signal
import socket
import stat
import threading
import time

import pytest

from kit import process
from kit.backends import ok
from kit.frames import CLOSE, TEXT, frame, open_websocket, read_frame
from kit.kernel import free_port
from kit.raw import RawClient, build_request
from kit.wait import wait_until

HELLO = {"routes": [{"path": "/hello", "respond": {"status": 200, "body": "hello"}}, {"cluster": "c"}]}
LONG = {"upgrade": {"drain": "60s"}}


@pytest.fixture
def start(start):
    def make(backend=None, **parts):
        parts.setdefault("upgrade", {"drain": "1s"})
        return start(backend, **parts)
    return make


@pytest.fixture
def program(directory):
    """The binary at a place of its own, where another may be put."""
    path = directory / "bin" / "holdfast"
    path.parent.mkdir()
    shutil.copy(process.binary(), path)
    return path


def put(path, text):
    """Another program in its place, all at once, as a package manager does it."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.chmod(0o755)
    fresh.rename(path)


def says(client, text):
    client.send(frame(TEXT, text))
    return read_frame(client).payload.decode() == text


# ---- what is taken over ----

def test_another_process_takes_over(start, origin, directory):
    pid_file = directory / "pid"
    hf, admin = start(origin, pid_file=str(pid_file))
    first = hf.pid
    assert int(pid_file.read_text()) == first == admin.get("/status").json["pid"]
    hf.upgrade()
    assert hf.pid != first
    assert int(pid_file.read_text()) == hf.pid == admin.get("/status").json["pid"]
    assert hf.request().status == 200
    hf.wait_drained()
    assert hf.request().status == 200 and admin.get("/ready").status == 200
    assert int(pid_file.read_text()) == hf.pid, "the one before left the file alone"
    assert hf.stop() == 0
    assert not pid_file.exists()


def test_upgrades_follow_one_another(start, origin):
    hf, admin = start(origin)
    pids = {hf.pid}
    for _ in range(3):
        hf.upgrade()
        pids.add(admin.get("/status").json["pid"])
        assert hf.request().status == 200
    assert len(pids) == 4


def test_websockets_stay_with_the_process_before_and_are_told_1012(start, echo):
    hf, _ = start(echo, upgrade={"drain": "4s"}, workers=1)
    old = [hf.connect() for _ in range(12)]
    for client in old:
        open_websocket(client)
    hf.upgrade()
    new = hf.connect()
    open_websocket(new)
    for client in old:
        f = read_frame(client)
        assert (f.opcode, f.code, f.reason) == (CLOSE, 1012, "upgrade.drain: the proxy has been upgraded")
        client.send(frame(CLOSE, f.payload))
    hf.wait_drained()
    assert says(new, "and here")
    codes = hf.wait_access(lambda x: x.get("reason") == "upgraded", count=12)
    assert {x["close_code"] for x in codes} == {1012}


def test_drain_0_waits_for_the_last_one_without_end(start, echo):
    hf, _ = start(echo, upgrade={"drain": "0"})
    client = hf.connect()
    open_websocket(client)
    hf.upgrade()
    assert says(client, "one") and hf.before[0].poll() is None
    client.send(frame(CLOSE, b"\x03\xe8"))
    assert read_frame(client).code == 1000
    client.close()
    hf.wait_drained()


def test_request_under_way_is_answered(start, make_origin):
    gate = threading.Event()

    async def reply(request, conn):
        import asyncio
        while not gate.is_set():
            await asyncio.sleep(0.01)
        return ok("at last")
    hf, _ = start(make_origin(reply), **LONG)
    client = hf.connect()
    client.send(build_request("/slow"))
    idle = hf.connect()
    hf.upgrade()
    gate.set()
    assert client.read_response().text == "at last"
    # had connected, and not asked yet
    answer = idle.request("/")
    assert answer.text == "at last" and answer.get("connection") == "close"


def test_sigterm_hurries_the_drain(start, echo):
    hf, _ = start(echo, **LONG)
    client = hf.connect()
    open_websocket(client)
    hf.upgrade()
    hf.before[0].send_signal(signal.SIGTERM)
    assert read_frame(client).opcode == CLOSE
    client.close()
    hf.wait_drained()
    assert hf.is_running()


# ---- nobody is refused ----

class Load:
    """Threads that connect, ask and go, over and over; every answer counts, and every failure."""

    def __init__(self, address, threads=6):
        self.address, self.done, self.failures, self.answers = address, threading.Event(), [], 0
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run) for _ in range(threads)]
        for t in self.threads:
            t.start()

    def run(self):
        while not self.done.is_set():
            try:
                with RawClient(self.address, timeout=20) as client:
                    answer = client.request("/hello")
                    assert answer.status == 200 and answer.text == "hello", answer
                with self.lock:
                    self.answers += 1
            except Exception as e:
                with self.lock:
                    self.failures.append(f"{time.monotonic():.3f} {e!r}")

    def wait_more(self, count=100):
        seen = self.answers
        wait_until(lambda: self.answers >= seen + count or self.failures, "more answers", timeout=60)

    def stop(self):
        self.done.set()
        for t in self.threads:
            t.join()
        assert not self.failures, f"{len(self.failures)} of {self.answers}: {self.failures[:5]}"


@pytest.fixture
def load(factory):
    def make(address):
        made = Load(address)
        return factory.keep(made, made.stop)
    return make


@pytest.mark.limit(240)
@pytest.mark.parametrize("workers", [(2, 2, 2, 2), (1, 3, 2, 1)], ids=["two workers", "their number changes"])
def test_no_connection_is_lost_under_load(start, load, origin, workers):
    config = {**HELLO, "workers": workers[0], "upgrade": {"drain": "2s"}}
    hf, _ = start(origin, **config)
    clients = load(hf.address)
    clients.wait_more()
    for count in workers[1:]:
        hf.write({**hf.config, "workers": count})
        hf.upgrade()
        clients.wait_more()
    hf.wait_drained()
    clients.wait_more()
    clients.stop()
    assert hf.fd_count() < 200


@pytest.mark.limit(180)
def test_no_connection_is_lost_where_an_upgrade_fails(start, load, origin):
    hf, _ = start(origin, **HELLO)
    clients = load(hf.address)
    clients.wait_more()
    good = hf.config
    hf.write("listeners: nonsense\n")
    for i in range(3):
        hf.send_signal(signal.SIGUSR2)
        hf.wait_log("upgrade: refused", count=i + 1, timeout=60)
    hf.write(good)
    clients.wait_more()
    clients.stop()
    assert hf.is_running()


def test_new_listeners_come_and_old_ones_go_with_an_upgrade(start, origin):
    hf, _ = start(origin)
    config, old, new = copy.deepcopy(hf.config), hf.port, free_port()
    config["listeners"][0]["bind"] = [f"127.0.0.1:{new}"]
    client = hf.connect()
    hf.write(config)
    hf.upgrade()
    assert hf.request().status == 200 and hf.port == new
    assert client.request().status == 200, "who had come before is served"
    hf.wait_drained()
    with pytest.raises(ConnectionRefusedError):
        RawClient(("127.0.0.1", old))


def test_unix_listener_is_taken_over_with_its_file(start, origin, short_directory):
    path = short_directory / "web.sock"
    hf, _ = start(origin, listener={"bind": [f"unix:{path}"]})
    inode = os.stat(path).st_ino
    for _ in range(2):
        hf.upgrade()
        assert hf.request(address=str(path)).status == 200
        hf.wait_drained()
        assert os.stat(path).st_ino == inode and hf.request(address=str(path)).status == 200
    hf.write("broken: [\n")
    hf.send_signal(signal.SIGUSR2)
    hf.wait_log("upgrade: refused", timeout=60)
    assert stat.S_ISSOCK(os.stat(path).st_mode) and hf.request(address=str(path)).status == 200
    assert hf.stop() == 0 and not path.exists()


# ---- what else is handed over ----

def test_tls_sessions_resume(start, certs):
    hf, _ = start(tls=True, routes=[{"respond": {"status": 200, "body": "x"}}])
    context = certs.client_context()

    def ask(session=None):
        client = hf.connect(tls=context, session=session)
        client.request()
        return client.socket.session_reused, client.socket.session
    _, session = ask()
    hf.upgrade()
    hf.wait_drained()
    reused, session = ask(session)
    assert reused, "ticket keys are handed over"


def test_affinity_cookie_stays_good(start, make_origin):
    from kit.backends import named
    servers = [make_origin(named(n)) for n in "abc"]
    hf, _ = start(servers, cluster={"affinity": {"cookie": {"name": "r", "secure": False}}})
    first = hf.request()
    cookie = first.get("set-cookie").split(";")[0]
    hf.upgrade()
    hf.wait_drained()
    assert {hf.request(headers=[("Cookie", cookie)]).text for _ in range(6)} == {first.text}


def test_health_is_known_at_once(start, make_origin):
    """A verdict that stands is not told a second time by the next process's first check."""
    good = make_origin()
    dead = f"127.0.0.1:{free_port()}"
    hf, _ = start([good.address, dead], cluster={"health": {"type": "http", "path": "/healthz", "interval": "60s"}})
    hf.wait_log("is down")
    hf.wait_log("is up")
    hf.upgrade()
    assert {hf.request().status for _ in range(6)} == {200}
    good.wait(lambda b: sum(r.target == "/healthz" for r in b.requests) >= 2, "the next process's check")
    hf.wait_drained()
    assert hf.log().count("is down") == hf.log().count("is up") == 1


def test_what_was_commanded_stays(start, origin):
    hf, admin = start(origin)
    admin.ask("POST", "/drain")
    admin.ask("POST", "/log", {"level": "debug"})
    hf.upgrade()
    hf.wait_drained()
    assert admin.get("/ready").status == 503
    hf.reload()
    hf.wait_log("SIGHUP")  # is told at the level that was commanded
    admin.ask("DELETE", "/drain")
    assert admin.get("/ready").status == 200


# ---- it fails ----

def refused(hf, admin):
    answer = admin.ask("POST", "/upgrade")
    assert answer.status == 422 and answer.headers["content-type"] == "application/problem+json"
    assert hf.request().status == 200 and hf.is_running() and not hf.before
    assert admin.get("/ready").status == 200
    return "\n".join(answer.json["errors"])


def test_broken_configuration_is_refused_with_its_errors(start, origin, directory):
    pid_file = directory / "pid"
    hf, admin = start(origin, pid_file=str(pid_file))
    good = hf.config
    hf.write({**good, "no_such_key": 1, "workers": -1})
    errors = refused(hf, admin)
    assert "no_such_key" in errors and "workers" in errors
    assert int(pid_file.read_text()) == hf.pid
    assert admin.metrics()["holdfast_upgrades_refused_total"] == 1
    hf.write(good)
    hf.upgrade()
    assert hf.request().status == 200 and int(pid_file.read_text()) == hf.pid


def test_address_in_use_is_refused(start, origin):
    hf, admin = start(origin)
    config = copy.deepcopy(hf.config)
    with socket.create_server(("127.0.0.1", 0)) as other:
        config["listeners"][0]["bind"].append(f"127.0.0.1:{other.getsockname()[1]}")
        hf.write(config)
        assert str(other.getsockname()[1]) in refused(hf, admin)


def test_missing_certificate_is_refused(start, certs, directory):
    key = directory / "gone.key"
    shutil.copy(certs.leaf.key, key)
    hf, admin = start(listener={"tls": {"certificates": [{"cert": certs.leaf.cert, "key": str(key)}]}},
                      routes=[{"respond": {"status": 200}}])
    key.unlink()
    answer = admin.ask("POST", "/upgrade")
    assert answer.status == 422 and "gone.key" in answer.text
    assert hf.connect(tls=certs.client_context()).request().status == 200


@pytest.mark.parametrize("text, why", [
    (None, "No such file"),
    ("#!/bin/sh\nexit 7\n", "status 7"),
    ("#!/bin/sh\nkill -ABRT $$\n", "signal 6"),
    ("neither script nor binary", "cannot be started"),
], ids=["gone", "ends", "crashes", "no program"])
def test_binary_that_does_not_start_is_refused(start, origin, program, text, why):
    hf, admin = start(origin, program=program)
    if text is None:
        program.unlink()
    else:
        put(program, text)
    assert why in refused(hf, admin)


def test_binary_that_hangs_is_ended_in_time(start, origin, program, directory):
    hf, admin = start(origin, program=program, upgrade={"drain": "1s", "timeout": "1s"})
    put(program, f"#!/bin/sh\necho $$ > {directory}/hung\nexec sleep 1000\n")
    assert "signal 9" in refused(hf, admin)
    assert "upgrade.timeout" in hf.log()
    assert not os.path.exists(f"/proc/{(directory / 'hung').read_text().strip()}")


def test_another_format_is_refused(start, origin, program, directory):
    """A version that does not understand what it is handed says so and leaves the service alone."""
    hf, admin = start(origin, program=program)
    put(program, "#!/bin/sh\nunset HOLDFAST_UPGRADE_SEEN\nHOLDFAST_UPGRADE=${HOLDFAST_UPGRADE%,*},0\nexport HOLDFAST_UPGRADE\n"
                 f'exec {process.binary()} "$@"\n')
    assert "hand" in refused(hf, admin)


def test_reload_meanwhile_is_done_by_whoever_is_in_charge(start, program, directory):
    hf, admin = start(routes=[{"respond": {"status": 200, "body": "old"}}], program=program,
                      upgrade={"drain": "1s", "timeout": "60s"})
    gate = directory / "go"
    put(program, f'#!/bin/sh\ntouch {directory}/begun\nwhile [ ! -e {gate} ]; do sleep 0.05; done\n'
                 'exit 1\n')
    hf.send_signal(signal.SIGUSR2)
    wait_until((directory / "begun").exists, "the new process")
    config = copy.deepcopy(hf.config)
    config["listeners"][0]["routes"][0]["respond"]["body"] = "new"
    hf.reload(config)
    assert hf.request().text == "old"
    gate.touch()
    wait_until(lambda: hf.request().text == "new", "the reload that was put off")


def test_sigterm_while_the_new_one_starts_ends_both(start, origin, program, directory):
    hf, _ = start(origin, program=program)
    put(program, f"#!/bin/sh\necho $$ > {directory}/child\nexec sleep 1000\n")
    hf.send_signal(signal.SIGUSR2)
    wait_until(lambda: (directory / "child").exists() and (directory / "child").read_text().strip(), "the new process")
    child = (directory / "child").read_text().strip()
    assert hf.stop() == 0
    assert not os.path.exists(f"/proc/{child}")


def test_asked_twice_it_happens_once(start, origin):
    hf, _ = start(origin)
    hf.send_signal(signal.SIGUSR2)
    hf.upgrade()
    hf.wait_drained()
    assert hf.log().count("has taken over") == 1
