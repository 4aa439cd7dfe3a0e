"""Backends that nobody here wrote: nginx, Node's ws and socket.io, Python's websockets."""
import asyncio
import hashlib
import os
import shutil
import ssl as tls_module
import subprocess
import tempfile
from pathlib import Path

import websockets

from kit import kernel
from kit.wait import wait_until

HERE = Path(__file__).resolve().parents[1]


class Child:
    """A server process that prints "ready PORT", or is ready when its port listens."""

    def __init__(self, args, log, port=None, env=None, cwd=None):
        self.log = Path(log)
        self.args, self.env, self.cwd, self.port = list(map(str, args)), env, cwd, port
        self.start()

    def start(self):
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(self.args, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                            env={**os.environ, **(self.env or {})}, cwd=self.cwd)
        wait_until(self._is_ready, f"{self.args[0]} to be ready", timeout=30)

    def _is_ready(self):
        text = self.log.read_text(errors="replace")
        assert self.process.poll() is None, f"{self.args} ended: {text}"
        for line in text.splitlines():
            if line.startswith("ready "):
                self.port = int(line.split()[1])
                return True
        return self.port is not None and kernel.is_listening(self.port)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def kill(self):
        """SIGKILL: no farewell to anybody."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.kill()


# ---- nginx ----

NGINX = """
daemon off;
master_process off;
pid {dir}/nginx.pid;
error_log {dir}/error.log info;
events {{ worker_connections 512; }}
http {{
	access_log {dir}/access.log;
	client_body_temp_path {dir}/body;
	proxy_temp_path {dir}/proxy;
	fastcgi_temp_path {dir}/fastcgi;
	uwsgi_temp_path {dir}/uwsgi;
	scgi_temp_path {dir}/scgi;
	client_max_body_size 0;
	keepalive_requests 100000;
	server {{
		listen 127.0.0.1:{port};
		{tls}
		root {dir}/files;
		location /upload/ {{
			dav_methods PUT DELETE;
			create_full_put_path on;
		}}
		location = /plain {{ default_type text/plain; return 200 "nginx\\n"; }}
		location = /headers {{ default_type text/plain; return 200 "$http_x_forwarded_for $http_x_forwarded_proto $http_host\\n"; }}
	}}
}}
"""


class Nginx(Child):
    """Debian's nginx: files below files/, PUT below /upload/."""

    def __init__(self, directory, leaf=None):
        self.directory = Path(directory)
        self.files = self.directory / "files"
        self.files.mkdir(parents=True)
        port = kernel.free_port()
        tls = f"ssl_certificate {leaf.cert}; ssl_certificate_key {leaf.key};" if leaf else ""
        text = NGINX.format(dir=self.directory, port=port, tls=tls)
        if leaf:
            text = text.replace(f":{port};", f":{port} ssl;")
        (self.directory / "nginx.conf").write_text(text)
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        super().__init__([program, "-p", self.directory, "-e", self.directory / "start.log", "-c",
                          self.directory / "nginx.conf"], self.directory / "output.log", port)

    def file(self, name, size):
        """Makes a file of random bytes; gives its hash."""
        digest = hashlib.sha256()
        with open(self.files / name, "wb") as f:
            while size > 0:
                data = os.urandom(min(size, 1 << 20))
                f.write(data)
                digest.update(data)
                size -= len(data)
        return digest.hexdigest()


# ---- Node ----

def node_home(folder="node"):
    """Where the scripts of node/ lie with their modules: made by `npm ci` once for each state of the lock file."""
    lock = hashlib.sha256((HERE / folder / "package-lock.json").read_bytes()).hexdigest()[:16]
    home = Path(os.environ.get("HOLDFAST_E2E_CACHE") or Path(tempfile.gettempdir()) / f"holdfast-e2e-node-{os.getuid()}") / lock
    if not (home / "node_modules").is_dir():
        draft = Path(tempfile.mkdtemp(prefix="holdfast-e2e-node-"))
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / folder / name, draft)
        done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=draft, timeout=300,
                              capture_output=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, "npm ci: " + done.stderr.decode()[-2000:]
        home.parent.mkdir(parents=True, exist_ok=True)
        try:
            draft.rename(home)
        except OSError:  # another run was faster, or another file system
            if not (home / "node_modules").is_dir():
                shutil.copytree(draft, home, dirs_exist_ok=True, symlinks=True)
            shutil.rmtree(draft, ignore_errors=True)
    return home


def node_args(script, *args):
    return ["node", str(HERE / "node" / script), *args]


# ---- Python websockets ----

class WebSocketServer:
    """A `websockets` server on the loop thread.  The default handler echoes, and obeys the texts of node/echo_server.js."""

    def __init__(self, home, handler=None, leaf_context=None, port=0, **options):
        self.home, self.handler = home, handler or self.echo
        self.tls, self.port, self.options = leaf_context, port, options
        self.sockets, self.closes = [], []
        self.start()

    def start(self):
        self.server = self.home.call(self._serve())
        self.port = self.server.sockets[0].getsockname()[1]

    async def _serve(self):
        options = {"max_size": None, "ping_interval": None, "compression": None, **self.options}
        return await websockets.serve(self._run, "127.0.0.1", self.port, ssl=self.tls, **options)

    async def _run(self, socket):
        self.sockets.append(socket)
        try:
            await self.handler(socket)
        except websockets.ConnectionClosed:
            pass
        finally:
            await socket.wait_closed()
            self.closes.append((socket.close_code, socket.close_reason))

    async def echo(self, socket):
        async for message in socket:
            words = message.split(" ", 2) if isinstance(message, str) else [""]
            if words[0] == "close":
                await socket.close(int(words[1]), words[2] if len(words) > 2 else "")
            elif words[0] == "terminate":
                socket.transport.abort()
            elif words[0] == "fragments":
                await socket.send([f"part {i + 1} " for i in range(int(words[1]))])
            else:
                await socket.send(message)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def open_count(self):
        return sum(1 for s in self.sockets if not s.closed)

    def stop(self):
        async def close():
            self.server.close()
            for socket in self.sockets:
                socket.transport.abort()
            await asyncio.wait_for(self.server.wait_closed(), 10)
        self.home.call(close())


def ws_connect(url, tls=None, **options):
    """websockets.connect with what a test wants: no pings of its own, no limits, no compression unless asked."""
    options = {"max_size": None, "ping_interval": None, "compression": None, "open_timeout": 20, "close_timeout": 10,
               **options}
    if url.startswith("wss:"):
        options["ssl"] = tls or tls_module.create_default_context()
    return websockets.connect(url, **options)
