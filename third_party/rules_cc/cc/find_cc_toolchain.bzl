"""How a rule reaches the C++ toolchain, under the names that rules_cc uses."""

load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain")

CC_TOOLCHAIN_TYPE = "@bazel_tools//tools/cpp:toolchain_type"

def find_cc_toolchain(ctx):
    """Returns the CcToolchainInfo of `ctx`.

    Args:
      ctx: a rule context with the attribute `_cc_toolchain`.
    """
    return find_cpp_toolchain(ctx)

def use_cc_toolchain():
    """Returns what to pass as `toolchains` of a rule()."""
    return [CC_TOOLCHAIN_TYPE]
