"""What carries holdfast to where it runs: units, profiles, the rotation of logs, the Debian package."""
import gzip
import json
import os
import re
import shutil
import signal
import subprocess

import pytest
import yaml

from kit import process
from kit.backends import named
from kit.frames import TEXT, echo_frames, frame, open_websocket, read_frame, websocket_play
from kit.kernel import free_port
from kit.wait import wait_until

CONTRIB = process.TREE / "contrib"


# ---- systemd ----

def analyze(*args):
    return subprocess.run(["systemd-analyze", *args], capture_output=True, timeout=60, text=True)


@pytest.fixture
def unit(tmp_path):
    """The unit as it stands, but for paths that only an installation has."""
    text = (CONTRIB / "holdfast.service").read_text()
    path = tmp_path / "holdfast.service"
    path.write_text("\n".join(line for line in text.splitlines() if not line.startswith("ExecStartPre="))
                    .replace("/usr/local/sbin/holdfast", "/bin/true"))
    shutil.copy(CONTRIB / "holdfast.socket", tmp_path)
    return path


has_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not there")


@has_systemd
def test_units_are_understood(unit):
    done = analyze("verify", "--man=no", str(unit), str(unit.with_suffix(".socket")))
    assert done.returncode == 0 and "holdfast." not in done.stderr, done.stderr


@has_systemd
def test_unit_exposes_little(unit):
    done = analyze("security", "--offline=yes", "--threshold=25", str(unit))
    if "unrecognized option" in done.stderr:
        pytest.skip("systemd-analyze security does not know --offline here")
    assert done.returncode == 0, done.stdout[-1500:]
    assert re.search(r"Overall exposure level.*: [01]\.\d", done.stdout), done.stdout[-300:]


# ---- seccomp ----

def confine():
    """In the child, before it becomes holdfast: the profile of contrib/ as a container's runtime would load it."""
    import errno
    import seccomp
    profile = json.loads((CONTRIB / "seccomp-io-uring.json").read_text())
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    f = seccomp.SyscallFilter(defaction=seccomp.ERRNO(errno.EPERM))
    for row in profile["syscalls"]:
        for name in row["names"]:
            try:
                f.add_rule(seccomp.ALLOW, name)
            except Exception:  # unknown on this machine
                pass
    f.load()


def test_seccomp_profile_is_enough_also_for_an_upgrade(holdfast, make_raw, make_origin, monkeypatch):
    pytest.importorskip("seccomp", reason="python3-seccomp is not there")
    real = subprocess.Popen

    def confined(args, **options):
        return real(args, preexec_fn=confine if process.binary() in map(str, args) else None, **options)
    echo = make_raw(websocket_play(echo_frames))
    plain = make_origin(named("plain"))
    monkeypatch.setattr(process.subprocess, "Popen", confined)
    hf = holdfast(clusters={"w": {"endpoints": [echo.address], "health": "on"}, "c": {"endpoints": [plain.address]}},
                  routes=[{"path": "/ws", "cluster": "w"}, {"cluster": "c"}], upgrade={"drain": "1s"},
                  env={"ASAN_OPTIONS": process.SANITIZERS["ASAN_OPTIONS"].replace("detect_leaks=1", "detect_leaks=0")})
    monkeypatch.setattr(process.subprocess, "Popen", real)
    with open(f"/proc/{hf.pid}/status") as f:
        assert "Seccomp:\t2" in f.read()
    for _ in range(2):
        assert hf.request().text == "plain"
        client = hf.connect()
        open_websocket(client)
        client.send(frame(TEXT, "hello"))
        assert read_frame(client).payload == b"hello"
        client.close()
        hf.reload()
        hf.wait_log("nothing changed")
        hf.upgrade()
        hf.wait_drained()
    assert "perm" not in hf.log().lower()


# ---- containers ----

