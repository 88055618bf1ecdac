#!/usr/bin/env bash
# metadata_test.sh BIN CARELESS FAKE FAT HALF LATE LYING OVERLAPPING: what the programs say about a
# run.
#   BIN          folder of the programs
#   FAKE ...     libraries made from the .c files beside this script
set -euo pipefail

bin=$1
careless=$(realpath "$2")
fake=$(realpath "$3")
fat=$(realpath "$4")
half=$(realpath "$5")
late=$(realpath "$6")
lying=$(realpath "$7")
overlapping=$(realpath "$8")
pair=$bin/pair/pair
checks=0

fail() {
    echo "metadata_test.sh: $*" >&2
    exit 1
}

# expect TEXT PATTERN: TEXT has a line that matches the extended regular expression.
expect() {
    grep -Eq -- "$2" <<<"$1" || fail "no line matches '$2' in:
$1"
    checks=$((checks + 1))
}

refuse() {
    ! grep -Eq -- "$2" <<<"$1" || fail "a line matches '$2' in:
$1"
    checks=$((checks + 1))
}

# The parameters as given, by position and by name, and what the smoke run sets itself.
text=$("$bin/mid_large_mt/mid_large_mt" 3 7 --seed=99 --smoke --rounds=2)
expect "$text" '^parameters: threads=3 cycles=7 ws=256 seed=99$'
expect "$text" '^rounds: 2$'
expect "$text" '^cpus: [1-9]'
expect "$text" '^l3_bytes: [0-9]'
expect "$text" '^os_page_bytes: (4096|16384|65536) '
expect "$text" '^peak_rss_bytes: [1-9]'
# 3 threads x 256 blocks x 20 KiB; 3 x (7 + 1) x 256 operations.
expect "$text" '^mid_large_mt +15\.0 MiB +6144 '
expect "$("$pair" --smoke --rows=pair_64 --ops=64k)" '^parameters: ops=65536 seed=1$'

# The working set against the cache: one byte decides, an unknown cache is said to be unknown.
# lifo_1k keeps 1,000 blocks of 64 B.
text=$("$pair" --smoke --rows=lifo_1k --l3-bytes=63999)
expect "$text" 'warning: the working set of 62\.5 KiB exceeds the L3 cache of 62\.5 KiB'
text=$("$pair" --smoke --rows=lifo_1k --l3-bytes=64000)
refuse "$text" 'exceeds the L3'
text=$("$pair" --smoke --rows=lifo_1k --l3-bytes=0)
expect "$text" 'warning: the size of the L3 cache is unknown'
json=$("$pair" --smoke --json --rows=lifo_1k --l3-bytes=1k)
expect "$json" '"working_set_bytes":64000,"exceeds_l3":true'
json=$("$pair" --smoke --json --rows=lifo_1k --l3-bytes=1m)
expect "$json" '"working_set_bytes":64000,"exceeds_l3":false'

# The statistics in the report are those of its samples.
json=$("$pair" --smoke --json --rows=pair_64 --rounds=5)
samples=$(sed -E 's/.*"samples":\[([^]]*)\].*/\1/; s/,/\n/g' <<<"$json" | sort -n)
[[ $(wc -l <<<"$samples") == 5 ]] || fail "not 5 samples: $json"
expect "$json" "\"min\":$(head -n 1 <<<"$samples"),\"median\":$(sed -n 3p <<<"$samples"),"
expect "$json" "\"max\":$(tail -n 1 <<<"$samples"),"

# Who served: the C library's own, and a preloaded library with its own word on version and variant.
text=$("$pair" --smoke --rows=pair_64)
expect "$text" '^served_by_malloc: /.*/libc[.-]'
expect "$text" '^served_by_free: /.*/libc[.-]'
expect "$text" '^variant: none$'
text=$(LD_PRELOAD=$fake "$pair" --smoke --rows=pair_64)
expect "$text" "^served_by_malloc: $fake\$"
expect "$text" "^served_by_free: $fake\$"
expect "$text" '^allocator: hakmem$'
expect "$text" '^variant: fake_variant$'
expect "$text" '^version: 9\.8\.7 \(fake_variant\)$'

# A library that is loaded and does not serve lends neither its name nor its version.
text=$(LD_PRELOAD=$lying "$pair" --smoke --rows=pair_64)
refuse "$text" 'hakmem|fake_variant'

# malloc and free of two makers: no figures, status 1.
status=0
text=$(LD_PRELOAD=$half "$pair" --smoke --rows=pair_64 2>&1) || status=$?
[[ $status == 1 ]] || fail "half an allocator: status $status"
expect "$text" 'FAILED: malloc comes from .*half_allocator.* but free from .*libc'

