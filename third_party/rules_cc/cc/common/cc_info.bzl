"""CcInfo, at the place where rules_cc has it."""

load("//cc/common:native.bzl", "NativeCcInfo")

CcInfo = NativeCcInfo
