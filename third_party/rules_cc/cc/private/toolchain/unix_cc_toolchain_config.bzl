"""The toolchain description that Bazel carries, at the place where rules_cc has it."""

load(
    "@bazel_tools//tools/cpp:unix_cc_toolchain_config.bzl",
    _cc_toolchain_config = "cc_toolchain_config",
)

cc_toolchain_config = _cc_toolchain_config
