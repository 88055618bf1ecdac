"""Finds the allocators of a race and says which file must have served a run."""

import collections
import os
import platform
import re
import subprocess

# name: in tables. path: what is preloaded; None for the C library's own. kind: "libc", "peer" or
# "hakmem".
Allocator = collections.namedtuple("Allocator", "name path kind")

# Peers that Debian ships: name, library that a program preloads, package.
PEERS = [
    ("mimalloc", r"libmimalloc\.so\.\d+", "libmimalloc2.0"),
    ("jemalloc", r"libjemalloc\.so\.\d+", "libjemalloc2"),
    ("tcmalloc", r"libtcmalloc_minimal\.so\.\d+", "libtcmalloc-minimal4"),
    ("tbbmalloc", r"libtbbmalloc_proxy\.so\.\d+", "libtbbmalloc2"),
]

# Settings of other allocators would make a comparison of something else. HAKMEM_* stays: it is what
# one may want to try, and the report names it.
CLEARED = re.compile(
    r"^(LD_PRELOAD|GLIBC_TUNABLES|(MALLOC|_RJEM|MIMALLOC|TCMALLOC|TBB_MALLOC)_.*)$"
)


def _installed():
    """Paths of the libraries that the dynamic linker knows, of this machine's own architecture."""
    tag = {"x86_64": "x86-64", "aarch64": "AArch64"}.get(platform.machine(), "")
    environment = dict(os.environ, LC_ALL="C", PATH=os.environ.get("PATH", "") + ":/sbin:/usr/sbin")
    try:
        listing = subprocess.run(
            ["ldconfig", "-p"], env=environment, capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return {}
    found = {}
    for line in listing.splitlines():
        match = re.match(r"\s*(\S+) \((.*)\) => (\S+)$", line)
        if match and tag in match.group(2):
            found.setdefault(match.group(1), match.group(3))
    return found


def installed_peers():
    """(allocators, notes): Debian's peers that are here, and a line for each one that is not."""
    libraries = _installed()
    peers, notes = [], []
    for name, pattern, package in PEERS:
        paths = [libraries[key] for key in sorted(libraries) if re.fullmatch(pattern, key)]
        if paths:
            peers.append(Allocator(name, os.path.realpath(paths[-1]), "peer"))
        else:
            notes.append("%s is not installed and left out (Debian package %s)" % (name, package))
    return peers, notes


def given(text, kind):
    """The allocator of an argument NAME=PATH or PATH. Raises ValueError."""
    name, separator, path = text.partition("=")
    if not separator:
        name, path = kind, text
    if not re.fullmatch(r"[A-Za-z0-9_.+-]+", name):
        raise ValueError("'%s' is no name for an allocator" % name)
    path = os.path.realpath(path)
    if not os.path.isfile(path):
        raise ValueError("there is no file %s" % path)
    if re.search(r"[\s:]", path):
        raise ValueError("LD_PRELOAD cannot hold the blank or colon in %s" % path)
    return Allocator(name, path, kind)


def environment_of(allocator):
    """(environment for the driver's child, words that set LD_PRELOAD for the program alone)."""
    environment = {key: value for key, value in os.environ.items() if not CLEARED.match(key)}
    environment["LC_ALL"] = "C"
    return environment, [] if allocator.path is None else ["LD_PRELOAD=" + allocator.path]


def why_not_served(allocator, report):
    """None if `allocator` served the run of `report`, else what served it instead."""
    by = {report.get("served_by_malloc", "nothing"), report.get("served_by_free", "nothing")}
    if allocator.path is None:
        if report.get("allocator") in ("glibc", "musl") and len(by) == 1:
            return None
    elif by == {allocator.path}:
        return None
    return "malloc and free were served by %s, not by %s" % (
        " and ".join(sorted(by)),
        allocator.path or "the C library",
    )
