"""Addresses of schedulers, and who is there instead of one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from napari_gem.cluster import connection as clusters
from napari_gem.cluster.address import read_address
from napari_gem.cluster.connection import ASKING, Cluster, connect_steps
from napari_gem.core.appearance import Appearance
from napari_gem.core.errors import GemError
from napari_gem.core.results import Job
from napari_gem.prompts.parsing import parse_prompts
from napari_gem.worker.messages import Request
from napari_gem.worker.session import Session
from tests.strange_servers import hang_up, keep_silent, say, serve, serve_page

if TYPE_CHECKING:
    from collections.abc import Callable

    Call = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.contact("silent servers")

SHORT = 0.2
"""Seconds that those who never answer get."""

HUGE = (1 << 60).to_bytes(8, sys.byteorder)
"""The length of a message that fits no memory."""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("host:8786", "tcp://host:port"),
        ("", "tcp://host:port"),
        ("http://host:8787/status", "address of a web page"),
        ("https://host:8787", "address of a web page"),
        ("ws://host:8786", "begins with ws://"),
        ("ucx://host:8786", "begins with ucx://"),
        ("inproc://192.168.0.1/7/1", "begins with inproc://"),
        ("tcp://host", "lacks the port"),
        ("tls://[::1]", "lacks the port"),
        ("tcp://::1:8786", "with brackets"),
        ("tcp://me@host:8786", "is no address of a scheduler"),
        ("tcp://host:8786/more", "is no address of a scheduler"),
        ("tcp://two hosts:8786", "is no address of a scheduler"),
        ("tcp://host:0", "must be 1 to 65535"),
        ("tcp://host:65536", "must be 1 to 65535"),
        ("tcp://host:" + "9" * 5000, "must be 1 to 65535"),
    ],
)
def test_what_is_no_address_is_told(text: str, message: str) -> None:
    with pytest.raises(GemError) as error:
        read_address(text)
    assert message in str(error.value)


def test_addresses_are_read() -> None:
    address = read_address("tls://[fe80::1%eth0]:8786/")
    assert (address.host, address.port, address.encrypted) == (
        "fe80::1%eth0",
        8786,
        True,
    )
    address = read_address("tcp://a-host.example:1")
    assert (address.host, address.port, address.encrypted) == (
        "a-host.example",
        1,
        False,
    )


@pytest.mark.parametrize(
    ("talk", "message"),
    [
        (keep_silent, "said nothing for 0.2 seconds. It may be the port of the dash"),
        (say(b"\x10"), "said nothing for 0.2 seconds"),
        (hang_up, "hung up"),
        (serve_page, "said nothing"),
        (say(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "is no dask scheduler"),
        (say(b"SSH-2.0-OpenSSH_9.6\r\n"), "is no dask scheduler"),
        (say(bytes(100)), "is no dask scheduler"),
        (say(HUGE), "is no dask scheduler"),
    ],
    ids=["silent", "a byte", "hangs up", "web", "talks web", "ssh", "zeros", "huge"],
)
def test_who_is_no_scheduler_is_told(talk: Callable[..., object], message: str) -> None:
    with serve(talk) as port, pytest.raises(GemError) as error:
        Cluster(f"tcp://127.0.0.1:{port}", seconds=SHORT)
    assert message in str(error.value)
    assert f"tcp://127.0.0.1:{port}" in str(error.value)


def test_an_address_of_new_form_is_asked() -> None:
    try:
        with serve(hang_up, "::1") as port, pytest.raises(GemError, match="hung up"):
            Cluster(f"tcp://[::1]:{port}", seconds=SHORT)
    except OSError as error:
        pytest.skip(f"no such addresses here: {error}")


def test_a_name_that_nobody_knows_is_told() -> None:
    with pytest.raises(GemError, match=r"knows no computer 'nobody\.invalid'"):
        Cluster("tcp://nobody.invalid:8786")
    with pytest.raises(GemError, match="knows no computer"):
        Cluster(f"tcp://{'a' * 70}.invalid:8786")


def test_who_begins_well_and_then_keeps_silent_is_given_up() -> None:
    begin = say((200).to_bytes(8, sys.byteorder))
    with serve(begin) as port, pytest.raises(GemError, match="said nothing"):
        Cluster(f"tcp://127.0.0.1:{port}", seconds=SHORT)


def test_tls_has_sentences_of_its_own(tmp_path: Path) -> None:
    with serve(keep_silent) as port:
        address = f"tls://127.0.0.1:{port}"
        with pytest.raises(GemError, match=r"needs a certificate.*gem\.yaml"):
            Cluster(address, seconds=SHORT)
        files = tmp_path / "a.pem", tmp_path / "b.pem", tmp_path / "c.pem"
        with pytest.raises(GemError, match=r"certificate .* cannot be used"):
            Cluster(address, files, seconds=SHORT)
        for path in files:
            path.write_text("nonsense")
        with pytest.raises(GemError, match=r"certificate .* cannot be used"):
            Cluster(address, files, seconds=SHORT)


def test_it_tells_that_it_asks_and_can_be_left() -> None:
    with serve(keep_silent) as port:
        steps = connect_steps(f"tcp://127.0.0.1:{port}", seconds=600)
        assert next(steps).stage == next(steps).stage == ASKING
        steps.close()


def test_a_run_of_the_dock_asks_step_by_step(tmp_path: Path) -> None:
    with serve(keep_silent) as port:
        session = Session(tmp_path)
        asked = Request(
            run=1,
            job=Job(
                appearance=Appearance((0, 255)),
                prompts=parse_prompts(["cat"]),
                device=f"tcp://127.0.0.1:{port}",
            ),
        )
        steps = session.steps(asked)
        assert next(steps).stage == next(steps).stage == ASKING
        steps.close()


def test_the_command_line_gives_up(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "ANSWER_SECONDS", SHORT)
    image = tmp_path / "image.png"
    Image.new("L", (8, 8)).save(image)
    asked = "segment", image, "-p", "cat", "-o", tmp_path / "out"
    with serve(keep_silent) as port:
        status, _, said = call(*asked, "--scheduler", f"tcp://127.0.0.1:{port}")
    assert status == 2
    assert "It may be the port of the dashboard" in said
    assert not (tmp_path / "out").exists()


ASK = """
import sys
from napari_gem.cluster.connection import Cluster
print("asking", flush=True)
Cluster(sys.argv[1], seconds=600)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send")
@pytest.mark.parametrize(
    "talk",
    [keep_silent, say((200).to_bytes(8, sys.byteorder))],
    ids=["silent", "stuck"],
)
def test_ctrl_c_ends_it(talk: Callable[..., object]) -> None:
    """A program that did not end would be killed after the time-out of `wait`."""
    asked = []

    def listen(connection: object) -> None:
        asked.append(connection)
        talk(connection)

    with serve(listen) as port:
        process = subprocess.Popen(
            [sys.executable, "-c", ASK, f"tcp://127.0.0.1:{port}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == b"asking"
            while len(asked) < (1 if talk is keep_silent else 2):
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
    assert process.returncode == -signal.SIGINT
    assert said.strip().endswith(b"KeyboardInterrupt")