# Nor are there figures of calloc and its like where the C library serves those alone.
while read -r program row call; do
    status=0
    text=$(LD_PRELOAD=$overlapping "$bin/$program/$program" --smoke --rows="$row" 2>&1) || status=$?
    [[ $status == 1 ]] || fail "$call of another maker: status $status"
    expect "$text" "FAILED: malloc comes from .*overlapping_allocator.* but $call from .*libc"
done <<END
zeroed calloc_64 calloc
zeroed calloc_replace calloc
aligned aligned_64 posix_memalign
large large_realloc realloc
END

# Blocks that overlap are found out.
status=0
text=$(LD_PRELOAD=$overlapping "$pair" --smoke --rows=lifo_1k 2>&1) || status=$?
[[ $status == 1 ]] || fail "overlapping blocks: status $status"
expect "$text" 'FAILED: block 0x[0-9a-f]+ begins with'

# So they are by the programs whose blocks change hands or move in a table.
for program in pingpong/pingpong prodcons/prodcons latency/latency; do
    status=0
    text=$(LD_PRELOAD=$overlapping "$bin/$program" --smoke 2>&1) || status=$?
    [[ $status == 1 ]] || fail "overlapping blocks in $program: status $status"
    expect "$text" 'FAILED: block 0x[0-9a-f]+ begins with'
done

for row in xthread_generations xthread_churn xthread_one_owner; do
    status=0
    text=$(LD_PRELOAD=$overlapping "$bin/xthread/xthread" --smoke --rows=$row --min=64 --max=64 \
        2>&1) || status=$?
    [[ $status == 1 ]] || fail "overlapping blocks in $row: status $status"
    expect "$text" 'FAILED: block 0x[0-9a-f]+ begins with'
done

# So they are where blocks of one size lie in many tables, and where threads write them at once.
for command in 'drift --rows=phase_shift' 'drift --rows=soak' \
    'falseshare --rows=false_active --size=64 --threads=4 --writes=1000'; do
    status=0
    # shellcheck disable=SC2086 # the words of the command are meant to split
    text=$(LD_PRELOAD=$overlapping "$bin/${command%% *}"/$command --smoke 2>&1) || status=$?
    [[ $status == 1 ]] || fail "overlapping blocks in $command: status $status"
    expect "$text" 'FAILED: block 0x[0-9a-f]+ (of 64 bytes ends|begins) with'
done

# One byte of calloc that is not zero, and an address that is not aligned.
status=0
text=$(LD_PRELOAD=$careless "$bin/zeroed/zeroed" --smoke --rows=calloc_32k 2>&1) || status=$?
[[ $status == 1 ]] || fail "a dirty calloc: status $status"
expect "$text" 'FAILED: byte 10922 of calloc\(1, 32768\) is 0x1'
status=0
text=$(LD_PRELOAD=$careless "$bin/aligned/aligned" --smoke --rows=aligned_64 2>&1) || status=$?
[[ $status == 1 ]] || fail "blocks out of line: status $status"
expect "$text" 'FAILED: posix_memalign\(64, [0-9]+\) gave 0x'

# What a short process had resident is its own and not that of the process that started it.
text=$(LD_PRELOAD=$fat "$bin/startup/startup" --smoke --rows=startup_empty)
expect "$text" '^peak_rss_bytes: [0-9]{8} '
expect "$text" '^  child_peak_rss_bytes: [0-9]{7}$'

# The time of a row with threads begins when all of them are there: 4 operations, less than 0.5 s.
text=$(LD_PRELOAD=$late "$bin/aligned/aligned" --rows=aligned_64 --threads=2 --ops=1 --slots=1 \
    --rounds=1)
expect "$text" '^aligned_64 +[0-9.]+ KiB +4 +[0-9]{1,8}\.'

# Too little memory: status 1 and a reason, no crash. The programs' own needs fit.
status=0
text=$( (ulimit -v 200000 && exec "$bin/spike/spike" --smoke --mib=1024) 2>&1) || status=$?
[[ $status == 1 ]] || fail "out of memory: status $status: $text"
expect "$text" 'FAILED: malloc\([0-9]+\) gave NULL'

# A goal that cannot be met fails the run.
status=0
text=$("$bin/spike/spike" --smoke --goal-mib=1 2>&1) || status=$?
[[ $status == 1 ]] || fail "spike's goal: status $status"
expect "$text" 'FAILED: [0-9]+ bytes are resident at the end, the goal is 1048576'

# A report that cannot be written is not a finished run.
status=0
"$pair" --smoke >/dev/full 2>/dev/null || status=$?
[[ $status == 1 ]] || fail "a full disk: status $status"

echo "metadata_test.sh: $checks checks"
