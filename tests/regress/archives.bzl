"""hak_archives: the object archives below a library, as files that a test can read."""

load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")

def _hak_archives_impl(ctx):
    archives = []
    for dep in ctx.attr.deps:
        for linker_input in dep[CcInfo].linking_context.linker_inputs.to_list():
            for library in linker_input.libraries:
                archives.append(library.pic_static_library or library.static_library)
    files = depset([archive for archive in archives if archive != None])
    return [DefaultInfo(files = files, runfiles = ctx.runfiles(transitive_files = files))]

hak_archives = rule(
    implementation = _hak_archives_impl,
    attrs = {"deps": attr.label_list(providers = [CcInfo], mandatory = True)},
    doc = "The static archives of `deps` and of everything below them.",
)
