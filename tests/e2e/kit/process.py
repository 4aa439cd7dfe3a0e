"""The binary under test: found, configured, started, watched, ended, and its logs judged."""
import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from kit import kernel
from kit.raw import RawClient
from kit.wait import wait_until

TREE = Path(__file__).resolve().parents[3]
REPORTS = re.compile(rb"(ERROR: \w+Sanitizer|SUMMARY: \w+Sanitizer|runtime error:|Assertion .* failed|"
                     rb"LeakSanitizer has encountered)")
SANITIZERS = {
    # A small quarantine: what is freed must leave the process, or memory tests see only the sanitizer.
    "ASAN_OPTIONS": "exitcode=99:halt_on_error=1:abort_on_error=0:detect_leaks=1:detect_stack_use_after_return=1:"
                    "strict_string_checks=1:quarantine_size_mb=4:thread_local_quarantine_size_kb=64:"
                    "allocator_release_to_os_interval_ms=100",
    "UBSAN_OPTIONS": "exitcode=99:halt_on_error=1:print_stacktrace=1",
    "LSAN_OPTIONS": "exitcode=99:report_objects=1",
}


def binary():
    given = os.environ.get("HOLDFAST_BIN")
    tried = [Path(given)] if given else [TREE / d / "src" / "holdfast" for d in ("build-test", "build")]
    for path in tried:
        if path.is_file():
            return str(path.resolve())
    raise AssertionError("no binary to test: build one, or name it in HOLDFAST_BIN; looked for "
                         + ", ".join(map(str, tried)))


def is_sanitized():
    with open(binary(), "rb") as f:
        return b"__asan_init" in f.read()


def environment(extra=None):
    env = {k: v for k, v in os.environ.items() if k not in ("JOURNAL_STREAM", "NOTIFY_SOCKET")}
    env.update(SANITIZERS)
    env.update(extra or {})
    return env


def run(*args, timeout=30, env=None, cwd=None):
    """One run to its end: for -t, -T, --schema and whatever fails at start.  Sanitizer reports fail the test."""
    done = subprocess.run([binary(), *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=timeout, env=environment(env), cwd=cwd)
    judge(done.stderr)
    done.out, done.err = done.stdout.decode(), done.stderr.decode()
    return done


def judge(log):
    found = REPORTS.search(log)
    assert not found, "a report of a sanitizer or an assertion:\n" + log[max(0, found.start() - 500):][:6000].decode(
        errors="replace")


# ---- configurations ----

def endpoint(e):
    """A backend object, an address, or a mapping with either under `address`."""
    if isinstance(e, dict):
        return {**e, "address": endpoint(e["address"])}
    return getattr(e, "address", e)


def cluster_of(name, value):
    """A list of endpoints, one of them, or a mapping of the cluster's keys."""
    if not isinstance(value, dict) or "endpoints" not in value:
        value = {"endpoints": value if isinstance(value, list) else [value]}
    return {"name": name, **value, "endpoints": [endpoint(e) for e in value["endpoints"]]}


def config_of(backend=None, *, port=None, routes=None, route=None, clusters=None, cluster=None, listener=None,
              listeners=None, **root):
    """A whole configuration from what a test cares about.

    backend    one endpoint or several, of a cluster "c" that one route leads to
    route      more keys of that route; cluster: more keys of that cluster; listener: of the one listener "web"
    routes, clusters, listeners    instead of the above
    root       keys of the top"""
    if clusters is None and backend is not None:
        clusters = {"c": {"endpoints": backend if isinstance(backend, list) else [backend], **(cluster or {})}}
    if routes is None:
        routes = [{"name": "all", "cluster": "c", **(route or {})}]
    if listeners is None:
        web = {"name": "web", "bind": [f"127.0.0.1:{port or kernel.free_port()}"], "routes": routes}
        web.update(listener or {})
        if web.get("protocol") == "tcp":
            del web["routes"]
            web.setdefault("cluster", "c")
        listeners = [web]
    config = {
        "workers": 2,
        "log": {"level": "info", "access": {"path": "-", "format": "json"}},
        "shutdown": {"grace": "1s"},
        **root,
        "listeners": listeners,
    }
    if clusters:
        config["clusters"] = [cluster_of(n, c) for n, c in clusters.items()]
    return config


def bound(config):
    """What the process will listen on: ports and paths."""
    for listener in config["listeners"]:
        for bind in ([listener["bind"]] if isinstance(listener["bind"], str) else listener["bind"]):
            yield bind[5:] if bind.startswith("unix:") else int(bind.rpartition(":")[2])


PR_SET_CHILD_SUBREAPER = 36


class Orphan:
    """A process that one of ours has started: ours to wait for once its parent has ended (we are its subreaper)."""

    def __init__(self, pid):
        self.pid, self.returncode = pid, None

    def poll(self):
        if self.returncode is None:
            try:
                done, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # its parent lives
                return None if os.path.exists(f"/proc/{self.pid}") else -1
            if done:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout=None):
        deadline = time.monotonic() + (timeout or 1e9)
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.01)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)


