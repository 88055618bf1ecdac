#!/usr/bin/env bash
# T-13: the allocator's own code calls no allocating function of the C library: with the override in
# place that would be a call of itself, possibly under a lock.
#   symbols_test.sh ARCHIVE...
# malloc_info and malloc_stats write to a FILE by contract, so front/libc may use stdio's output.
set -euo pipefail

allocating='malloc|calloc|realloc|reallocarray|free|posix_memalign|aligned_alloc|memalign'
allocating+='|valloc|pvalloc'
allocating+='|strdup|strndup|asprintf|vasprintf|open_memstream|fmemopen|fopen|fdopen|fclose'
allocating+='|opendir|scandir|getline|getdelim|qsort|setenv|putenv|syslog|popen|tmpfile|setlocale'
stdio='v?f?printf|v?s?n?printf|v?dprintf|f?puts|f?putc|putchar|fwrite|fflush|perror'
# Fortified builds call these names with a suffix.
forbidden() { echo "^(__)?($1)(_chk)?$"; }

failed=0 checked=0
for archive in "$@"; do
    checked=$((checked + 1))
    names="$allocating|$stdio"
    if [[ $archive == *front/libc/* ]]; then
        names=$allocating
    fi
    used=$(nm --undefined-only --format=posix "$archive" 2> /dev/null |
        awk 'NF >= 2 { sub(/@.*/, "", $1); print $1 }' | sort -u |
        grep -E "$(forbidden "$names")" || true)
    if [[ -n $used ]]; then
        echo "FAIL $archive calls: $(echo $used)"
        failed=1
    fi
done
echo "$checked archives checked"
if ((checked < 20)); then
    echo "FAIL that are too few: the list of archives is wrong"
    failed=1
fi
exit $failed
