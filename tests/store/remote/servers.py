"""Two S3 servers of others: one with conditional puts and one without."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

S3RVER = "3.7.1"
BUCKET = "models"


@contextmanager
def moto():
    """moto's server: it knows conditional puts."""
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@contextmanager
def s3rver():
    """s3rver, from npm: it ignores the condition, and knows no checksums."""
    program = _s3rver_program()
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        process = subprocess.Popen(
            ["node", str(program), "-d", folder, "-p", str(port), "-a", "127.0.0.1", "--silent"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_for(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def _s3rver_program():
    """Where s3rver is, installed once in a folder of its own; the lock file pins what it brings."""
    lacking = next((name for name in ("node", "npm") if not shutil.which(name)), None)
    if lacking:
        _without(f"s3rver needs {lacking}")
    home = Path(tempfile.gettempdir()) / f"modelhub-s3rver-{S3RVER}-{os.getuid()}"
    program = home / "node_modules" / "s3rver" / "bin" / "s3rver.js"
    if not program.exists():
        _install(home)
    return program


def _install(home):
    with tempfile.TemporaryDirectory(dir=home.parent) as fresh:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(Path(__file__).with_name("s3rver") / name, fresh)
        done = subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=fresh,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        if done.returncode:
            _without(f"s3rver cannot be installed: {done.stderr.strip()[-300:]}")
        try:
            Path(fresh).rename(home)
        except OSError:
            assert home.exists()  # another process was first
        else:
            Path(fresh).mkdir()  # for the one who removes it


def _without(reason):
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def _wait_for(port, process):
    for _ in range(600):
        assert process.poll() is None, "s3rver has ended"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("s3rver does not answer")
