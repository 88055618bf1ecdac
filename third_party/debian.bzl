"""Repositories over files that Debian packages install."""

# Packages of abseil whose labels tests may use, with their targets. Debian links each library
# against those it needs, so one target over all of them is enough behind every label.
_ABSEIL_PACKAGES = {
    "container": ["flat_hash_map", "flat_hash_set", "inlined_vector", "node_hash_map"],
    "hash": ["hash"],
    "random": ["random"],
    "strings": ["cord", "str_format", "strings"],
    "synchronization": ["synchronization"],
    "time": ["time"],
}

_ALIAS = """alias(
    name = "{name}",
    actual = "//:absl",
    visibility = ["//visibility:public"],
)
"""

def _debian_abseil_impl(repository_ctx):
    prefix = repository_ctx.path("/usr")
    headers = prefix.get_child("include").get_child("absl")
    if not headers.exists:
        fail("abseil is not installed: run tools/setup.sh test")
    repository_ctx.symlink(headers, "include/absl")
    found = [
        library
        for folder in prefix.get_child("lib").readdir()
        if folder.basename.endswith("-linux-gnu")
        for library in folder.readdir()
        if library.basename.startswith("libabsl_") and library.basename.endswith(".so")
    ]
    for library in found:
        repository_ctx.symlink(library, "lib/" + library.basename)
    repository_ctx.template("BUILD.bazel", Label("//third_party:absl.BUILD"))
    for package, names in _ABSEIL_PACKAGES.items():
        repository_ctx.file(
            "absl/%s/BUILD.bazel" % package,
            "\n".join([_ALIAS.format(name = name) for name in names]),
        )

debian_abseil = repository_rule(
    implementation = _debian_abseil_impl,
    doc = "abseil as libabsl-dev installs it, under the labels of the upstream module.",
    local = True,
)
