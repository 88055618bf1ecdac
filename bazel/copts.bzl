"""Compile flags of our own code. Third-party code never sees them, so they are not in .bazelrc."""

HAK_WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wundef",
    "-Wvla",
]

# Rejected by the C++ compiler, hence apart.
HAK_C_WARNINGS = HAK_WARNINGS + [
    "-Wmissing-prototypes",
    "-Wold-style-definition",
    "-Wshadow",
    "-Wstrict-prototypes",
]

# C11; the GNU spelling because only it knows __seg_fs, see base/tls.h.
HAK_C_STANDARD = ["-std=gnu11"]

# C++ is tests alone: lines and functions are all that a stack trace needs of debug information, and
# what they test is C. Without optimisation and the rest of it a test compiles in half the time.
HAK_CXX_STANDARD = [
    "-std=c++17",
    "-g1",
    "-O0",
    "-U_FORTIFY_SOURCE",
]

# The compiler may otherwise drop a pair of malloc and free, or turn malloc and memset inside our
# calloc into a call of calloc.
HAK_NO_BUILTIN_MALLOC = [
    "-fno-builtin-malloc",
    "-fno-builtin-calloc",
    "-fno-builtin-realloc",
    "-fno-builtin-free",
]

# A test of GoogleTest; with its precompiled header, //third_party:gtest_pch, which has to be the
# first that a source includes.
HAK_GTEST_COPTS = HAK_CXX_STANDARD + HAK_WARNINGS + HAK_NO_BUILTIN_MALLOC + select({
    "//bazel:pch_on": [
        "-include",
        "gtest_first.h",
    ],
    "//conditions:default": [],
})

# Code of the library itself:
#   hidden           the shared library exports what bazel/exports.txt names and nothing else
#   initial-exec     a thread-local word costs one instruction; the dynamic model would call
#     __tls_get_addr, which
#                    may allocate
#   no-plt           the few calls that leave the library need no lazy binding, which may allocate
#   frame pointer    Bazel's toolchains keep it, which costs the hit path three instructions
HAK_LIBRARY_COPTS = HAK_NO_BUILTIN_MALLOC + [
    "-fvisibility=hidden",
    "-ftls-model=initial-exec",
    "-fno-plt",
    "-fomit-frame-pointer",
    "-fno-semantic-interposition",
]

# gcc and clang define this for C++ by themselves.
HAK_C_DEFINES = ["_GNU_SOURCE"]

# In the scheduled configuration every plain access calls the scheduler of tests/sched, through the
# functions that ThreadSanitizer's instrumentation names. Its library is not linked.
HAK_SCHEDULED_COPTS = select({
    "//config:kernel_scheduled": ["-fsanitize=thread"],
    "//conditions:default": [],
})
