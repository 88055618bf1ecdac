"""hak_bench: a benchmark program and the test that it works."""

load("@rules_cc//cc:defs.bzl", "cc_binary")
load("@rules_shell//shell:sh_test.bzl", "sh_test")
load(
    "//bazel:copts.bzl",
    "HAK_C_DEFINES",
    "HAK_C_STANDARD",
    "HAK_C_WARNINGS",
    "HAK_NO_BUILTIN_MALLOC",
)
load("//bazel:box.bzl", "HAK_ONE_THREAD_LINKOPTS", "HAK_ONE_THREAD_TAG", "hak_tidy")

def hak_bench(name, deps = [], one_thread = False, **kwargs):
    """The program `name`, made of `name`.c, with its smoke test and its tidy test.

    The program carries no allocator: it measures the one that is preloaded, else the C library's.
    --custom_malloc=//:hakmem links one in, to see what the dynamic linker's share is.

    Args:
      name: the program, also the name of its folder.
      deps: what it uses beside //bench/common.
      one_thread: True if it starts no thread: it then cannot, and ThreadSanitizer passes it by.
      **kwargs: more attributes of cc_binary.
    """
    cc_binary(
        name = name,
        srcs = [name + ".c"],
        copts = HAK_C_STANDARD + HAK_C_WARNINGS + HAK_NO_BUILTIN_MALLOC,
        linkopts = ["-pthread"] + (HAK_ONE_THREAD_LINKOPTS if one_thread else []),
        local_defines = HAK_C_DEFINES,
        malloc = "//:system_malloc",
        visibility = ["//bench:__subpackages__", "//tests:__subpackages__"],
        deps = ["//bench/common"] + deps,
        **kwargs
    )
    sh_test(
        name = name + "_smoke_test",
        size = "small",
        srcs = ["//bench/common:smoke.sh"],
        args = ["$(location :%s)" % name],
        data = [":" + name],
        tags = [HAK_ONE_THREAD_TAG] if one_thread else [],
    )
    hak_tidy(
        name = name + "_tidy",
        files = [name + ".c"],
    )
