"""holdfastctl: what it prints for people and programs, and its exit status."""
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from kit import process
from kit.backends import named
from kit.frames import CLOSE, TEXT, frame, open_websocket, read_frame


def binary():
    given = os.environ.get("HOLDFASTCTL_BIN")
    return given or str(Path(process.binary()).with_name("holdfastctl"))


@pytest.fixture
def start(start, admin_path):
    """A process, and holdfastctl for it."""
    def make(backend=None, **parts):
        hf, _ = start(backend, **parts)

        def ctl(*args, status=0, socket=admin_path):
            done = subprocess.run([binary(), *args], capture_output=True, timeout=30, stdin=subprocess.DEVNULL,
                                  env=process.environment({"HOLDFAST_SOCKET": str(socket)}))
            process.judge(done.stderr)
            assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
            return done.stdout.decode() if status == 0 else done.stderr.decode()
        return hf, ctl
    return make


def test_status_and_clusters_are_for_people_and_for_programs(start, echo):
    hf, ctl = start(echo)
    client = hf.connect()
    open_websocket(client)
    text = ctl("status")
    assert f"pid {hf.pid}, running" in text and re.search(r"1 \(1 WebSocket, 0 HTTP, 0 TCP\) of \d+", text)
    assert json.loads(ctl("--json", "status"))["pid"] == hf.pid
    head, row = ctl("clusters").splitlines()
    assert head.split() == ["CLUSTER", "ENDPOINT", "STATE", "WEIGHT", "ACTIVE", "TOTAL", "FAILURES", "WHY"]
    assert row.split() == ["c", echo.address, "ready", "1", "1", "1", "0"]
    assert ctl("clusters", "c").splitlines()[1] == row
    assert 'there is no cluster "x"' in ctl("clusters", "x", status=1)


def test_endpoints_are_commanded(start, make_origin):
    a, b, c = (make_origin(named(n)) for n in "abc")
    hf, ctl = start([a, b])
    assert ctl("drain", "c", a.address).startswith(f"c/{a.address} is draining (asked for on the admin socket): weight 1, 0 active")
    assert ctl("drain", "c", a.address, "--wait").count("\n") == 1
    assert {hf.request().text for _ in range(4)} == {"b"}
    assert " is ready" in ctl("ready", "c", a.address)
    assert " is disabled" in ctl("disable", "c", b.address)
    assert {hf.request().text for _ in range(4)} == {"a"}
    ctl("ready", "c", b.address)
    assert "weight 3," in ctl("weight", "c", a.address, "3")
    assert sum(hf.request().text == "a" for _ in range(8)) == 6
    assert "is added" in ctl("add", "c", c.address, "--weight=4", "--max-connections=9", "--zone=z")
    assert json.loads(ctl("--json", "endpoint", "c", c.address))["max_connections"] == 9
    assert sum(hf.request().text == "c" for _ in range(8)) == 4
    assert "is removed" in ctl("remove", "c", c.address)
    assert "c: 0 connections" in ctl("rebalance", "c")
    assert "has no endpoint" in ctl("drain", "c", "nobody:1", "--wait", status=1)
    assert "was not added" in ctl("remove", "c", a.address, status=1)
    assert "did you mean" not in ctl("add", "c", "nonsense", status=1)
    assert "no number" in ctl("weight", "c", a.address, "much", status=2)
    ctl("ready", "c", status=2)


def test_connections_are_listed_and_killed(start, echo):
    hf, ctl = start(echo)
    client = hf.connect()
    open_websocket(client)
    client.send(frame(TEXT, b"hello"))
    assert read_frame(client).payload == b"hello"
    head, row = ctl("connections", "--kind=websocket").splitlines()
    assert row.split()[1:6] == ["127.0.0.1", "websocket", "open", "all", echo.address]
    (listed,) = json.loads(ctl("connections", "--json"))["connections"]
    assert listed["id"] == row.split()[0] and listed["messages_in"] == 1
    assert ctl("kill", listed["id"], "--code=4002", "--reason=now & here").strip() == "closed 1"
    close = read_frame(client)
    assert close.opcode == CLOSE and (close.code, close.reason) == (4002, "now & here")
    assert "there is no connection" in ctl("kill", listed["id"], status=1)
    assert "which ones?" in ctl("kill", status=1)


def test_config_check_diff_and_reload(start, origin):
    hf, ctl = start(origin)
    assert "nothing changes" in ctl("config", "diff")
    good = hf.config
    hf.write({**good, "shutdown": {"grace": "3s"}})
    assert "would change 1 key" in ctl("config", "check")
    row = ctl("config", "diff").splitlines()[1]
    assert row.split() == ["~", "shutdown.grace", "1s", "3s"]
    assert ctl("reload").endswith("in force\n")
    assert "nothing changes" in ctl("config", "diff")
    hf.write("listeners: [\n")
    for words in (("config", "check"), ("config", "diff"), ("reload",)):
        assert "holdfast.yaml:" in ctl(*words, status=1)
    hf.write(good)


def test_ready_and_drain_self(start, origin):
    _, ctl = start(origin)
    assert ctl("ready") == "ready\n"
    assert "503" in ctl("drain-self")
    ctl("ready", status=1)
    assert "200" in ctl("drain-self", "--off")
    ctl("ready")
    assert "debug" in ctl("log", "debug")
    assert "error, warn, info or debug" in ctl("log", "loud", status=1)


def test_metrics_are_passed_on(start, origin):
    _, ctl = start(origin)
    assert "\nholdfast_ready 1\n" in ctl("metrics")


def test_top_shows_rates_and_endpoints(start, origin):
    hf, ctl = start(origin)
    text = ctl("top", "--count=2", "--delay=0.2")
    assert text.count("messages/s") == 2 and text.count(origin.address) == 2


@pytest.mark.parametrize("args", [(), ("fly",), ("status", "now"), ("log",), ("status", "--fast"), ("top", "--count=0")])
def test_what_is_not_understood_is_2(start, origin, args):
    _, ctl = start(origin)
    assert "holdfastctl" in ctl(*args, status=2)


def test_nobody_there_is_3(start, origin, short_directory):
    hf, ctl = start(origin)
    assert "is holdfast running" in ctl("status", status=3, socket=short_directory / "none.sock")
    assert hf.stop() == 0
    ctl("status", status=3)


def test_help_lists_what_completion_and_manual_know(start, origin):
    _, ctl = start(origin)
    commands = [line.split("\t")[0] for line in ctl("words").splitlines()]
    text = ctl("help")
    manual = (process.TREE / "doc" / "man" / "holdfastctl.1").read_text().replace("\\-", "-")
    for command in commands:
        assert command in text, command
        assert any(line.startswith(".B") and command in line for line in manual.splitlines()), command
    script = process.TREE / "contrib" / "holdfastctl.bash"
    out = subprocess.run(["bash", "-c", f'PATH={Path(binary()).parent}:$PATH; source {script}; COMP_WORDS=(holdfastctl con); '
                          'COMP_CWORD=1; _holdfastctl; printf "%s\\n" "${COMPREPLY[@]}"'],
                         capture_output=True, timeout=20, check=True, env=process.environment()).stdout.decode()
    assert sorted(set(out.split())) == ["config", "connections"]
