"""What systemd is told: over a socket of its kind, and by its own verifier."""
import json
import shutil
import signal
import socket
import subprocess

import pytest

from kit import process


@pytest.fixture
def heard(short_directory):
    """What arrives at a NOTIFY_SOCKET, a message at a time."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        path = short_directory / "notify"
        s.bind(str(path))
        s.settimeout(20)

        def fields():
            return dict(line.split("=", 1) for line in s.recv(4096).decode().splitlines())
        fields.path = str(path)
        yield fields


def test_start_reload_and_stop_are_told(holdfast, origin, heard):
    hf = holdfast(origin, env={"NOTIFY_SOCKET": heard.path})
    assert heard()["READY"] == "1"
    hf.reload()
    reloading = heard()
    assert reloading["RELOADING"] == "1" and int(reloading["MONOTONIC_USEC"]) > 0
    assert heard()["READY"] == "1"
    hf.reload("nonsense: [\n")
    assert heard()["RELOADING"] == "1"
    refused = heard()
    assert refused["READY"] == "1" and "refused" in refused["STATUS"]
    hf.send_signal(signal.SIGTERM)
    assert heard()["STOPPING"] == "1"
    assert hf.wait_end() == 0


def test_watchdog_is_fed(holdfast, origin, heard):
    holdfast(origin, env={"NOTIFY_SOCKET": heard.path, "WATCHDOG_USEC": "200000"})
    seen = [heard() for _ in range(4)]
    assert sum("WATCHDOG" in s for s in seen) >= 3


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not there")
def test_unit_is_understood(tmp_path):
    text = (process.TREE / "contrib" / "holdfast.service").read_text()
    unit = tmp_path / "holdfast.service"
    # the paths of where it is installed are not there
    unit.write_text("\n".join(line for line in text.splitlines() if not line.startswith("ExecStartPre="))
                    .replace("/usr/local/sbin/holdfast", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, timeout=60)
    assert done.returncode == 0 and b"holdfast.service:" not in done.stderr, done.stderr.decode()


def test_upgrade_tells_the_new_main_process(holdfast, origin, heard):
    hf = holdfast(origin, env={"NOTIFY_SOCKET": heard.path, "WATCHDOG_USEC": "600000000"}, upgrade={"drain": "1s"})
    before = hf.pid
    hf.upgrade()
    seen = [heard()]
    while "MAINPID" not in seen[-1]:
        seen.append(heard())
    assert int(seen[-1]["MAINPID"]) == hf.pid != before and seen[-1]["READY"] == "1"
    assert sum("WATCHDOG" in s for s in seen) == 2, "both feed it, though it was for the first by its number"
    hf.wait_drained()
    hf.stop()
    while "STOPPING" not in seen[-1]:
        seen.append(heard())
    assert sum("STOPPING" in s for s in seen) == 1, "the one before said nothing of its end"


# ---- socket activation ----

def inherits(sockets):
    """A shell that hands sockets on as systemd does: from descriptor 3, named by its own process id."""
    moves = " ".join(f"{3 + i}<&{s.fileno()}" for i, s in enumerate(sockets))
    return ("/bin/bash", "-c", f'LISTEN_PID=$$ LISTEN_FDS={len(sockets)} exec "$@" {moves}', "bash")


@pytest.fixture
def lent():
    made = []

    def make(family=socket.AF_INET, at=("127.0.0.1", 0)):
        s = socket.socket(family)
        s.bind(at)
        s.listen(128)
        s.set_inheritable(True)
        made.append(s)
        return s
    yield make
    for s in made:
        s.close()


def test_sockets_of_systemd_are_used(holdfast, origin, lent, short_directory):
    tcp, path = lent(), str(short_directory / "lent.sock")
    unix = lent(socket.AF_UNIX, path)
    waiting = socket.create_connection(tcp.getsockname())  # before the process is there
    hf = holdfast(origin, listener={"bind": [f"127.0.0.1:{tcp.getsockname()[1]}", f"unix:{path}"]}, pass_fds=[tcp, unix],
                  prefix=inherits([tcp, unix]), upgrade={"drain": "1s"})
    waiting.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert waiting.recv(65536).startswith(b"HTTP/1.1 200")
    waiting.close()
    assert all(hf.request(address=at).status == 200 for at in (hf.address, path) for _ in range(4))
    hf.upgrade()
    hf.wait_drained()
    assert all(hf.request(address=at).status == 200 for at in (hf.address, path) for _ in range(4))
    assert hf.stop() == 0
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)  # the file is systemd's: the socket waits for the next start


def test_what_is_no_listening_socket_is_refused(directory, origin):
    config = directory / "holdfast.yaml"
    config.write_text(json.dumps(process.config_of(origin)))
    a, b = socket.socketpair()
    with a, b:
        done = subprocess.run([*inherits([a]), process.binary(), "-c", str(config)], pass_fds=[a.fileno()], timeout=30,
                              capture_output=True, env=process.environment())
    assert done.returncode == 1 and b"LISTEN_FDS" in done.stderr
