"""The address of a dask scheduler, and whether a scheduler is there.

dask itself waits without end for one who takes a connection and says nothing, and
believes every length that it reads. So the first bytes are looked at before dask
sees them. Nothing here imports dask.
"""

from __future__ import annotations

import re
import socket
import ssl
import sys
import time
from dataclasses import dataclass

from napari_gem.core.errors import GemError

LONGEST_GREETING = 1 << 20
"""Bytes; a scheduler begins with the length of a greeting of some hundred."""

_FORM = re.compile(r"([\w+.-]+)://(\[[^\[\]\s]+\]|[^\s/:@?#\[\]]+)(?::(\d+))?/?")
_HINT = "Give the address that 'dask scheduler' prints, such as tcp://host:8786."
_PORT = (
    "It may be the port of the dashboard (as a rule 8787, the scheduler's is 8786), "
    "or of a scheduler that is reached by tls://. "
)


@dataclass(frozen=True)
class SchedulerAddress:
    """Where a scheduler is: the user's text and its parts; hosts have no brackets."""

    text: str
    encrypted: bool
    host: str
    port: int


def read_address(text: str) -> SchedulerAddress:
    """Read the address of a scheduler, without asking the network.

    Raises
    ------
    GemError
        If it is none.
    """
    scheme = text.partition("://")[0] if "://" in text else ""
    if not scheme:
        raise GemError(
            f"'{text}' is no address; give that of a scheduler, as tcp://host:port."
        )
    if scheme in ("http", "https"):
        raise GemError(
            f"'{text}' is the address of a web page, such as that of the dashboard; "
            f"give that of a scheduler. {_HINT}"
        )
    if scheme not in ("tcp", "tls"):
        raise GemError(
            f"'{text}' begins with {scheme}://; a scheduler is reached by tcp:// or "
            f"tls:// only. {_HINT}"
        )
    match = _FORM.fullmatch(text)
    if match is None:
        raise GemError(
            f"'{text}' is no address of a scheduler; give {scheme}://host:port, "
            f"with brackets around a number with colons, as {scheme}://[::1]:8786."
        )
    _, host, port = match.groups()
    if port is None:
        raise GemError(f"'{text}' lacks the port; give {scheme}://host:port. {_HINT}")
    if not 0 < int(port[:6]) < 65536:
        raise GemError(f"The port is {port[:9]}; it must be 1 to 65535. {_HINT}")
    return SchedulerAddress(text, scheme == "tls", host.strip("[]"), int(port))


def greet(
    address: SchedulerAddress, context: ssl.SSLContext | None, seconds: float
) -> None:
    """Look whether a scheduler is there, by the first bytes that it sends.

    It has some seconds to take the connection, and again to say something; the context
    holds certificates for TLS.

    Raises
    ------
    GemError
        If nobody is there, or somebody else.
    """
    text = address.text
    try:
        place = address.host, address.port
        connection = socket.create_connection(place, timeout=seconds)
    except (socket.gaierror, UnicodeError) as error:
        raise GemError(
            f"The network knows no computer '{address.host}' ({error}). Check the "
            f"spelling, and whether you are in its network. {_HINT}"
        ) from error
    except OSError as error:
        raise GemError(not_there(text, error)) from error
    with connection:
        try:
            begin = _first_bytes(connection, address, context, seconds)
        except TimeoutError as error:
            raise GemError(silent(text, seconds)) from error
        except ssl.SSLError as error:
            raise GemError(
                f"There is no safe connection to '{text}' ({error}). Look whether the "
                "scheduler was started with --protocol tls, and whether its "
                "certificate is of the authority that dask's configuration names."
            ) from error
        except OSError as error:
            raise GemError(f"'{text}' hung up ({error}). {_PORT}{_HINT}") from error
    if not begin:
        raise GemError(f"'{text}' hung up without a word. {_PORT}{_HINT}")
    length = int.from_bytes(begin, sys.byteorder)
    if len(begin) < 8 or not 0 < length <= LONGEST_GREETING:
        raise GemError(f"What answers at '{text}' is no dask scheduler. {_PORT}{_HINT}")


def not_there(text: str, error: object) -> str:
    """Say that nobody takes a connection."""
    return (
        f"No dask scheduler answers at '{text}' ({error}). Look whether "
        "'dask scheduler' runs there, and give its address as tcp://host:port."
    )


def silent(text: str, seconds: float) -> str:
    """Say that somebody took the connection and said nothing."""
    return (
        f"'{text}' takes the connection, but said nothing for {seconds:g} seconds. "
        f"{_PORT}{_HINT}"
    )


def _first_bytes(
    connection: socket.socket,
    address: SchedulerAddress,
    context: ssl.SSLContext | None,
    seconds: float,
) -> bytes:
    """Read what a scheduler, which speaks first, says first; fewer if it hangs up."""
    until = time.monotonic() + seconds
    if context is None:
        return _read(connection, until)
    name = address.host if context.check_hostname else None
    with context.wrap_socket(connection, server_hostname=name) as safe:
        return _read(safe, until)


def _read(connection: socket.socket, until: float) -> bytes:
    begin = b""
    while len(begin) < 8:
        # who sends a byte now and then is given no more time
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        piece = connection.recv(8 - len(begin))
        if not piece:
            break
        begin += piece
    return begin
