"""contrib/client, the client of the fallback, by itself: its own tests with node's runner, and what a page gets."""
import os
import subprocess

import pytest

from kit.process import TREE

CLIENT = TREE / "contrib" / "client"


@pytest.mark.limit(150)
def test_the_clients_own_tests(node_home):
    done = subprocess.run(["node", "--test", "--test-reporter=spec", str(CLIENT / "test" / "client.test.js")], timeout=140, capture_output=True,
                          stdin=subprocess.DEVNULL, cwd=CLIENT, env={**os.environ, "NODE_PATH": str(node_home / "node_modules")})
    assert done.returncode == 0, done.stdout.decode()[-6000:] + done.stderr.decode()[-2000:]
