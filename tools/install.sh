#!/usr/bin/env bash
# Installs hakmem under a prefix, for builds that do not use Bazel.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<'EOF'
usage: tools/install.sh --prefix DIR [--variant=NAME] [--config=NAME] [--built DIR]

Builds a variant (hakmem, if none is named) and installs below DIR:
  include/hakmem.h                     the public header
  lib/lib<NAME>.so, lib/lib<NAME>.a    the libraries; both replace malloc
  lib/pkgconfig/<NAME>.pc              cc service.c $(pkg-config --cflags --libs <NAME>)
  lib/cmake/<NAME>/                    find_package(<NAME>), then link <NAME>::<NAME>, or
                                       <NAME>::<NAME>_static
  share/man/man3/hakmem.3              the manual page
The installed files name no absolute path: the tree may be moved, or installed into the folder of a
package.
  --config=NAME  build with a configuration of .bazelrc, such as release
  --built DIR    take the libraries from DIR instead of building them
EOF
}

# The files of pkg-config and CMake find the rest relative to themselves. --no-as-needed: a service
# whose own code never calls malloc still wants its libraries to be served.
write_pkg_config() {
    cat <<EOF
prefix=\${pcfiledir}/../..
libdir=\${prefix}/lib
includedir=\${prefix}/include

Name: $variant
Description: memory allocator that replaces malloc
Version: $version
Cflags: -I\${includedir}
Libs: -L\${libdir} -Wl,--push-state,--no-as-needed -l$variant -Wl,--pop-state
Libs.private: -pthread
EOF
}

write_cmake_config() {
    cat <<EOF
# $variant::$variant        the shared library
# $variant::${variant}_static  the archive; nothing has to be installed where the service runs
get_filename_component(_hakmem_prefix "\${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
find_package(Threads REQUIRED)

if(NOT TARGET $variant::$variant)
  # Named whether or not the program itself calls malloc: its libraries do.
  add_library($variant::$variant INTERFACE IMPORTED)
  set_target_properties($variant::$variant PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "\${_hakmem_prefix}/include"
    INTERFACE_LINK_LIBRARIES
      "-Wl,--push-state,--no-as-needed;\${_hakmem_prefix}/lib/lib$variant.so;-Wl,--pop-state")
endif()

if(NOT TARGET $variant::${variant}_static)
  add_library($variant::${variant}_static STATIC IMPORTED)
  set_target_properties($variant::${variant}_static PROPERTIES
    IMPORTED_LOCATION "\${_hakmem_prefix}/lib/lib$variant.a"
    INTERFACE_INCLUDE_DIRECTORIES "\${_hakmem_prefix}/include"
    INTERFACE_LINK_LIBRARIES Threads::Threads
    INTERFACE_LINK_OPTIONS "LINKER:--undefined=malloc")
endif()

unset(_hakmem_prefix)
EOF
}

write_cmake_version() {
    cat <<EOF
set(PACKAGE_VERSION "$version")
if(PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION)
  set(PACKAGE_VERSION_COMPATIBLE FALSE)
else()
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
  if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
    set(PACKAGE_VERSION_EXACT TRUE)
  endif()
endif()
EOF
}

# Writes stdin to a file with the usual rights. $1: the file.
install_text() {
    install -m 644 /dev/stdin "$1"
}

main() {
    local prefix='' built='' flags=()
    variant=hakmem
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help)
                usage
                exit 0
                ;;
            --prefix=*) prefix=${1#*=} ;;
            --built=*) built=${1#*=} ;;
            --prefix | --built)
                [ $# -ge 2 ] || die "$1 needs a folder"
                if [ "$1" = --prefix ]; then prefix=$2; else built=$2; fi
                shift
                ;;
            --variant=*) variant=${1#*=} ;;
            --config=*) flags+=("$1") ;;
            *)
                usage >&2
                die "unknown argument: $1"
                ;;
        esac
        shift
    done
    if [ -z "$prefix" ]; then
        usage >&2
        die "no --prefix given"
    fi

    if [ -z "$built" ]; then
        "$root/tools/setup.sh" build
        build_quietly ${flags[@]+"${flags[@]}"} "//:lib$variant.so" "//:lib$variant.a"
        built=$(bin_folder ${flags[@]+"${flags[@]}"})
    fi
    local file
    for file in "$built/lib$variant.so" "$built/lib$variant.a" "$root/include/hakmem.h"; do
        [ -f "$file" ] || die "there is no $file"
    done
    version=$(sed -n 's/^#define HAKMEM_VERSION_STRING "\(.*\)"$/\1/p' "$root/include/hakmem.h")
    [ -n "$version" ] || die "include/hakmem.h names no HAKMEM_VERSION_STRING"

    mkdir -p "$prefix/include" "$prefix/lib/pkgconfig" "$prefix/lib/cmake/$variant" ||
        die "cannot make folders below $prefix"
    install -m 644 "$root/include/hakmem.h" "$prefix/include/"
    install -m 755 "$built/lib$variant.so" "$prefix/lib/"
    install -m 644 "$built/lib$variant.a" "$prefix/lib/"
    write_pkg_config | install_text "$prefix/lib/pkgconfig/$variant.pc"
    write_cmake_config | install_text "$prefix/lib/cmake/$variant/${variant}Config.cmake"
    write_cmake_version | install_text "$prefix/lib/cmake/$variant/${variant}ConfigVersion.cmake"
    if [ -f "$root/docs/hakmem.3" ]; then
        mkdir -p "$prefix/share/man/man3"
        install -m 644 "$root/docs/hakmem.3" "$prefix/share/man/man3/"
    fi
    say "$variant $version is installed in $prefix"
    # A program that was linked with it finds it at run time in one of these ways alone.
    say "for the loader: ldconfig, if it searches $prefix/lib; else LD_LIBRARY_PATH, or an rpath"
}

main "$@"
