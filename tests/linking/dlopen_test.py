"""Loads libhakmem.so into a running process that has another malloc, as a plug-in would.

This fails inside the dynamic linker if the library's thread-local storage is too large.
"""

import ctypes
import os
import sys
import threading


def use(lib, size):
    """Allocates, writes, checks and frees one block; returns whether hakmem owned it."""
    block = lib.hak_malloc(size)
    ctypes.memset(block, 0x5A, size)
    owned = lib.hak_owns(block) and ctypes.string_at(block, size) == b"\x5a" * size
    lib.hak_free(block)
    return owned


def main():
    path = os.path.abspath(sys.argv[1])
    lib = ctypes.CDLL(path)
    lib.hak_version.restype = ctypes.c_char_p
    lib.hak_malloc.restype = ctypes.c_void_p
    lib.hak_malloc.argtypes = [ctypes.c_size_t]
    lib.hak_free.argtypes = [ctypes.c_void_p]
    lib.hak_free.restype = None
    lib.hak_owns.argtypes = [ctypes.c_void_p]
    lib.hak_owns.restype = ctypes.c_bool
    print("loaded", lib.hak_version().decode())

    results = []

    def work():
        for size in (1, 64, 1000, 40000, 3 << 20):
            results.append(use(lib, size))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    work()
    if len(results) != 25 or not all(results):
        sys.exit("FAIL: blocks owned by hakmem: %s" % results)

    # Linked with nodelete: the code stays mapped when the last handle is closed, because threads
    # still have destructors of ours.
    libdl = ctypes.CDLL(None)
    libdl.dlclose.argtypes = [ctypes.c_void_p]
    if libdl.dlclose(lib._handle) != 0:
        sys.exit("FAIL: dlclose")
    with open("/proc/self/maps") as maps:
        if os.path.realpath(path) not in maps.read():
            sys.exit("FAIL: the library was unmapped by dlclose")
    if not use(lib, 100):
        sys.exit("FAIL: use after dlclose")
    print("ok")


main()
