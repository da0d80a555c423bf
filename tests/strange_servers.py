"""Servers that are no scheduler: they keep silent, hang up or say something else."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Talk = Callable[[socket.socket], object]


def keep_silent(connection: socket.socket) -> None:
    """Say nothing until the other side leaves."""
    while connection.recv(1 << 16):
        pass


def hang_up(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def say(words: bytes) -> Talk:
    """Say this first, then nothing."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(words)
        keep_silent(connection)

    return talk


def serve_page(connection: socket.socket) -> None:
    """Answer as a web server does, which waits to be asked."""
    connection.recv(1 << 16)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


@contextmanager
def serve(talk: Talk, host: str = "127.0.0.1") -> Iterator[int]:
    """Give the port of a server that talks so."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def work(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            talk(connection)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            taken.append(connection)
            threads.append(threading.Thread(target=work, args=(connection,)))
            threads[-1].start()

    with socket.socket(family) as listener:
        listener.bind((host, 0))
        listener.listen()
        listening = threading.Thread(target=accept)
        listening.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            listening.join()
            for connection in taken:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()
