"""Downloads over HTTPS with an authority of one's own, as companies have."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from napari_gem.models.download.certificates import OTHERS, OWN, explain_certificate
from tests.hub import Hub, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.contact("silent servers"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is missing"),
]

CONTENT = b"some weights"
# what a program of its own does: nothing is set but the environment
CHILD = """
import sys
from napari_gem.models.download.hub import HubFiles
from napari_gem.models.catalogue import make_card
from napari_gem.core.errors import GemError
from napari_gem.models.download.web import WebFile
files = {
    "hub": HubFiles("tiny/model", (("weights.safetensors",),)),
    "web": WebFile(sys.argv[2] + "/web/weights.safetensors", "0" * 64),
}[sys.argv[1]]
try:
    print(files.look_up(make_card("x", "X")).size)
    if sys.argv[1] == "hub":
        for step in files.fetch_steps():
            pass
except GemError as error:
    sys.exit(str(error))
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of an authority and of a server, and the server's key."""
    folder = tmp_path_factory.mktemp("authority")
    for words in (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=company"
        " -keyout company.key -out company.pem",
        "req -newkey rsa:2048 -nodes -subj /CN=localhost"
        " -keyout server.key -out server.csr",
        "x509 -req -in server.csr -CA company.pem -CAkey company.key"
        " -CAcreateserial -days 2 -extfile names -out server.pem",
    ):
        (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
        subprocess.run(
            ["openssl", *words.split()], cwd=folder, check=True, capture_output=True
        )
    return folder


@pytest.fixture
def hub(authority: Path) -> Iterator[Hub]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "server.pem", authority / "server.key")
    with serve({"weights.safetensors": CONTENT}) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        yield server


def fetch(hub: Hub, kind: str, folder: Path, **variables: object) -> tuple[int, str]:
    address = hub.address.replace("http:", "https:")
    usual = {k: v for k, v in os.environ.items() if k not in (*OWN, *OTHERS)}
    environment = {name: str(value) for name, value in variables.items()}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, kind, address],
        env=usual
        | environment
        | {
            "HF_ENDPOINT": address,
            "HF_HOME": str(folder),
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["hub", "web"])
def test_an_authority_that_is_not_known_is_told(
    kind: str, hub: Hub, tmp_path: Path
) -> None:
    status, said = fetch(hub, kind, tmp_path)
    assert status == 1
    assert "authority that this computer does not know" in said
    assert "Set SSL_CERT_FILE" in said
    assert "Traceback" not in said
    assert not hub.asked


@pytest.mark.parametrize("name", [OWN[0], *OTHERS])
def test_an_authority_of_the_environment_is_trusted(
    name: str, hub: Hub, authority: Path, tmp_path: Path
) -> None:
    variables = {name: authority / "company.pem"}
    status, said = fetch(hub, "hub", tmp_path, **variables)
    assert (status, said.strip()) == (0, str(len(CONTENT)))
    (path,) = tmp_path.rglob("snapshots/*/weights.safetensors")
    assert path.read_bytes() == CONTENT


def test_what_is_told_first_counts(hub: Hub, authority: Path, tmp_path: Path) -> None:
    good, other = authority / "company.pem", authority / "server.pem"
    variables = {OWN[0]: other, OTHERS[0]: good}
    assert fetch(hub, "web", tmp_path, **variables)[0] == 1
    variables = {OTHERS[0]: good, OTHERS[1]: other}
    assert fetch(hub, "web", tmp_path, **variables)[0] == 0


def test_a_variable_that_names_nothing_is_told(
    hub: Hub, authority: Path, tmp_path: Path
) -> None:
    for place in (authority / "none.pem", authority / "names"):
        status, said = fetch(hub, "web", tmp_path, **{OTHERS[1]: place})
        assert status == 1
        assert f"CURL_CA_BUNDLE names '{place}'" in said
        assert "Traceback" not in said


def test_other_errors_are_not_of_certificates() -> None:
    assert explain_certificate(OSError("refused"), "x") == ""
    error = RuntimeError("it failed")
    error.__cause__ = ssl.SSLCertVerificationError("no")
    assert "SSL_CERT_FILE" in explain_certificate(error, "x")
