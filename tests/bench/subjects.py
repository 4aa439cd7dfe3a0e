"""What is measured: proxies, each started fresh with a configuration from conf/, and the parts around them.

A subject is a program with a variant of its configuration.  Everything runs on loopback: the proxy on one
core, client and backend on another.  Processes are ended by their own id, children included.
"""

import json
import os
import queue
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
START_TIMEOUT_S = 10

HOLDFAST = {"WORKERS": "1", "PING": "0", "SLOW": "pause"}
ENVIRONMENT = {"holdfast-bypass": {"HOLDFAST_TRACKER_BYPASS": "1"}}
# program, template, values of the template's @PLACEHOLDERS@
SUBJECTS = {
	"holdfast": ("holdfast", "holdfast.yaml.in", HOLDFAST),
	"holdfast-2": ("holdfast", "holdfast.yaml.in", {**HOLDFAST, "WORKERS": "2"}),
	"holdfast-beat": ("holdfast", "holdfast.yaml.in", {**HOLDFAST, "PING": "1s"}),
	"holdfast-bypass": ("holdfast", "holdfast.yaml.in", HOLDFAST),
	"holdfast-close": ("holdfast", "holdfast.yaml.in", {**HOLDFAST, "SLOW": "close"}),
	"holdfast-drop": ("holdfast", "holdfast.yaml.in", {**HOLDFAST, "SLOW": "drop_oldest"}),
	"holdfast-latest": ("holdfast", "holdfast.yaml.in", {**HOLDFAST, "SLOW": "latest"}),
	"nginx": ("nginx", "nginx.conf.in", {"BUFFERS": "", "TLS_BUFFERS": ""}),
	"nginx-big": ("nginx", "nginx.conf.in", {
		"BUFFERS": "proxy_buffer_size 16k; proxy_buffers 16 32k; client_body_buffer_size 64k;",
		"TLS_BUFFERS": ""}),
	"nginx-small": ("nginx", "nginx.conf.in", {
		"BUFFERS": "proxy_buffer_size 1k; proxy_buffers 4 1k;", "TLS_BUFFERS": "ssl_buffer_size 1k;"}),
	"nginx-tcp": ("nginx", "nginx-tcp.conf.in", {}),
	"haproxy": ("haproxy", "haproxy.cfg.in", {"BUFSIZE": "", "SPLICE": ""}),
	"haproxy-big": ("haproxy", "haproxy.cfg.in", {
		"BUFSIZE": "tune.bufsize 65536\n\ttune.pipesize 262144\n\tmaxpipes 64",
		"SPLICE": "option splice-auto"}),
	"limit": ("limit", None, {}),
	"direct": ("direct", None, {}),
}


class Void(Exception):
	"""There is no number: something went wrong, and what."""


class Tools:
	"""load, backend and limit, compiled when their sources are newer."""

	PARTS = {
		"load": (["load.c", "conn.c", "options.c"], ["conn.h", "common.h", "latency.h", "options.h"], ["-lssl", "-lcrypto"]),
		"backend": (["backend.c"], ["common.h"], ["-lcrypto"]),
		"limit": (["limit.c"], [], ["-luring"]),
	}

	def __init__(self, directory):
		self.directory = directory
		self.missing = {}
		os.makedirs(directory, exist_ok=True)

	def path(self, name):
		return os.path.join(self.directory, name)

	def build(self):
		for name, (sources, headers, libraries) in self.PARTS.items():
			newest = max(os.stat(os.path.join(HERE, f)).st_mtime for f in sources + headers)
			if os.path.exists(self.path(name)) and os.stat(self.path(name)).st_mtime > newest:
				continue
			command = [os.environ.get("CC", "cc"), "-std=gnu11", "-O2", "-g", "-Wall", "-Wextra"]
			command += ["-o", self.path(name)] + [os.path.join(HERE, f) for f in sources] + libraries
			done = subprocess.run(command, capture_output=True, text=True)
			if done.returncode == 0:
				continue
			if name != "limit":  # the yardstick may be missing, not the load
				raise SystemExit(f"cannot build {name}:\n{done.stderr}")
			self.missing[name] = "does not compile here: " + (done.stderr.strip().splitlines() or ["?"])[-1]


