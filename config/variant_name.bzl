"""hak_variant_name: a C file that holds the name of the variant being built."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")

def _hak_variant_name_impl(ctx):
    unit = ctx.actions.declare_file(ctx.label.name + ".c")
    ctx.actions.write(unit, """#include "config/hak_config.h"

const char hak_config_variant[] = "%s";
""" % ctx.attr.flag[BuildSettingInfo].value)
    return [DefaultInfo(files = depset([unit]))]

hak_variant_name = rule(
    implementation = _hak_variant_name_impl,
    attrs = {"flag": attr.label(mandatory = True, providers = [BuildSettingInfo])},
)
