"""hak_box and hak_test: how a box of the allocator and its unit test are built."""

load("@rules_cc//cc:defs.bzl", "cc_library", "cc_test")
load("@rules_shell//shell:sh_test.bzl", "sh_test")
load(
    ":copts.bzl",
    "HAK_CXX_STANDARD",
    "HAK_C_DEFINES",
    "HAK_C_STANDARD",
    "HAK_C_WARNINGS",
    "HAK_GTEST_COPTS",
    "HAK_LIBRARY_COPTS",
    "HAK_SCHEDULED_COPTS",
    "HAK_WARNINGS",
)

_CXX_ENDINGS = (".cc", ".cpp")

# A test without threads says so, and is not run under ThreadSanitizer. Linked with these, it fails
# to link if it starts one after all. On x86-64 libgcc has a function of the first one's name, for
# split stacks, so that only C++ threads are noticed there.
HAK_ONE_THREAD_TAG = "one-thread"
HAK_ONE_THREAD_LINKOPTS = ["-Wl,--wrap=%s" % name for name in [
    "pthread_create",
    "_ZNSt6thread15_M_start_threadESt10unique_ptrINS_6_StateESt14default_deleteIS1_EEPFvvE",
]]

def _hak_alone_impl(ctx):
    written = []
    for header in ctx.files.hdrs:
        stem = header.short_path.replace("../", "").replace("/", "_").replace(".", "_")
        unit = ctx.actions.declare_file("%s/%s.%s" % (ctx.label.name, stem, ctx.attr.ending))

        # Twice, so that a missing include guard shows too.
        ctx.actions.write(unit, '#include "%s"\n#include "%s"\n' % ((header.short_path,) * 2))
        written.append(unit)
    return [DefaultInfo(files = depset(written))]

_hak_alone = rule(
    implementation = _hak_alone_impl,
    attrs = {
        "ending": attr.string(mandatory = True),
        "hdrs": attr.label_list(allow_files = [".h"], mandatory = True),
    },
    doc = "Writes one source file per header that includes nothing but that header.",
)

def _check_headers(name, hdrs, deps, ending, copts):
    """Compiles each of `hdrs` alone, as part of `bazel build //...`."""
    if not hdrs:
        return
    _hak_alone(
        name = name + "_units",
        testonly = True,
        ending = ending,
        hdrs = hdrs,
        tags = ["manual"],
    )
    cc_library(
        name = name,
        testonly = True,
        srcs = [name + "_units"],
        copts = copts,
        linkstatic = True,
        local_defines = HAK_C_DEFINES if ending == "c" else [],
        tags = ["alone"],
        visibility = ["//visibility:private"],
        deps = deps,
    )

def hak_tidy(name, files, tags = []):
    """A test that `files` keep the limits of the style guide.

    Args:
      name: name of the test.
      files: labels of source files, in this package or another.
      tags: tags of the test.
    """
    sh_test(
        name = name,
        size = "small",
        srcs = ["//tools:tidy.sh"],
        args = ["$(location %s)" % file for file in files],
        data = files,
        # A build with other flags has the same text: once is enough.
        tags = tags + ["no-san"],
    )