class Child:
	"""A process on one core, its output in a file; stop() ends it and its children."""

	def __init__(self, command, core, log, stdin=subprocess.DEVNULL, stdout=None, cwd=None, env=None):
		self.log = log
		with open(log, "w") as out:
			self.process = subprocess.Popen(
				command, stdin=stdin, stdout=stdout or out, stderr=out, text=True, cwd=cwd,
				env={**os.environ, **(env or {})},
				preexec_fn=(lambda: os.sched_setaffinity(0, core)))

	def pids(self):
		"""The process and all below it."""
		found, todo = [], [self.process.pid]
		while todo:
			pid = todo.pop()
			found.append(pid)
			try:
				for task in os.listdir(f"/proc/{pid}/task"):
					with open(f"/proc/{pid}/task/{task}/children") as f:
						todo += [int(p) for p in f.read().split()]
			except OSError:
				pass
		return found

	def last_words(self):
		with open(self.log, errors="replace") as f:
			lines = [line.strip() for line in f if line.strip()]
		return " / ".join(lines[-4:])[:400] if lines else "it said nothing"

	def stop(self, how=signal.SIGTERM):
		if self.process.poll() is not None:
			return
		pids = self.pids()
		self.process.send_signal(how)
		try:
			self.process.wait(5)
		except subprocess.TimeoutExpired:
			for pid in reversed(pids):
				try:
					os.kill(pid, signal.SIGKILL)
				except ProcessLookupError:
					pass
			self.process.wait()


