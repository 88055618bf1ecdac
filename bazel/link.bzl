"""Rules for files of linked code: an archive with hidden internals, a file under another name."""

load("@rules_cc//cc:find_cc_toolchain.bzl", "find_cc_toolchain", "use_cc_toolchain")
load("@rules_cc//cc/common:cc_common.bzl", "cc_common")
load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")

def _hak_file_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.run_shell(
        command = 'cp -f -- "$1" "$2"',
        arguments = [ctx.file.src.path, out.path],
        inputs = [ctx.file.src],
        mnemonic = "HakFile",
        outputs = [out],
    )
    return [DefaultInfo(files = depset([out]), runfiles = ctx.runfiles(files = [out]))]

hak_file = rule(
    implementation = _hak_file_impl,
    attrs = {"src": attr.label(allow_single_file = True, mandatory = True)},
    doc = "A copy of `src` named as the target.",
)

def _archives(linking_context):
    libraries = [
        library
        for linker_input in linking_context.linker_inputs.to_list()
        for library in linker_input.libraries
    ]
    archives = [library.pic_static_library or library.static_library for library in libraries]
    return [archive for archive in archives if archive]

def _hak_archive_impl(ctx):
    toolchain = find_cc_toolchain(ctx)
    features = cc_common.configure_features(
        ctx = ctx,
        cc_toolchain = toolchain,
        requested_features = ctx.features,
        unsupported_features = ctx.disabled_features,
    )
    driver = cc_common.get_tool_for_action(
        action_name = "c++-link-executable",
        feature_configuration = features,
    )
    stem = ctx.label.name[:-len(".a")]
    whole = ctx.actions.declare_file("%s_a/whole.o" % stem)
    member = ctx.actions.declare_file("%s_a/%s.o" % (stem, stem[len("lib"):]))
    out = ctx.actions.declare_file(ctx.label.name)

    archives = _archives(ctx.attr.actual[CcInfo].linking_context)
    link = ctx.actions.args()
    link.add_all(["-r", "-nostdlib", "-o", whole])
    if "-flto" in ctx.fragments.cpp.copts:
        # Machine code: whoever links the archive may use another compiler, and objcopy cannot hide
        # what is still gcc's intermediate code.
        link.add_all(["-O2", "-flto", "-flinker-output=nolto-rel"])

    # The reference to the C++ personality is a group that the program's own objects have as well.
    # Its name is local afterwards: a linker that keeps one of the two would leave code without it.
    link.add("-Wl,--force-group-allocation")
    link.add("-Wl,--whole-archive")
    link.add_all(archives)
    link.add("-Wl,--no-whole-archive")
    ctx.actions.run(
        arguments = [link],
        executable = driver,
        inputs = depset(archives, transitive = [toolchain.all_files]),
        mnemonic = "HakRelocatable",
        outputs = [whole],
        use_default_shell_env = True,
    )
    ctx.actions.run(
        arguments = [
            "--keep-global-symbols=" + ctx.file.exports.path,
            whole.path,
            member.path,
        ],
        executable = toolchain.objcopy_executable,
        inputs = depset([whole, ctx.file.exports], transitive = [toolchain.all_files]),
        mnemonic = "HakLocalize",
        outputs = [member],
    )
    ctx.actions.run(
        arguments = ["rcsD", out.path, member.path],
        executable = toolchain.ar_executable,
        inputs = depset([member], transitive = [toolchain.all_files]),
        mnemonic = "HakArchive",
        outputs = [out],
    )
    return [DefaultInfo(files = depset([out]), runfiles = ctx.runfiles(files = [out]))]

hak_archive = rule(
    implementation = _hak_archive_impl,
    attrs = {
        "actual": attr.label(mandatory = True, providers = [CcInfo]),
        "exports": attr.label(allow_single_file = True, mandatory = True),
        "_cc_toolchain": attr.label(default = "@bazel_tools//tools/cpp:current_cc_toolchain"),
    },
    doc = "All code of `actual` as one object in an archive; only `exports` stay global.",
    fragments = ["cpp"],
    toolchains = use_cc_toolchain(),
)
