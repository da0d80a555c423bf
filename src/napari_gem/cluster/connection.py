"""Tiles encoded by the workers of a dask cluster.

Whoever reaches a dask scheduler can run any code on its workers: a cluster is for
networks that are trusted, or for TLS.
"""

from __future__ import annotations

import time
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from napari_gem._version import __version__
from napari_gem.cluster.address import greet, not_there, read_address, silent
from napari_gem.core.errors import GemError
from napari_gem.core.memory import is_out_of_memory
from napari_gem.core.progress import Progress, aside_steps, run

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path
    from ssl import SSLContext

    from napari_gem.cluster.address import SchedulerAddress
    from napari_gem.cluster.tasks import WorkerReport
    from napari_gem.models.card import ModelCard
    from napari_gem.models.model import Model

    Tls = tuple[Path, Path, Path]

Returned = TypeVar("Returned")

DEVICE = "dask"
"""Device of features that a cluster made."""

WAITING = "Waiting for workers of the cluster"

NO_WORKERS = (
    "The cluster has no workers; waiting for some. Start them with 'dask worker "
    "{address}', or {stop}."
)
"""Sentence beside `WAITING`; ``stop`` tells how."""

ASKING = "Asking the scheduler"

ANSWER_SECONDS = 10.0
"""Who was asked for an answer, such as a scheduler, is waited for this long."""

LONGEST = 120.0
"""Seconds that a result which is ready may take to come over."""


def connect_steps(
    address: str, tls: Tls | None = None, *, seconds: float | None = None
) -> Generator[Progress, None, Cluster]:
    """Connect to a cluster; parameters and errors are those of `Cluster`.

    Yields
    ------
    Progress
        While the scheduler is asked. Closing the generator leaves it.
    """
    connect = partial(Cluster, address, tls, seconds=seconds)
    return (yield from aside_steps(ASKING, connect, leave=Cluster.close))


