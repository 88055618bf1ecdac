"""hak_gtest_pch: GoogleTest's header, compiled once for all tests of a configuration."""

load("@rules_cc//cc:find_cc_toolchain.bzl", "find_cc_toolchain", "use_cc_toolchain")
load("@rules_cc//cc/common:cc_common.bzl", "cc_common")
load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")

# The name that HAK_GTEST_COPTS include.
_HEADER = "gtest_first.h"
_ACTION = "c++-compile"

def _hak_gtest_pch_impl(ctx):
    toolchain = find_cc_toolchain(ctx)
    features = cc_common.configure_features(
        ctx = ctx,
        cc_toolchain = toolchain,
        requested_features = ctx.features,
        # Files of ours alone are checked for layers; the header includes nothing of ours.
        unsupported_features = ctx.disabled_features + ["layering_check", "module_maps"],
    )
    found = ctx.attr.gtest[CcInfo].compilation_context
    header = ctx.actions.declare_file("%s/%s" % (ctx.label.name, _HEADER))
    ctx.actions.write(header, "#include <gtest/gtest.h>\n")

    # gcc looks for NAME.gch in each folder of the include path before NAME itself.
    out = ctx.actions.declare_file("%s/%s.gch" % (ctx.label.name, _HEADER))
    flags = cc_common.get_memory_inefficient_command_line(
        feature_configuration = features,
        action_name = _ACTION,
        variables = cc_common.create_compile_variables(
            feature_configuration = features,
            cc_toolchain = toolchain,
            user_compile_flags = ctx.fragments.cpp.copts + ctx.fragments.cpp.cxxopts +
                                 ctx.attr.copts,
            include_directories = found.includes,
            quote_include_directories = found.quote_includes,
            system_include_directories = found.system_includes,
            preprocessor_defines = found.defines,
            use_pic = True,
        ),
    )
    ctx.actions.run(
        arguments = flags + ["-x", "c++-header", header.path, "-o", out.path],
        env = cc_common.get_environment_variables(
            feature_configuration = features,
            action_name = _ACTION,
            variables = cc_common.empty_variables(),
        ),
        executable = cc_common.get_tool_for_action(
            action_name = _ACTION,
            feature_configuration = features,
        ),
        inputs = depset([header], transitive = [found.headers, toolchain.all_files]),
        mnemonic = "HakPch",
        outputs = [out],
    )
    return [CcInfo(compilation_context = cc_common.create_compilation_context(
        headers = depset([header, out]),
        includes = depset([header.dirname]),
    ))]

hak_gtest_pch = rule(
    implementation = _hak_gtest_pch_impl,
    attrs = {
        "copts": attr.string_list(doc = "The flags of the sources that use it, as they have them."),
        "gtest": attr.label(mandatory = True, providers = [CcInfo]),
        "_cc_toolchain": attr.label(default = "@bazel_tools//tools/cpp:current_cc_toolchain"),
    },
    doc = """GoogleTest's header, precompiled.

A test parses 60,000 lines of it, which takes longer than the test itself. The source that depends
on this and has `-include gtest_first.h` among its flags reads the compiler's own form instead; if
its flags differ from `copts`, gcc reads the header as ever. clang does that too.""",
    fragments = ["cpp"],
    toolchains = use_cc_toolchain(),
)