def test_kubernetes_example_is_whole(directory):
    things = {t["kind"]: t for t in yaml.safe_load_all((CONTRIB / "container" / "kubernetes.yaml").read_text())}
    assert set(things) == {"ConfigMap", "Deployment", "Service"}
    file = directory / "holdfast.yaml"
    file.write_text(things["ConfigMap"]["data"]["holdfast.yaml"])
    done = process.run("-t", "-c", file)
    assert done.returncode == 0, done.err
    config = yaml.safe_load(file.read_text())
    spec = things["Deployment"]["spec"]["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] > int(config["shutdown"]["grace"].rstrip("s")) + 10, "preStop and grace"
    ports = {p["name"]: p["containerPort"] for p in spec["containers"][0]["ports"]}
    assert str(ports["web"]) in config["listeners"][0]["bind"] and str(ports["admin"]) in config["admin"]["listen"]
    for probe in ("readinessProbe", "livenessProbe"):
        assert spec["containers"][0][probe]["httpGet"]["port"] in ports


def test_dockerfile_installs_what_the_build_asks_for():
    dockerfile = (CONTRIB / "container" / "Dockerfile").read_text()
    dev = re.search(r"BUILD_PACKAGES=\((.*?)\)", (process.TREE / "dev").read_text(), re.S)[1].split()
    for package in dev:
        assert package in dockerfile, package


# ---- logs ----

@pytest.mark.skipif(shutil.which("logrotate") is None, reason="logrotate is not there")
def test_rotated_access_log_loses_nothing(holdfast, origin, directory):
    """The rotation of contrib/, with its signal sent by number: there is no systemd here."""
    logs = directory / "logs"
    logs.mkdir(mode=0o755)
    log = logs / "access.log"
    hf = holdfast(origin, log={"access": {"path": str(log), "format": "json"}})
    conf = directory / "logrotate.conf"
    text = (CONTRIB / "holdfast.logrotate").read_text()
    assert "systemctl kill --signal=USR1" in text
    text = text.replace("/var/log/holdfast", str(logs)).replace("\tdelaycompress\n", "")
    conf.write_text(re.sub(r"systemctl kill.*", f"kill -USR1 {hf.pid}; while [ ! -e {log} ]; do sleep 0.05; done", text))
    conf.chmod(0o644)
    for n in range(3):
        for _ in range(5):
            hf.request(f"/round/{n}")
        wait_until(lambda: log.exists() and log.read_text().count(f"/round/{n}") == 5, "the lines")
        done = subprocess.run(["logrotate", "-f", "-s", str(directory / "state"), str(conf)], capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr.decode()
        assert not list(logs.glob("*.1")), "compressed"
    seen = "".join(gzip.open(p, "rt").read() for p in logs.glob("access.log.*.gz"))
    assert all(seen.count(f"/round/{n}") == 5 for n in range(3))


# ---- manuals ----

@pytest.mark.parametrize("page", ["holdfast.8", "holdfast.yaml.5", "holdfastctl.1"])
@pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not there")
def test_manual_pages_are_well_formed(page):
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "error", str(process.TREE / "doc" / "man" / page)],
                          capture_output=True, timeout=30)
    assert done.returncode == 0, done.stdout.decode()


# ---- Debian ----

@pytest.mark.limit(1500)
@pytest.mark.skipif(not os.environ.get("HOLDFAST_TEST_PACKAGE"), reason="takes minutes: HOLDFAST_TEST_PACKAGE=1 asks for it")
def test_debian_package_builds_and_runs(directory, origin):
    tree = directory / "holdfast"
    shutil.copytree(process.TREE, tree, ignore=shutil.ignore_patterns(".git", "build", "build-*", "node_modules", "autom4te.cache", "__pycache__"))
    built = subprocess.run(["dpkg-buildpackage", "-us", "-uc", "-b"], cwd=tree, capture_output=True, timeout=1400,
                           env={**os.environ, "DEB_BUILD_OPTIONS": "nocheck parallel=2"})
    assert built.returncode == 0, built.stdout.decode()[-2000:] + built.stderr.decode()[-2000:]
    [package] = [p for p in directory.glob("holdfast_*.deb")]
    root = directory / "root"
    subprocess.run(["dpkg-deb", "-x", str(package), str(root)], check=True)
    for path in ("usr/sbin/holdfast", "usr/bin/holdfastctl", "etc/holdfast/holdfast.yaml", "etc/logrotate.d/holdfast",
                 "lib/systemd/system/holdfast.service", "usr/share/man/man8/holdfast.8.gz",
                 "usr/share/man/man5/holdfast.yaml.5.gz", "usr/share/man/man1/holdfastctl.1.gz",
                 "usr/share/bash-completion/completions"):
        assert (root / path).exists(), path
    service = (root / "lib/systemd/system/holdfast.service").read_text()
    assert "/usr/sbin/holdfast -c /etc/holdfast/holdfast.yaml" in service and "User=holdfast" in service
    subprocess.run([root / "usr/sbin/holdfast", "-t", "-c", process.TREE / "conf" / "minimal.yaml"], check=True, timeout=30)
