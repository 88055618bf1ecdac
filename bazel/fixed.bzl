"""hak_fixed: a library built once, whatever the flags of //config are.

A test on a fake kernel or under the scheduler has a configuration of its own, in which everything
below it is compiled anew. What knows nothing of //config, such as GoogleTest, need not be.
"""

load("@rules_cc//cc/common:cc_common.bzl", "cc_common")
load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")

# Any value would do; these are the defaults of //config.
_FIXED = {
    "//config:cache": "bounded",
    "//config:check": "double_free",
    "//config:debug": "off",
    "//config:kernel": "linux",
    "//config:mf2_drain": "adopt",
    "//config:mf2_header": "0",
    "//config:mid": "slabs",
    "//config:pool_freelist": "mutex",
    "//config:pool_remote": "lockfree",
    "//config:pool_shards": "64",
    "//config:slot_policy": "any",
    "//config:stats": "off",
    "//config:variant": "hakmem",
}

def _fixed_transition_impl(_settings, _attr):
    return _FIXED

_fixed_transition = transition(
    implementation = _fixed_transition_impl,
    inputs = [],
    outputs = _FIXED.keys(),
)

def _hak_fixed_impl(ctx):
    return [cc_common.merge_cc_infos(cc_infos = [dep[CcInfo] for dep in ctx.attr.actual])]

hak_fixed = rule(
    implementation = _hak_fixed_impl,
    attrs = {
        "actual": attr.label_list(cfg = _fixed_transition, providers = [CcInfo]),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
    doc = "`actual` under fixed values of the flags of //config.",
)
