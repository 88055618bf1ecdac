"""hak_fake_test: a test of boxes on the kernel of //backends/os:os_fake. hak_sched_test: under the
scheduler of //tests/sched.

os_fake and os define the same functions, so a program must hold one of them alone. A test therefore
cannot simply depend on os_fake: all boxes below it have to be built with //config:kernel=fake. The
same holds for kernel=scheduled.
"""

load(":box.bzl", "HAK_ONE_THREAD_TAG", "hak_test")
load(":copts.bzl", "HAK_SCHEDULED_COPTS")

def _fake_transition_impl(settings, attr):
    return {
        "//config:cache": attr.cache or settings["//config:cache"],
        "//config:debug": attr.debug or settings["//config:debug"],
        "//config:kernel": attr.kernel,
        "//config:pool_freelist": attr.pool_freelist or settings["//config:pool_freelist"],
        "//config:slot_policy": attr.slot_policy or settings["//config:slot_policy"],
        "//config:pool_remote": attr.pool_remote or settings["//config:pool_remote"],
    }

_fake_transition = transition(
    implementation = _fake_transition_impl,
    inputs = [
        "//config:cache",
        "//config:debug",
        "//config:pool_freelist",
        "//config:slot_policy",
        "//config:pool_remote",
    ],
    outputs = [
        "//config:cache",
        "//config:debug",
        "//config:kernel",
        "//config:pool_freelist",
        "//config:slot_policy",
        "//config:pool_remote",
    ],
)

def _hak_on_fake_impl(ctx):
    # A transition makes a list of a single dependency.
    program = ctx.attr.program[0][DefaultInfo]
    executable = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(
        output = executable,
        target_file = program.files_to_run.executable,
        is_executable = True,
    )
    return [DefaultInfo(executable = executable, runfiles = program.default_runfiles)]

_hak_on_fake_test = rule(
    implementation = _hak_on_fake_impl,
    attrs = {
        "cache": attr.string(),
        "debug": attr.string(),
        "kernel": attr.string(default = "fake"),
        "pool_freelist": attr.string(),
        "slot_policy": attr.string(),
        "pool_remote": attr.string(),
        "program": attr.label(
            cfg = _fake_transition,
            executable = True,
            mandatory = True,
        ),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
    test = True,
)

def hak_fake_test(
        name,
        srcs,
        deps = [],
        cache = "",
        debug = "",
        pool_freelist = "",
        slot_policy = "",
        pool_remote = "",
        copts = [],
        linkopts = [],
        one_thread = False,
        size = "small",
        tags = [],
        **kwargs):
    """A GoogleTest program over boxes that are built on os_fake.

    Args:
      name: name of the test.
      srcs: its sources.
      deps: the boxes it tests; os_fake is one of them without being named.
      cache: fixes //config:cache, for tests of one policy.
      debug: "on" or "off" fixes //config:debug, for tests of the checks themselves.
      pool_freelist: fixes //config:pool_freelist.
      slot_policy: fixes //config:slot_policy.
      pool_remote: fixes //config:pool_remote, for tests of one queue.
      copts: more flags, after ours.
      linkopts: more link flags.
      one_thread: as in hak_test.
      size: as in cc_test.
      tags: tags of the test.
      **kwargs: more attributes of the test.
    """
    hak_test(
        name = name + "_program",
        size = size,
        srcs = srcs,
        copts = copts,
        gtest = ["//third_party:gtest_fixed"],
        linkopts = linkopts,
        one_thread = one_thread,
        tags = ["manual"],
        visibility = ["//visibility:private"],
        deps = deps + ["//backends/os:os_fake"],
    )
    _hak_on_fake_test(
        name = name,
        size = size,
        cache = cache,
        debug = debug,
        pool_freelist = pool_freelist,
        slot_policy = slot_policy,
        pool_remote = pool_remote,
        program = name + "_program",
        tags = tags + ([HAK_ONE_THREAD_TAG] if one_thread else []),
        **kwargs
    )

def hak_sched_test(
        name,
        srcs,
        deps = [],
        pool_freelist = "",
        pool_remote = "",
        slot_policy = "",
        size = "medium",
        tags = [],
        data = [],
        args = [],
        **kwargs):
    """A GoogleTest program whose boxes run under the scheduler of //tests/sched.

    Boxes and sources are instrumented; their assertions are on. gcc only, and no sanitizer beside:
    the scheduler takes ThreadSanitizer's place.

    Args:
      name: name of the test.
      srcs: its sources.
      deps: the boxes it tests; the scheduler is one of them without being named.
      pool_freelist: fixes //config:pool_freelist.
      pool_remote: fixes //config:pool_remote.
      slot_policy: fixes //config:slot_policy.
      size: as in cc_test.
      tags: tags of the test.
      data: files that it reads.
      args: its arguments.
      **kwargs: more attributes of the test.
    """
    tags = tags + ["no-clang", "no-san"]
    hak_test(
        name = name + "_program",
        size = size,
        srcs = srcs,
        copts = HAK_SCHEDULED_COPTS,
        data = data,
        gtest = ["//third_party:gtest_fixed"],
        tags = tags + ["manual"],
        visibility = ["//visibility:private"],
        deps = deps + ["//tests/sched:runtime"],
    )
    _hak_on_fake_test(
        name = name,
        size = size,
        args = args,
        debug = "on",
        kernel = "scheduled",
        program = name + "_program",
        pool_freelist = pool_freelist,
        pool_remote = pool_remote,
        slot_policy = slot_policy,
        tags = tags,
        **kwargs
    )
