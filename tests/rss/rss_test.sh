#!/usr/bin/env bash
# What the process costs in memory: empty, after a peak, locked, limited, over time.
#   rss_test.sh PROBE LIBRARY CASE
# CASE: empty, spike, spike_refiller, spike_mover, spike_own, spike_background,
#         spike_background_fork, huge, locked, soak, limited, limited_data, two_level
set -euo pipefail
probe=$1 library=$(realpath "$2") case=$3

fail() {
    echo "FAIL $case: $*"
    exit 1
}
on_hakmem() { env LD_PRELOAD="$library" "$@"; }

# The least of five runs: what else runs on the machine can only add.
least() {
    for _ in 1 2 3 4 5; do "$@"; done | sort -n | head -1
}

# "peak_kib P end_kib E after_ms T": the peak must be real, the end low.
check_spike() {
    local words
    read -r -a words <<< "$1"
    echo "$1"
    ((words[1] >= 1024 * 1024)) || fail "the peak was not 1 GiB, the test shows nothing"
    ((words[3] < 20 * 1024)) || fail "${words[3]} KiB are still resident after 3 s"
}

case $case in
empty)
    plain=$(least "$probe" empty)
    ours=$(least on_hakmem "$probe" empty)
    echo "glibc $plain KiB, hakmem $ours KiB"
    ((ours <= plain + 512)) || fail "an empty process costs more than 0.5 MiB above glibc's"
    ;;
spike)
    check_spike "$(on_hakmem "$probe" spike caller)"
    ;;
spike_refiller) # few calls leave the hit path, each of them for a small block
    check_spike "$(on_hakmem "$probe" spike refiller)"
    ;;
spike_mover) # none does, but realloc moves a buffer
    check_spike "$(on_hakmem "$probe" spike mover)"
    ;;
spike_own)
    check_spike "$(on_hakmem "$probe" spike_own)"
    ;;
spike_background)
    check_spike "$(on_hakmem env HAKMEM_BACKGROUND=1 "$probe" spike idle)"
    ;;
spike_background_fork)
    check_spike "$(on_hakmem env HAKMEM_BACKGROUND=1 "$probe" spike_fork)"
    ;;
huge) # superslabs of small blocks as huge pages: no more memory, and it comes back
    for thp in 0 dense; do
        result=$(on_hakmem env HAKMEM_THP=$thp "$probe" huge) || fail "$result"
        echo "$thp: $result"
        read -r -a words <<< "$result"
        touched=${words[1]} possible=${words[3]} full=${words[5]} known=${words[7]} end=${words[9]}
        ((full >= 100 * 1024)) || fail "100 MiB are not there, the test shows nothing"
        ((full <= 110 * 1024)) || fail "$full KiB are resident for 100 MiB"
        if [[ $thp == 0 ]]; then
            unknown=$((full - known))
            ((touched == 0)) || fail "huge pages though they are turned off"
        else
            ((full - known <= unknown + 512)) || fail "the statistics do not know what came ahead"
            ((touched != 0 || possible == 0)) || fail "no huge pages where the probe gets one"
        fi
        ((end <= full / 3)) || fail "$end KiB are still resident after 3 s"
    done
    ;;
locked)
    result=$(on_hakmem "$probe" lock) || fail "$result"
    echo "$result"
    if [[ $result == locked_kib* ]]; then
        ((${result#locked_kib } < 64 * 1024)) || fail "a locked process exceeds 64 MiB"
    fi
    ;;
soak) # T-42; the limit is twice what the set needs, so a leak of address space ends the process
    read -r -a mapped <<< "$(ulimit -v 131072 && on_hakmem "$probe" soak)"
    echo "mapped MiB: $(printf '%s\n' "${mapped[@]}" | awk '{ printf "%d ", $1 / 1048576 }')"
    printf '%s\n' "${mapped[@]}" | awk '
        NR > 4 && NR <= 10 && $1 > first { first = $1 }
        NR > 10 && $1 > second { second = $1 }
        END { exit !(NR == 20 && first > 0 && second <= first * 1.15) }' ||
        fail "mapped bytes grow while the live set is steady"
    ;;
limited) # free superslabs are kept mapped, but not when their address space is wanted
    result=$(ulimit -v 163840 && on_hakmem "$probe" limited)
    echo "$result"
    read -r -a words <<< "$result"
    ((words[1] >= 40)) || fail "nothing was kept, the test shows nothing"
    [[ ${words[3]} == yes ]] || fail "a block does not get the address space of kept superslabs"
    ;;
limited_data) # a few large blocks do not keep what others were from small ones
    result=$(ulimit -d 262144 && on_hakmem "$probe" limited_data)
    echo "$result"
    read -r -a words <<< "$result"
    ((words[1] >= 150)) || fail "the large blocks did not get far, the test shows nothing"
    ((words[3] >= 150)) || fail "small blocks get ${words[3]} MiB of 256"
    ;;
two_level)
    [[ $(on_hakmem "$probe" registry) == 1 ]] || fail "without a limit the map is not flat"
    [[ $(ulimit -v 1048576 && on_hakmem "$probe" registry) == 0 ]] ||
        fail "with 1 GiB of address space the registry is not the two-level map"
    [[ $(on_hakmem env HAKMEM_REGISTRY=two_level "$probe" registry) == 0 ]] ||
        fail "HAKMEM_REGISTRY=two_level does nothing"
    ;;
*)
    fail "no such case"
    ;;
esac