class Load(Child):
	"""The load generator under way; its lines are read as they come."""

	def __init__(self, command, core, log):
		super().__init__(command, core, log, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
		self.lines = queue.SimpleQueue()
		self.last = ""
		threading.Thread(target=self.read_all, daemon=True).start()

	def read_all(self):
		for line in self.process.stdout:
			self.lines.put(line.strip())
		self.lines.put(None)

	def line(self, timeout_s):
		"""The next line, or None when there is none in time."""
		try:
			line = self.lines.get(timeout=timeout_s)
		except queue.Empty:
			return None
		self.last = line or self.last
		return line

	def go_on(self):
		"""What it waits for on its standard input."""
		try:
			self.process.stdin.write("\n")
			self.process.stdin.flush()
		except BrokenPipeError:
			pass  # its result says why

	def result(self, timeout_s):
		"""Lets it end and gives its result."""
		self.end_input()
		deadline = time.monotonic() + timeout_s
		while self.line(max(0.0, deadline - time.monotonic())) is not None:
			pass
		if time.monotonic() >= deadline:
			self.stop()
			raise Void(f"the load did not end within {timeout_s:.0f} s")
		self.process.wait()
		if not self.last.startswith("{"):
			raise Void("load: " + self.last_words())
		result = json.loads(self.last)
		if result["error"] or self.process.returncode != 0:
			raise Void(result["error"] or f"load ended with {self.process.returncode}")
		return result

	def end_input(self):
		try:
			self.process.stdin.close()
		except BrokenPipeError:
			pass

	def stop(self, how=signal.SIGTERM):
		super().stop(how)
		self.end_input()


def pss_bytes(pids):
	"""Proportional set size of all these processes."""
	total = 0
	for pid in pids:
		with open(f"/proc/{pid}/smaps_rollup") as f:
			total += int(re.search(r"^Pss:\s+(\d+) kB", f.read(), re.M).group(1)) * 1024
	return total


def ports_free(count):
	"""Ports below the range that the kernel gives to outgoing connections, so that none is taken meanwhile."""
	found = []
	while len(found) < count:
		port = random.randrange(15000, 30000)
		with socket.socket() as s:
			s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
			try:
				s.bind(("127.0.0.1", port))
			except OSError:
				continue
		if port not in found:
			found.append(port)
	return found


class Site:
	"""Directory, cores, certificate and programs of one run of the benchmark."""

	def __init__(self, tools, programs):
		cores = sorted(os.sched_getaffinity(0))
		if len(cores) < 2:
			raise SystemExit("the benchmark needs two cores: one for the proxy, one for client and backend")
		self.all_cores = set(cores[:2])
		self.proxy_core, self.load_core = {cores[0]}, {cores[1]}
		os.sched_setaffinity(0, self.load_core)
		self.tools = tools
		self.programs = programs
		self.directory = tempfile.mkdtemp(prefix="holdfast-bench-")
		os.chmod(self.directory, 0o755)  # nginx's worker is another user
		self.cert, self.key, self.pem = (self.file(f"tls.{end}") for end in ("crt", "key", "pem"))
		self.certificate_make()

	def file(self, name):
		return os.path.join(self.directory, name)

	def certificate_make(self):
		subprocess.run(
			["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
			 "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
			 "-keyout", self.key, "-out", self.cert],
			check=True, capture_output=True)
		with open(self.pem, "w") as out:
			for part in (self.cert, self.key):
				with open(part) as f:
					out.write(f.read())
		os.chmod(self.pem, 0o644)

	def why_missing(self, subject):
		"""Why a subject cannot be measured here, or None."""
		program = SUBJECTS[subject][0]
		if program == "direct":
			return None
		if program in self.tools.missing:
			return self.tools.missing[program]
		if program == "limit":
			return None
		if shutil.which(self.programs[program]) is None:
			return f"{self.programs[program]} is not there"
		return None

	def done(self):
		shutil.rmtree(self.directory, ignore_errors=True)


class Proxy:
	"""A fresh backend and a fresh proxy before it."""

	def __init__(self, site, subject):
		self.site = site
		self.subject = subject
		self.program, template, values = SUBJECTS[subject]
		self.port, self.tls_port, self.tcp_port, backend_port = ports_free(4)
		self.child = None
		self.backend = self.backend_start(backend_port)
		try:
			if self.program == "direct":
				self.port = self.tcp_port = backend_port
				return
			cores = site.all_cores if subject == "holdfast-2" else site.proxy_core
			self.child = Child(self.command(template, values, backend_port), cores, site.file("proxy.log"),
					   env=ENVIRONMENT.get(subject))
			self.wait_up()
		except BaseException:
			self.stop()
			raise

	def __enter__(self):
		return self

	def __exit__(self, *_):
		self.stop()

	def backend_start(self, port):
		backend = Child([self.site.tools.path("backend"), str(port)], self.site.load_core,
				self.site.file("backend.log"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
		if backend.process.stdout.readline() != "ready\n":
			raise Void("backend: " + backend.last_words())
		return backend

	def command(self, template, values, backend_port):
		if self.program == "limit":
			self.tcp_port = self.port
			return [self.site.tools.path("limit"), str(self.port), str(backend_port)]
		site = self.site
		values = dict(values, DIR=site.directory, CERT=site.cert, KEY=site.key, PEM=site.pem, PORT=self.port,
			      TLS_PORT=self.tls_port, TCP_PORT=self.tcp_port, BACKEND_PORT=backend_port)
		with open(os.path.join(HERE, "conf", template)) as f:
			text = re.sub(r"@([A-Z_]+)@", lambda m: str(values.get(m.group(1), m.group(0))), f.read())
		path = self.site.file(f"{self.subject}-{template[:-len('.in')]}")
		with open(path, "w") as f:
			f.write(text)
		program = self.site.programs[self.program]
		return {
			"holdfast": [program, "-c", path],
			"nginx": [program, "-p", self.site.directory, "-c", path],
			"haproxy": [program, "-db", "-f", path],
		}[self.program]

	def wait_up(self):
		"""Until it takes connections and, for nginx, its worker is there."""
		port = self.tcp_port if self.subject == "nginx-tcp" else self.port
		wanted = 2 if self.program == "nginx" else 1
		deadline = time.monotonic() + START_TIMEOUT_S
		while time.monotonic() < deadline:
			if self.child.process.poll() is not None:
				raise Void(f"{self.subject} ended at start: {self.child.last_words()}")
			try:
				socket.create_connection(("127.0.0.1", port), 1).close()
				if len(self.child.pids()) >= wanted:
					time.sleep(0.2)  # that connection's end, and lazy initialisation, belong to nobody's window
					return
			except OSError:
				pass
			time.sleep(0.02)
		raise Void(f"{self.subject} does not listen: {self.child.last_words()}")

	def pids(self):
		return self.child.pids() if self.child else []

	def pss_bytes(self):
		return pss_bytes(self.pids())

	def is_built_with(self, words):
		done = subprocess.run([self.site.programs[self.program], "--version"], capture_output=True, text=True)
		return words in done.stdout

	def port_of(self, kind):
		return {"plain": self.port, "tls": self.tls_port, "tcp": self.tcp_port}[kind]

	def load_command(self, kind, mode, **options):
		command = [self.site.tools.path("load"), "--mode", mode, "--port", str(self.port_of(kind))]
		if kind == "tls":
			command.append("--tls")
		if self.child:
			command += ["--pids", ",".join(str(p) for p in self.pids())]
		for name, value in options.items():
			if value is True:
				command.append("--" + name)
			elif value is not None and value is not False:
				command += ["--" + name, str(value)]
		return command

	def load_start(self, kind, mode, **options):
		"""A load under way, for load_result()."""
		return Load(self.load_command(kind, mode, **options), self.site.load_core, self.site.file(f"load-{mode}.log"))

	def load_result(self, load, timeout_s):
		try:
			return load.result(timeout_s)
		except Void as e:
			if self.child and self.child.process.poll() is not None:
				raise Void(f"{self.subject} ended: {self.child.last_words()}") from e
			raise

	def load(self, kind, mode, timeout_s=120, **options):
		load = self.load_start(kind, mode, **options)
		try:
			return self.load_result(load, timeout_s)
		finally:
			load.stop()

	def stop(self):
		if self.child:
			# Holdfast's SIGTERM is graceful; SIGQUIT is "now".
			self.child.stop(signal.SIGQUIT if self.program == "holdfast" else signal.SIGTERM)
		self.backend.stop()
		for pipe in (self.backend.process.stdin, self.backend.process.stdout):
			pipe.close()
