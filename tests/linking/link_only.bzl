"""link_only_test: a library hands on its header and something to link, and nothing more."""

load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")

def _link_only_test_impl(ctx):
    context = ctx.attr.library[CcInfo].compilation_context
    found = {
        "defines": [define for define in context.defines.to_list() if define],
        "headers": [header.basename for header in context.headers.to_list()],
    }
    expected = {
        "defines": [],
        "headers": ["hakmem.h"],
    }
    script = "#!/bin/sh\n"
    for what in expected:
        if found[what] != expected[what]:
            script += "echo 'FAIL: %s of %s: %s, expected %s'; exit 1\n" % (
                what,
                ctx.attr.library.label,
                found[what],
                expected[what],
            )
    script += "echo ok\n"
    ctx.actions.write(ctx.outputs.executable, script, is_executable = True)
    return [DefaultInfo(executable = ctx.outputs.executable)]

link_only_test = rule(
    implementation = _link_only_test_impl,
    attrs = {"library": attr.label(mandatory = True, providers = [CcInfo])},
    doc = "Fails if `library` exports a define, or a header other than hakmem.h.",
    test = True,
)

def _custom_malloc_impl(_settings, attr):
    return {"//command_line_option:custom_malloc": str(attr.custom_malloc)}

_custom_malloc = transition(
    implementation = _custom_malloc_impl,
    inputs = [],
    outputs = ["//command_line_option:custom_malloc"],
)

def _with_custom_malloc_impl(ctx):
    program = ctx.attr.program[0][DefaultInfo].files_to_run.executable
    out = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.run_shell(
        command = 'cp -f -- "$1" "$2"',
        arguments = [program.path, out.path],
        inputs = [program],
        outputs = [out],
    )
    return [DefaultInfo(files = depset([out]), runfiles = ctx.runfiles(files = [out]))]

with_custom_malloc = rule(
    implementation = _with_custom_malloc_impl,
    attrs = {
        "custom_malloc": attr.string(mandatory = True),
        "program": attr.label(cfg = _custom_malloc, mandatory = True),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
    doc = "`program` as built with --custom_malloc=<custom_malloc> on the command line.",
)