def hak_box(
        name,
        srcs = [],
        hdrs = [],
        deps = [],
        visibility = None,
        alwayslink = False,
        copts = [],
        textual_hdrs = [],
        defines = [],
        local_defines = [],
        testonly = False,
        tags = [],
        **kwargs):
    """One box: a library, its headers compiled alone in C and C++, and its tidy test.

    A header `*_internal.h` in `srcs` is for the box and its tests: `<name>_internal`, a testonly
    library, has it.

    Args:
      name: the box; also the folder, as a rule.
      srcs: its .c files (or .cc files, not both) and *_internal.h headers.
      hdrs: what other boxes may include; `_inl.h` headers are C only.
      deps: other boxes, each one whose header is included.
      visibility: a group of //bazel/layers; private by default.
      alwayslink: True if something outside the build reaches it, as libc reaches malloc.
      copts: more flags, after ours.
      textual_hdrs: headers that do not compile alone, such as a table included several times.
      defines: for the box and for everything that depends on it; only //config needs it.
      local_defines: for the box alone.
      testonly: True for a fake.
      tags: for the library and the tidy test.
      **kwargs: more attributes of cc_library.
    """
    sources = [src for src in srcs if not src.endswith(".h")]
    in_cxx = [src for src in sources if src.endswith(_CXX_ENDINGS)]
    if in_cxx and len(in_cxx) != len(sources):
        fail("%s: C and C++ sources need boxes of their own, their flags differ" % name)
    language = HAK_C_STANDARD + HAK_C_WARNINGS
    if in_cxx:
        language = HAK_CXX_STANDARD + HAK_WARNINGS
    cc_library(
        name = name,
        testonly = testonly,
        srcs = srcs,
        hdrs = hdrs,
        alwayslink = alwayslink,
        copts = language + HAK_LIBRARY_COPTS + HAK_SCHEDULED_COPTS + copts,
        defines = defines,
        linkstatic = True,
        local_defines = local_defines + ([] if in_cxx else HAK_C_DEFINES),
        tags = tags,
        textual_hdrs = textual_hdrs,
        visibility = visibility,
        deps = deps,
        **kwargs
    )

    internal = [src for src in srcs if src.endswith("_internal.h")]
    if internal:
        cc_library(
            name = name + "_internal",
            testonly = True,
            hdrs = internal,
            visibility = ["//tests:__subpackages__"],
            deps = [name] + deps,
        )
    _check_headers(
        name = name + "_alone_c",
        copts = HAK_C_STANDARD + HAK_C_WARNINGS + HAK_LIBRARY_COPTS,
        # An inline function that a file does not use is no fault.
        deps = [name] + deps + ([name + "_internal"] if internal else []),
        ending = "c",
        hdrs = hdrs + internal,
    )
    _check_headers(
        name = name + "_alone_cc",
        copts = HAK_CXX_STANDARD + HAK_WARNINGS,
        deps = [name] + deps,
        ending = "cc",
        hdrs = [header for header in hdrs if not header.endswith("_inl.h")],
    )

    # A file that a rule writes is not for reading.
    written = [file for file in srcs + hdrs + textual_hdrs if not file.startswith(":")]
    if written:
        hak_tidy(
            name = name + "_tidy",
            files = written,
            tags = tags,
        )

def hak_test(
        name,
        srcs,
        deps = [],
        copts = [],
        linkopts = [],
        size = "small",
        malloc = "//:system_malloc",
        gtest = [
            "@gtest//:gtest",
            "@gtest//:gtest_main",
            "//third_party:gtest_pch",
        ],
        one_thread = False,
        tags = [],
        **kwargs):
    """A GoogleTest program over boxes, in C++17.

    It runs on the C library's allocator: a broken box must not break the test that shows it.

    Args:
      name: name of the test.
      srcs: its sources.
      deps: the boxes it tests.
      copts: more flags, after ours.
      linkopts: more link flags.
      size: as in cc_test.
      malloc: the allocator of the test program.
      gtest: GoogleTest and its main.
      one_thread: True if it starts no thread: it then cannot, and ThreadSanitizer passes it by.
      tags: tags of the test.
      **kwargs: more attributes of cc_test.
    """
    cc_test(
        name = name,
        size = size,
        srcs = srcs,
        copts = HAK_GTEST_COPTS + copts,
        linkopts = linkopts + ["-pthread"] + (HAK_ONE_THREAD_LINKOPTS if one_thread else []),
        linkstatic = True,
        malloc = malloc,
        tags = tags + ([HAK_ONE_THREAD_TAG] if one_thread else []),
        deps = deps + gtest,
        **kwargs
    )
