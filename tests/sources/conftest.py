"""Transports that do not really wait, and an environment without the machine's own settings."""

import shutil
import ssl
import subprocess

import pytest

from modelhub.sources.huggingface import HuggingFaceSource
from modelhub.sources.transport import RetryPolicy, Transport
from tests.zoo.hub_server import HubServer

from .tiny_repo import FILES, REPO, make


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch, tmp_path):
    names = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT"]
    names += [f"{scheme}_proxy" for scheme in ("http", "https", "all", "no")]
    for name in [*names, *map(str.upper, names)]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


@pytest.fixture
def waits():
    """Seconds that the transport wanted to sleep."""
    return []


@pytest.fixture
def transport(waits):
    transport = Transport(
        connect_timeout=5, read_timeout=0.3, retry=RetryPolicy(sleep=waits.append), proxies={}
    )
    yield transport
    transport.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """Contexts of a server for 127.0.0.1 and of a client that trusts it."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=zoo", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    return server, ssl.create_default_context(cafile=cert)


@pytest.fixture
def repo_folder(tmp_path):
    return make(tmp_path / "repo", FILES)


@pytest.fixture
def hub(repo_folder):
    with HubServer({REPO: repo_folder}, cdn=True, page_size=2) as server:
        yield server


@pytest.fixture
def make_source(hub, transport):
    return lambda token="", endpoint=None: HuggingFaceSource(
        endpoint or hub.endpoint, token, transport=transport
    )


@pytest.fixture
def source(make_source):
    return make_source()
