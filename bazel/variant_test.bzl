"""hak_variant_test and hak_table_test: one test program, built once per variant."""

load("@rules_cc//cc:defs.bzl", "cc_library", "cc_test")
load(
    ":copts.bzl",
    "HAK_CXX_STANDARD",
    "HAK_C_DEFINES",
    "HAK_C_STANDARD",
    "HAK_C_WARNINGS",
    "HAK_GTEST_COPTS",
    "HAK_NO_BUILTIN_MALLOC",
    "HAK_WARNINGS",
)

# The variants of the root BUILD.bazel that every suite runs under.
HAK_SUITE_VARIANTS = [
    "hakmem",
    "hakmem_sp_slot",
    "hakmem_shared_ss",
    "hakmem_per_class_ss",
    "hakmem_mid_mt",
    "hakmem_pool_tls",
    "hakmem_midpool",
    "hakmem_midpool_lockfree",
    "hakmem_mf2",
]

# Variants with code that no other has. The rest differ from one of these by a policy or a kind of
# list: their tests are tagged `few`, and sanitizer builds leave them out, for time.
_MAIN_VARIANTS = [
    "hakmem",
    "hakmem_faulty",
    "hakmem_mf2",
    "hakmem_mid_mt",
    "hakmem_midpool_lockfree",
    "hakmem_pool_tls",
]

_GTEST = [
    "@gtest//:gtest",
    "//third_party:gtest_pch",
]

def hak_variant_test(
        name,
        srcs = [],
        variants = HAK_SUITE_VARIANTS,
        link = "override",
        deps = [],
        copts = [],
        linkopts = [],
        gtest = True,
        few = True,
        twin = False,
        size = "medium",
        tags = [],
        visibility = ["//tests:__subpackages__"],
        **kwargs):
    """Declares `<name>_<variant>` for each variant, and the suite `name` of all of them.

    Args:
      name: the suite.
      srcs: sources, all .cc or all .c. Empty for a suite that runs the code of another one, the
        library `<other>_code` in `deps`, with other arguments or another environment.
      variants: names from the root BUILD.bazel.
      link: "override" if the program's own malloc is the variant; such a test is tagged no-san.
        "api" if it calls the hak_* functions on top of the C library's malloc; such a test also
        runs under the sanitizers.
      deps: more libraries; no boxes, a test links boxes or a variant and never both.
      copts: more flags, after ours.
      linkopts: more link flags.
      gtest: False for a program with a main of its own.
      few: False if sanitizers are to see every variant: the suite is about what differs.
      twin: True if the same sources are a suite with "override" too: that one runs under every
        variant, and this one under the default and under the sanitizers.
      size: as in cc_test.
      tags: for every test and the suite.
      visibility: of the test programs, which other tests may run with other options.
      **kwargs: more attributes of cc_test.
    """
    if link not in ("override", "api"):
        fail("hak_variant_test %s: link is %s, not override or api" % (name, link))
    in_c = [src for src in srcs if src.endswith(".c")]
    flags = HAK_C_STANDARD + HAK_C_WARNINGS if in_c else HAK_CXX_STANDARD + HAK_WARNINGS
    flags = HAK_GTEST_COPTS if gtest and not in_c else flags + HAK_NO_BUILTIN_MALLOC
    override = link == "override"

    # The sources know nothing of the variant: they are compiled once, and linked with each.
    code = name + "_code"
    if srcs:
        cc_library(
            name = code,
            testonly = True,
            srcs = srcs,
            alwayslink = True,
            copts = flags + copts,
            linkstatic = True,
            local_defines = HAK_C_DEFINES if in_c else [],
            tags = tags + (["no-san"] if override else []),
            visibility = ["//visibility:private"],
            deps = deps + ["//include:hakmem"] + (_GTEST if gtest else []),
        )
    for variant in variants:
        library = "//:" + variant + ("" if override else "_api")
        cc_test(
            name = "%s_%s" % (name, variant),
            size = size,
            linkopts = linkopts + ["-pthread"],
            linkstatic = True,
            malloc = library if override else "//:system_malloc",
            tags = tags + (["no-san"] if override else []) +
                   (["few"] if few and variant not in _MAIN_VARIANTS else []) +
                   (["twin"] if twin and variant != "hakmem" else []),
            visibility = visibility,
            deps = ([":" + code] if srcs else []) + deps + [library] +
                   (["@gtest//:gtest_main"] if gtest else []),
            **kwargs
        )
    native.test_suite(
        name = name,
        tags = [tag for tag in tags if tag == "manual"],
        tests = ["%s_%s" % (name, variant) for variant in variants],
    )

def hak_table_test(name, link = "api", copts = [], deps = [], **kwargs):
    """A hak_variant_test whose source calls through the table `hak_test`, so that it can do both.

    Args:
      name: the suite.
      link: as in hak_variant_test; it also says what is in the table.
      copts: more flags.
      deps: more libraries.
      **kwargs: more arguments of hak_variant_test.
    """
    hak_variant_test(
        name = name,
        copts = copts + (["-DHAK_TEST_API"] if link == "api" else []),
        link = link,
        deps = deps + [
            "//tests/support",
            "//tests/support:table_" + link,
        ],
        **kwargs
    )
