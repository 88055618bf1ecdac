"""cc_common, at the place where rules_cc has it."""

load("//cc/common:native.bzl", "native_cc_common")

cc_common = native_cc_common
