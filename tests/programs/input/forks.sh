# Subshells, pipes, substitutions and arrays: each iteration forks several times.
set -euo pipefail
declare -A seen
for ((i = 0; i < $1; i++)); do
    text=$(printf 'line %d\n' {1..20} | sed "s/line/$i/" | sort -r | tail -3)
    seen[$((i % 50))]+="$(wc -c <<< "$text") "
    (seen[x]=changed && exit 0)
done
for key in "${!seen[@]}"; do echo "$key ${#seen[$key]}"; done | sort -n
seq -f 'a long line to sort %.0f' 20000 | awk '{ print NR % 97, $0 }' | sort -n | cksum
