"""Stands in for rules_shell, which Bazel 4.2.3 does not need."""

sh_binary = native.sh_binary
