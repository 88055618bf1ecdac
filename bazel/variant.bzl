"""hak_variant: one allocator out of the boxes, under a fixed choice of implementations.

For a variant V there are four targets:
    V           what a service links: the hak_* functions and the malloc override
    V_api       the hak_* functions alone
    libV.so     the override as a shared library, for LD_PRELOAD and -lV
    libV.a      the override as one object in an archive, for builds that do not use Bazel
"""

load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_library")
load("@rules_cc//cc/common:cc_common.bzl", "cc_common")
load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")
load(":link.bzl", "hak_archive", "hak_file")

# The flags of //config that a variant may fix. A new flag is a new line here.
_SETTINGS = [
    "cache",
    "check",
    "debug",
    "kernel",
    "mf2_drain",
    "mf2_header",
    "mid",
    "pool_freelist",
    "pool_shards",
    "slot_policy",
    "pool_remote",
    "stats",
    "variant",
]

def _flag(setting):
    # Through Label, so that it names our flag also where hakmem is an external repository.
    return str(Label("//config:" + setting))

def _transition_impl(settings, attr):
    # What the variant leaves open comes from the command line, so --config=debug reaches every
    # variant.
    return {
        _flag(setting): getattr(attr, setting) or settings[_flag(setting)]
        for setting in _SETTINGS
    }

_variant_transition = transition(
    implementation = _transition_impl,
    inputs = [_flag(setting) for setting in _SETTINGS],
    outputs = [_flag(setting) for setting in _SETTINGS],
)

def _hak_configured_impl(ctx):
    merged = cc_common.merge_cc_infos(cc_infos = [dep[CcInfo] for dep in ctx.attr.actual])

    # The linking context alone: defines and include paths of the variant would change how a service
    # is compiled.
    return [CcInfo(linking_context = merged.linking_context)]

_hak_configured = rule(
    implementation = _hak_configured_impl,
    attrs = dict(
        {setting: attr.string() for setting in _SETTINGS},
        actual = attr.label_list(cfg = _variant_transition, providers = [CcInfo]),
        _allowlist_function_transition = attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    ),
    doc = "Libraries built with the settings of a variant, as something to link.",
)

def _hak_linkable(name, actual, settings, tags, testonly, visibility):
    _hak_configured(
        name = name + "_configured",
        testonly = testonly,
        actual = actual,
        tags = tags + ["manual"],
        visibility = ["//visibility:private"],
        **settings
    )

    # `malloc =` takes a cc_library and no other rule. The header belongs to this target and not to
    # a dependency of it, because layering_check wants an included header from a direct dependency.
    cc_library(
        name = name,
        testonly = testonly,
        hdrs = ["//include:hakmem.h"],
        includes = ["include"],
        linkstatic = True,
        tags = tags,
        visibility = visibility,
        deps = [name + "_configured"],
    )

def _hak_shared_library(name, variant, tags, testonly, visibility):
    link = "%s_link/%s" % (variant, name)
    script = "//bazel:exports.lds"
    cc_binary(
        name = link,
        testonly = testonly,
        additional_linker_inputs = [script],
        linkopts = [
            "-Wl,-soname," + name,
            "-Wl,--version-script=$(location %s)" % script,
            # Everything is bound at start: lazy binding may allocate, inside the allocator.
            "-Wl,-z,now",
            "-Wl,-z,relro",
            # Its constructor runs before those of other libraries: front/api/process.c.
            "-Wl,-z,initfirst",
            # Threads hold blocks and destructors: the library cannot leave the process.
            "-Wl,-z,nodelete",
            "-Wl,--no-undefined",
            # Bazel's toolchains name libstdc++ on every link line; a C program must not be made to
            # load it.
            "-Wl,--as-needed",
            "-pthread",
        ],
        linkshared = True,
        linkstatic = True,
        malloc = "//:system_malloc",
        tags = tags + ["manual"],
        visibility = ["//visibility:private"],
        deps = [variant],
    )

    # A cc_binary called libV.so beside a cc_library called V is refused: both would claim the same
    # file.
    hak_file(
        name = name,
        testonly = testonly,
        src = link,
        tags = tags,
        visibility = visibility,
    )

def hak_variant(
        name,
        front = "//front:libc",
        api = "//front:api",
        tags = [],
        testonly = False,
        visibility = ["//visibility:public"],
        **settings):
    """Declares the variant `name`; see the head of this file for its targets.

    Args:
      name: the variant, "hakmem" or "hakmem_" and what is special.
      front: the malloc override with all below it, alwayslink.
      api: the hak_* functions with all below them, alwayslink.
      tags: for every target of the variant.
      testonly: True for a variant that no service may link.
      visibility: of the four targets.
      **settings: values of flags in //config, such as check = "interior".
    """
    for setting in settings:
        if setting not in _SETTINGS:
            fail("hak_variant %s: no setting %s; there are: %s" %
                 (name, setting, ", ".join(_SETTINGS)))
    settings = dict(settings, variant = name)
    _hak_linkable(name, [front, api], settings, tags, testonly, visibility)
    _hak_linkable(name + "_api", [api], settings, tags, testonly, visibility)

    # The override and a sanitizer's own allocator exclude each other, so the files are not built
    # then.
    files_tags = tags + ["no-san"]
    _hak_shared_library("lib%s.so" % name, name, files_tags, testonly, visibility)
    hak_archive(
        name = "lib%s.a" % name,
        testonly = testonly,
        actual = name + "_configured",
        exports = "//bazel:exports.txt",
        tags = files_tags,
        visibility = visibility,
    )
