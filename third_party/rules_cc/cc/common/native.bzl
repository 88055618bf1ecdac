"""Bazel's built-in symbols under other names: a .bzl file cannot re-export a built-in as it is."""

NativeCcInfo = CcInfo
native_cc_common = cc_common