class Cluster:
    """A connection to a dask cluster.

    Parameters
    ----------
    address
        Of the scheduler: ``tcp://host:port`` or ``tls://host:port``.
    tls
        Files of the authority's certificate, of the own one and of its key; None for
        a connection without TLS.
    seconds
        How long to wait for the scheduler's answer; None for `ANSWER_SECONDS`.

    Raises
    ------
    GemError
        If the address is none, if dask.distributed is missing, if no scheduler answers
        in that time, or if there is no certificate for TLS.
    """

    def __init__(
        self,
        address: str,
        tls: Tls | None = None,
        *,
        seconds: float | None = None,
    ) -> None:
        seconds = seconds or ANSWER_SECONDS
        self.address = address
        self._seconds = seconds
        self._gpus = False
        place = read_address(address)
        # whoever waits aside can be stopped, also by Ctrl-C
        security = _security(tls)
        context = _certificates(place, security)
        run(self._aside(partial(greet, place, context, seconds), 3 * seconds))
        asked = partial(_connect, place, security, seconds)
        # dask gives each of its questions so many seconds
        self._client = run(self._aside(asked, 4 * seconds, leave=_close))

    def _aside(
        self,
        call: Callable[[], Returned],
        seconds: float | None = None,
        leave: Callable[[Returned], object] | None = None,
        stage: str = ASKING,
    ) -> Generator[Progress, None, Returned]:
        """Ask the scheduler; `GemError` says so if it keeps silent."""
        try:
            steps = aside_steps(stage, call, seconds or self._seconds, leave)
            return (yield from steps)
        except TimeoutError as error:
            raise GemError(silent(self.address, self._seconds)) from error

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the cluster; what it still does for us is cancelled."""
        _close(self._client)

    def workers(self) -> dict[str, dict[str, Any]]:
        """Find the workers that may encode: those with GPUs, if any says it has one.

        Raises
        ------
        GemError
            If the scheduler is lost.
        """
        with self._explained():
            # else some releases of dask list only five
            answer = self._client.scheduler_info(n_workers=-1)
        everyone: dict[str, dict[str, Any]] = dict(answer["workers"])
        with_gpu = {k: w for k, w in everyone.items() if w["resources"].get("GPU")}
        self._gpus = self._gpus or bool(with_gpu)
        return with_gpu if self._gpus else everyone

    @property
    def gpus(self) -> bool:
        """Whether only workers with GPUs encode."""
        return self._gpus

    def check(self) -> None:
        """Compare the versions of napari-gem.

        Raises
        ------
        GemError
            If a worker has another one than this process, or none.
        """
        with self._explained():
            versions = self._client.get_versions(packages=["napari-gem"])
        for address, worker in versions["workers"].items():
            version = worker["packages"]["napari-gem"]
            if version != __version__:
                has = f"napari-gem {version}" if version else "no napari-gem"
                raise GemError(
                    f"The worker {address} has {has}, this computer has "
                    f"{__version__}. Install the same version on both."
                )

    def workers_steps(
        self, stage: str = ASKING
    ) -> Generator[Progress, None, dict[str, dict[str, Any]]]:
        """Find the workers as `workers` does, in the time that a scheduler gets.

        Yields
        ------
        Progress
            Of that stage.

        Raises
        ------
        GemError
            If the scheduler is lost, or silent.
        """
        return (yield from self._aside(self.workers, stage=stage))

    def report_steps(
        self, card: ModelCard | None = None, precision: str = "auto"
    ) -> Generator[Progress, None, list[WorkerReport]]:
        """Ask each worker what it has, and whether a model loads there.

        Yields
        ------
        Progress
            While there is no worker, and for each that answers.

        Raises
        ------
        GemError
            As `check`, or if the scheduler is lost, or silent.
        """
        workers = yield from self.workers_steps()
        while not workers:
            yield Progress(WAITING)
            time.sleep(0.3)
            workers = yield from self.workers_steps(WAITING)
        yield from self._aside(self.check, LONGEST)
        from napari_gem.cluster.tasks import Encoder, report

        with self._explained():
            register = partial(self._client.register_plugin, Encoder())
            yield from self._aside(register, LONGEST)
            workers = yield from self.workers_steps()
            asked = [
                self._client.submit(
                    report, card, precision, workers=[address], pure=False
                )
                for address in workers
            ]
        reports: list[WorkerReport] = []
        for future in asked:
            while not future.done():
                yield Progress("Asking workers", len(reports), len(asked))
                time.sleep(0.1)
            asked_for = partial(self.result, future)
            reports.append((yield from self._aside(asked_for, 2 * LONGEST)))
        return reports

    def model_steps(
        self, model: Model, precision: str = "auto"
    ) -> Generator[Progress, None, Model]:
        """Say how the workers will compute with a model, which reads words here.

        All compute with the same precision; ``auto`` is float16 if all have GPUs, else
        float32.
        """
        reports = yield from self.report_steps()
        if precision == "auto":
            gpus = all(one.devices for one in reports)
            precision = "float16" if gpus else "float32"
        return replace(model, device=DEVICE, precision=precision)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Have a function of `napari_gem.cluster.tasks` called; gives a future."""
        with self._explained():
            return self._client.submit(
                function,
                *arguments,
                pure=False,
                resources={"GPU": 1} if self._gpus else None,
            )

    def result(self, future: Any, seconds: float = LONGEST) -> Any:
        """Give what a future that is done has found.

        Raises
        ------
        GemError
            If it failed, or if the scheduler is lost.
        TimeoutError
            If the result did not come over in so many seconds.
        """
        if future.status != "error":
            with self._explained(timeout=False):
                return future.result(timeout=seconds)
        with self._explained(timeout=False):
            error = future.exception(timeout=seconds)
        if isinstance(error, GemError) or is_out_of_memory(error):
            raise error
        if type(error).__name__ == "KilledWorker":
            raise GemError(
                "Several workers ended while they encoded the same tiles; their memory "
                "may not suffice. Look at their logs, or choose smaller tiles."
            ) from error
        raise GemError(
            f"A worker of the cluster failed ({type(error).__name__}: {error}). Look "
            "at its log."
        ) from error

    def lost(self) -> GemError:
        """Give the error that says that the scheduler does not answer any more."""
        return GemError(
            f"The dask scheduler at '{self.address}' is lost. What is encoded is "
            "kept where the cache is used: start the cluster and run again."
        )

    def cancel(self, futures: list[Any]) -> None:
        """Forget what was asked for."""
        with suppress(Exception):  # the scheduler may be gone
            self._client.cancel(futures)

    @contextmanager
    def _explained(self, *, timeout: bool = True) -> Iterator[None]:
        """Tell in a sentence that the scheduler is lost; of timeouts only if wanted."""
        try:
            if self._client.status != "running":
                raise OSError(self._client.status)
            yield
        except (OSError, CancelledError, RuntimeError) as error:
            if isinstance(error, TimeoutError) and not timeout:
                raise
            raise self.lost() from error


def _security(tls: Tls | None) -> Any:
    try:
        from distributed import Security
    except ImportError as error:
        raise GemError(
            "A cluster needs dask.distributed. Install it with "
            "'pip install napari-gem[distributed]'."
        ) from error
    if tls is None:
        return Security()  # of dask's configuration
    return Security(
        require_encryption=True,
        tls_ca_file=str(tls[0]),
        tls_client_cert=str(tls[1]),
        tls_client_key=str(tls[2]),
    )


def _certificates(place: SchedulerAddress, security: Any) -> SSLContext | None:
    """Read the certificates for TLS; None where the address wants none."""
    try:
        stated = security.get_connection_args("client")["ssl_context"]
    except (OSError, ValueError, TypeError) as error:
        raise GemError(
            f"The certificate for '{place.text}' cannot be used ({error}). Check the "
            "files that are named for it under distributed.comm.tls in dask's "
            "configuration (docs/cluster.md)."
        ) from error
    context: SSLContext | None = stated if place.encrypted else None
    if place.encrypted and context is None:
        raise GemError(
            f"'{place.text}' needs a certificate, and no certificate is named in "
            "dask's configuration. Name its files there under distributed.comm.tls, "
            "such as in ~/.config/dask/gem.yaml: ca-file, client.cert and client.key "
            "(docs/cluster.md shows how)."
        )
    return context


def _connect(place: SchedulerAddress, security: Any, seconds: float) -> Any:
    from distributed import Client

    try:
        return Client(
            place.text,
            security=security,
            timeout=seconds,
            set_as_default=False,
        )
    except Exception as error:  # what speaks half of dask's language raises anything
        raise GemError(not_there(place.text, error)) from error


def _close(client: Any) -> None:
    with suppress(Exception):  # the scheduler may be gone
        client.close(timeout=2)
