"""What the figures of a race depend on: machine, kernel, compiler, commit, the libraries."""

import hashlib
import os
import platform
import re
import subprocess

import allocators


def _ask(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _read(path):
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""


def compiler_of(path):
    """The compilers that left their mark in a program or library, or "unknown".

    The file itself is asked, so that the answer holds for what ran and not for what is installed.
    """
    section = _ask("readelf", "-p", ".comment", path)
    marks = re.findall(r"^\s*\[ *[0-9a-f]+\]\s+(.*)$", section, re.M)
    return "; ".join(sorted({mark.strip() for mark in marks})) or "unknown"


def load():
    """The load averages of the last minutes: what else the machine did."""
    return " ".join("%.2f" % value for value in os.getloadavg())


def _memory():
    found = re.search(r"^MemTotal:\s+(\d+) kB", _read("/proc/meminfo"), re.M)
    return "%.1f GiB" % (int(found.group(1)) / (1 << 20)) if found else "unknown"


def _chosen(path):
    """The word in brackets of a setting such as "always [madvise] never"."""
    found = re.search(r"\[(\w+)\]", _read(path))
    return found.group(1) if found else "unknown"


def facts(options, any_program, pinned):
    """[[name, value]] about the machine and the sources."""
    found = re.search(r"^Model name:\s*(.*)$", _ask("lscpu"), re.M)
    here = os.path.dirname(os.path.realpath(__file__))
    commit = _ask("git", "-C", here, "rev-parse", "--short", "HEAD") or "unknown"
    dirty = " with local changes" if _ask("git", "-C", here, "status", "--porcelain") else ""
    governor = _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    ours = sorted(item for item in os.environ.items() if item[0].startswith("HAKMEM_"))
    known = [
        ["machine", found.group(1) if found else platform.machine()],
        ["architecture", platform.machine()],
        ["CPUs", "%s%s" % (",".join(map(str, options.cpus)), "" if pinned else ", not pinned")],
        ["CPU governor", governor or "unknown"],
        ["memory", _memory()],
        ["transparent huge pages", _chosen("/sys/kernel/mm/transparent_hugepage/enabled")],
        ["kernel", platform.release()],
        ["C library", " ".join(platform.libc_ver())],
        ["compiler of the programs", compiler_of(any_program)],
        ["commit", commit + dirty],
    ]
    if options.flags:
        known.append(["build flags", options.flags])
    if ours:
        known.append(["settings", " ".join("%s=%s" % item for item in ours)])
    return known


def about(allocator, version):
    """The allocator as it stands in the JSON file."""
    entry = {"name": allocator.name, "kind": allocator.kind, "version": version}
    if allocator.path is None:
        return dict(entry, file="the C library's own", package="", compiler="", sha256="")
    with open(allocator.path, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    package = ""
    for name, _, wanted in allocators.PEERS:
        # A library given by path may bear the name of one that Debian installed.
        if name == allocator.name and allocator.path.startswith("/usr/lib/"):
            known = _ask("dpkg-query", "-W", "-f=${Version}", wanted)
            package = "%s %s" % (wanted, known) if known else ""
    return dict(
        entry,
        file=os.path.basename(allocator.path),
        package=package,
        compiler=compiler_of(allocator.path),
        sha256=digest,
    )