class Holdfast:
    """One running process, its directory and its clients."""

    def __init__(self, directory, config, args=(), env=None, prefix=(), ready=None, program=None,
                 pass_fds=()):
        self.before = []  # processes that have been upgraded
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.file = self.directory / "holdfast.yaml"
        self.clients = []
        self.process = None
        self.config = None
        self.stdout, self.stderr = self.directory / "stdout.log", self.directory / "stderr.log"
        if config is not None:
            self.write(config)
            args = ("-c", str(self.file), *args)
        if ready is None:
            ready = list(bound(self.config))
        with open(self.stdout, "wb") as out, open(self.stderr, "wb") as err:
            self.process = subprocess.Popen([*prefix, str(program or binary()), *args], stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=err, env=environment(env), cwd=self.directory,
                                            pass_fds=[s.fileno() for s in pass_fds])
        self.pid = self.process.pid
        self.wait_listening(*ready)

    # -- configuration --

    def write(self, config):
        """Puts a configuration into the file, all at once.  JSON is YAML."""
        if not isinstance(config, str):
            self.config = config
            config = json.dumps(config, indent=2)
        draft = self.file.with_suffix(".new")
        draft.write_text(config)
        draft.rename(self.file)

    @property
    def address(self):
        """Where the first listener is."""
        bind = self.config["listeners"][0]["bind"]
        bind = bind if isinstance(bind, str) else bind[0]
        if bind.startswith("unix:"):
            return bind[5:]
        host, _, port = bind.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def port(self):
        return self.address[1]

    def url(self, path="/", scheme="http"):
        return f"{scheme}://127.0.0.1:{self.port}{path}"

    # -- life --

    def wait_listening(self, *addresses):
        def ready():
            assert self.process.poll() is None, (
                f"ended at start with {self.process.returncode}:\n{self.log()[-3000:]}")
            return all(kernel.is_listening(a) for a in addresses)
        wait_until(ready, f"listeners on {addresses}", timeout=30)

    def is_running(self):
        return self.process.poll() is None

    def send_signal(self, number):
        self.process.send_signal(number)

    def reload(self, config=None):
        if config is not None:
            self.write(config)
        self.send_signal(signal.SIGHUP)

    def wait_end(self, timeout=30):
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout} s:\n{self.log()[-3000:]}") from None

    def stop(self, number=signal.SIGTERM, timeout=30):
        """Ends it; gives the exit code."""
        if self.is_running():
            self.send_signal(number)
        return self.wait_end(timeout)

    def finish(self):
        """The end of a test: clients leave, the process ends well, and its logs hold no report."""
        for client in self.clients:
            client.close()
        for process in self.before:
            process.send_signal(signal.SIGTERM)
        try:
            self.wait_drained()
            died = not self.is_running() and self.process.returncode != 0
            code = self.stop()
        except (AssertionError, subprocess.TimeoutExpired):
            for process in (*self.before, self.process):
                process.kill()
                process.wait()
            judge(self.stderr.read_bytes())
            raise
        judge(self.stderr.read_bytes())
        assert not died, f"died with {code}:\n{self.log()[-3000:]}"
        assert code == 0, f"ended with {code} after SIGTERM:\n{self.log()[-3000:]}"

    # -- upgrades --

    def upgrade(self):
        """SIGUSR2, and its end; this object stands for the new process then."""
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.send_signal(signal.SIGUSR2)
        self.follow()

    def follow(self):
        found = self.wait_log(r"upgrade: process (\d+) has taken over", count=len(self.before) + 1, timeout=60)
        self.before.append(self.process)
        self.process = Orphan(int(found[1]))
        self.pid = self.process.pid

    def wait_drained(self, timeout=30):
        """All that were upgraded have ended, and well."""
        for process in self.before:
            assert process.wait(timeout) == 0, f"the process before ended with {process.returncode}:\n{self.log()[-3000:]}"

    # -- logs --

    def log(self):
        return self.stderr.read_bytes().decode(errors="replace")

    def wait_log(self, pattern, timeout=15, count=1):
        found = wait_until(lambda: (m := list(re.finditer(pattern, self.log(), re.M))) and len(m) >= count and m,
                           lambda: f"{count} of {pattern!r} in the log:\n{self.log()[-2000:]}", timeout)
        return found[-1]

    def access_text(self):
        return self.stdout.read_bytes().decode(errors="replace")

    def access(self):
        """The access log's whole lines, parsed."""
        text = self.access_text()
        return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]

    def wait_access(self, condition=lambda line: True, count=1, timeout=15):
        """The lines that meet the condition, once there are `count` of them."""
        return wait_until(lambda: (m := [x for x in self.access() if condition(x)]) and len(m) >= count and m,
                          lambda: f"{count} lines of the access log; it has:\n{self.access_text()[-2000:]}", timeout)

    # -- clients --

    def connect(self, address=None, **options):
        client = RawClient(address or self.address, **options)
        self.clients.append(client)
        return client

    def request(self, target="/", method="GET", headers=(), body=b"", address=None, **options):
        """One request on a connection of its own."""
        client = self.connect(address, **options)
        try:
            return client.request(target, method, headers, body)
        finally:
            client.close()

    # -- what the kernel says --

    def fd_count(self):
        return kernel.fd_count(self.pid)

    def memory_kib(self, field="VmRSS"):
        return kernel.memory_kib(self.pid, field)

    def cpu_seconds(self):
        return kernel.cpu_seconds(self.pid)


def python():
    return sys.executable
