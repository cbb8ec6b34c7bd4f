"""Files of public Git repositories as of a commit: fetched from GitHub, or read from mirrors.

Repositories come from strangers, so Git is kept on a short lead: nothing is checked out, and no
hook, filter or submodule is run with it; the configuration, credentials and home folder of the user
are not read; no password is asked for; https alone is spoken, and by `git fetch` alone. Every
command has a time limit and every file a size limit.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

HOST = "https://github.com"
PROTOCOLS = "https"  # those that `git fetch` may speak, with colons between
# Letters of its own and one slash: it becomes part of an address and the name of a folder.
REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9_][A-Za-z0-9._-]*")
MAX_FILE_BYTES = 64 * 2**20
FETCH_SECONDS = 1800
READ_SECONDS = 300
BLOCK = 2**20
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
# What Git says of a repository that is not there: GitHub asks for a password then.
GONE = re.compile(r"not found|could not read Username|does not (exist|appear to be a git)", re.I)
NO_COMMIT = re.compile(r"not our ref|find remote ref|unadvertised object", re.I)


class LostError(Exception):
    """A file that cannot be had.

    Attributes:
        reason: in a few words, the same for all that are lost in the same way.
        detail: what else is known.
    """

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


def read_files(
    repository: str, wanted: Sequence[tuple[str, str]], mirrors: Path | None = None
) -> Iterator[bytes | LostError]:
    """Yields the contents of files of one repository, in order, or why one cannot be had.

    A commit that is gone, because history was rewritten, is replaced by the newest one: check the
    contents by a hash.

    Args:
        repository: `owner/name`, on GitHub.
        wanted: commit (40 hexadecimal digits) and path of each file.
        mirrors: a folder with a snapshot `owner+name`; None: they are fetched from GitHub.
    Raises:
        LostError: none can be had.
    """
    if not REPOSITORY.fullmatch(repository):
        raise LostError("not a repository's name", repository)
    with _opened(repository, mirrors) as folder:
        found = {}
        for commit in dict.fromkeys(commit for commit, _ in wanted):
            found[commit] = _tree(folder, commit, fetched=mirrors is None)
        ids = [found[commit][0].get(path) for commit, path in wanted]
        known = [own for own in ids if own]
        if known and mirrors is None:
            _fetch(folder, "--stdin", "origin", given="".join(f"{own}\n" for own in known))
        contents = _read_objects(folder, known)
        for (commit, _), own in zip(wanted, ids, strict=True):
            yield next(contents) if own else LostError(found[commit][1])


@contextmanager
def _opened(repository: str, mirrors: Path | None) -> Iterator[str]:
    """The git directory of a repository: the mirror's, or an empty one with GitHub as its origin.

    Only the named commits, their trees and the wanted files are fetched into it; then it goes.
    """
    if mirrors is not None:
        base = mirrors / repository.replace("/", "+")
        below = sorted(base.iterdir()) if base.is_dir() else []
        places = (base / "repo", base, *below)
        folders = [folder for place in places for folder in (place / ".git", place)]
        folder = next((own for own in folders if (own / "HEAD").is_file()), None)
        if folder is None:
            raise LostError("no mirror", f"{base} is not there, or no git directory")
        yield str(folder)
        return
    with tempfile.TemporaryDirectory(prefix="tfpipeline-") as folder:
        _git(folder, "init", "--quiet", "--bare", "--template=")
        _git(folder, "remote", "add", "origin", f"{HOST}/{repository}")
        yield folder


def _tree(folder: str, commit: str, fetched: bool) -> tuple[dict[str, str], str]:
    """Path → object id of the files of a commit, and the reason why a path is not among them."""
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        return {}, "not a commit's name"
    for name, reason in ((commit, "no such file"), ("HEAD", "commit gone")):
        try:
            if fetched:
                _fetch(folder, "--depth=1", "origin", name)
                name = "FETCH_HEAD"
            listed = _git(folder, "ls-tree", "-r", "-z", "--full-tree", name)
        except LostError as error:
            if error.reason != "commit gone":
                raise
            continue
        rows = (row.partition("\t") for row in os.fsdecode(listed).split("\0") if row)
        return {path: about.split()[2] for about, _, path in rows}, reason
    return {}, "commit gone"


def _fetch(folder: str, *what: str, given: str = "") -> None:
    """Fetches a commit with its trees, or objects by their ids, and no file besides."""
    settings = (
        "-c http.lowSpeedLimit=1000 -c http.lowSpeedTime=60 -c fetch.negotiationAlgorithm=noop"
    )
    flags = "--quiet --no-tags --no-auto-gc --recurse-submodules=no --filter=blob:none"
    command = (*settings.split(), "fetch", *flags.split(), *what)
    _git(folder, *command, given=given, seconds=FETCH_SECONDS, protocols=PROTOCOLS)


def _git(
    folder: str, *arguments: str, given: str = "", seconds: int = READ_SECONDS, protocols: str = ""
) -> bytes:
    """What a command of Git prints.

    Raises:
        LostError: it fails.
    """
    # Files, not pipes: what Git itself started could hold a pipe open when Git is killed.
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as complaints:
        try:
            done = subprocess.run(
                ["git", "--git-dir", folder, *arguments],
                input=given.encode(),
                stdout=printed,
                stderr=complaints,
                env=_environment(protocols),
                timeout=seconds,
            )
        except subprocess.TimeoutExpired:
            raise LostError("no answer in time", f"git {arguments[0]}, {seconds} s") from None
        for file in (printed, complaints):
            file.seek(0)
        if not done.returncode:
            return printed.read()
        said = " ".join(complaints.read().decode(errors="replace").split())
    if protocols and GONE.search(said):
        raise LostError("repository gone", said)
    if not protocols or NO_COMMIT.search(said):
        raise LostError("commit gone", said)
    raise LostError("not fetched", said)


def _environment(protocols: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name.startswith("GIT_SSL_")
    }
    return kept | {
        "GIT_ALLOW_PROTOCOL": protocols or "none",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",  # no other program is asked either
        "HOME": os.devnull,  # nor ~/.netrc
        "LC_ALL": "C",
    }


def _read_objects(folder: str, ids: Sequence[str]) -> Iterator[bytes | LostError]:
    """Yields the contents of objects, in order; Git is started again where it fails at one."""
    left = list(ids)
    while left:
        with tempfile.TemporaryFile() as asked:
            asked.write("".join(f"{own}\n" for own in left).encode())
            asked.seek(0)
            with subprocess.Popen(
                ["git", "--git-dir", folder, "cat-file", "--batch"],
                stdin=asked,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(""),
            ) as process:
                read = 0
                while read < len(left) and (head := process.stdout.readline()):
                    yield _contents(head.decode().split(), process.stdout)
                    read += 1
        if read < len(left):
            yield LostError("not in the repository", f"object {left[read]} cannot be read")
        left = left[read + 1 :]


def _contents(head: list[str], stream) -> bytes | LostError:
    """One answer of `git cat-file --batch`, behind its first line."""
    if head[-1] == "missing":
        return LostError("not in the repository", f"object {head[0]} is missing")
    size = int(head[2])
    if size > MAX_FILE_BYTES:
        left = size + 1
        while left and (block := stream.read(min(left, BLOCK))):
            left -= len(block)
        return LostError("too large", f"{size / 1e6:.0f} MB, at most {MAX_FILE_BYTES / 1e6:.0f}")
    contents = stream.read(size)
    stream.read(1)
    if contents.startswith(LFS_POINTER):
        return LostError("Git LFS pointer", "the file itself is not in the repository")
    return contents
