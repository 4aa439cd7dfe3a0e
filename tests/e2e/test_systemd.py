"""What systemd is told: over a socket of its kind, and by its own verifier."""
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
