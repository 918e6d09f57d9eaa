"""The files a mesh is configured by: reads them, and tells when they may say something else."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from catalog.loader import directory_of, load_catalog
from catalog.mesh import catalog_place, default_path, load_mesh
from catalog.model import Catalog
from catalog.settings import Mesh
from catalog.tenants import pepper_path
from meshkit.reload import Stamp, Watched, stamp_of
from meshkit.yaml_file import ConfigError

ReadT = TypeVar("ReadT")


class Configuration:
    """mesh.yaml, the catalogue's rows and the environment.

    Args:
        path: the file; None when there is none yet, then it is mesh.yaml in the directory once that is there.
        env: beats the file.
        directory: where mesh.yaml would be.
    """

    def __init__(self, path: Path | None, env: Mapping[str, str], directory: Path | None = None) -> None:
        self._env = env
        self._directory = directory or Path.cwd()
        self._path = path or default_path(env, self._directory)
        self._place: Path | None = None
        self._rows = directory_of(None)
        self._catalog: tuple[Stamp, Catalog] | None = None
        self.begun: Stamp = ()

    def load(self) -> Mesh:
        """Read everything for the first time, and remember what the files were like.

        Raises:
            ConfigError: the first mistake.
        """
        self._locate()
        self.begun = self.stamp()
        return load_mesh(self._path, self._env, self._known())

    def read(self) -> Mesh:
        """Read everything again.

        Raises:
            ConfigError: the first mistake; an emptied file is one, for a full disk leaves such.
        """
        self._locate()
        if self._path is not None and self._path.exists() and not self._path.read_bytes().strip():
            raise ConfigError(str(self._path), 0, "", "is empty", "`{}` where nothing but defaults is meant")
        return load_mesh(self._path, self._env, self._known())

    def stamp(self) -> Stamp:
        """Return what is another whenever a file may be."""
        self._path = self._path or default_path(self._env, self._directory)
        return stamp_of(self._files())

    def _files(self) -> Iterator[Path]:
        """Name the files that count: of the catalogue those that the last reading found."""
        if self._path is not None:
            yield self._path
        yield from self._row_files()

    def _row_files(self) -> Iterator[Path]:
        if self._place is not None and self._place != self._rows:
            yield self._place
        yield from sorted(self._rows.glob("*.yaml"))

    def _known(self) -> Catalog:
        """Return the catalogue, read again only if its files are others: it is most of the work."""
        stamp = stamp_of(self._row_files())
        if self._catalog is None or self._catalog[0] != stamp:
            self._catalog = stamp, load_catalog(self._place)
        return self._catalog[1]

    def _locate(self) -> None:
        """Find out where the rows are; what cannot be read leaves them where they were."""
        with suppress(ConfigError):
            place = catalog_place(self._path, self._env)
            self._place, self._rows = place, directory_of(place)


def watched(configuration: Configuration, take: Callable[[Mesh], Awaitable[None]]) -> Watched[Mesh]:
    """Return the configuration's files for a watcher, as they were when it was loaded."""
    return Watched("mesh", configuration.stamp, configuration.read, take, configuration.begun)


def watched_tenants(
    path: Path,
    taken: Stamp,
    mesh: Watched[Mesh],
    read: Callable[[], ReadT],
    take: Callable[[ReadT], Awaitable[None]],
) -> Watched[ReadT]:
    """Return a tenants file for a watcher; it is read again, too, when the names in it may mean others."""
    return Watched("tenants", lambda: (*tenants_stamp(path), mesh.generation), read, take, (*taken, mesh.generation))


def tenants_stamp(path: Path) -> Stamp:
    """Return what is another whenever a tenants file or its pepper may be."""
    return stamp_of((path, pepper_path(path)))
