#!/usr/bin/env bash
# browser_test.sh BIN HAKMEM: the report of a smoke race in headless Chromium, in a window like a
# desktop's and one like a telephone's: the script runs, a table sorts, nothing is wider than the
# page, no text of a plot lies outside it, nothing is asked of a network.
set -euo pipefail

bin=$1
hakmem=$(realpath "$2")
folder=${TEST_TMPDIR:-$(mktemp -d)}
chromium=$(command -v chromium || command -v chromium-browser || true)
if [[ -z $chromium ]]; then
    echo "browser_test.sh: SKIPPED: chromium is not installed (tools/setup.sh browser)"
    exit 0
fi

fail() {
    echo "browser_test.sh: $*" >&2
    exit 1
}

python3 bench/compare/race.py --smoke --bin "$bin" --hakmem "$hakmem" --out "$folder/race" \
    >"$folder/out" 2>"$folder/err" || fail "the race failed: $(cat "$folder/err")"

# The page with a script of ours at its end, which writes what it finds into the page's title.
cat >"$folder/check.js" <<'JS'
addEventListener("load", () => {
  const faults = [];
  const head = [...document.querySelectorAll("#time th")].find((h) => h.textContent === "hakmem");
  const column = () => [...head.closest("table").tBodies[0].rows]
    .map((row) => Number(row.cells[head.cellIndex].dataset.v));
  const sorted = (v, way) => v.every((x, i) => i === 0 || way * (x - v[i - 1]) >= 0);
  if (sorted(column(), 1)) faults.push("the rows are sorted before the click");
  head.querySelector("button").click();
  if (!sorted(column(), 1)) faults.push("not ascending: " + column());
  head.querySelector("button").click();
  if (!sorted(column(), -1)) faults.push("not descending: " + column());
  if (head.getAttribute("aria-sort") !== "descending") faults.push("aria-sort");
  const page = document.documentElement;
  if (page.scrollWidth > innerWidth) faults.push("wide: " + page.scrollWidth + ", " + innerWidth);
  let plots = 0;
  for (const plot of document.querySelectorAll("svg[role=img]")) {
    const frame = plot.getBoundingClientRect();
    if (frame.width < 10 || frame.height < 5) faults.push("no size: " + plot.ariaLabel);
    for (const text of plot.querySelectorAll("text")) {
      const box = text.getBoundingClientRect();
      const out = Math.max(frame.left - box.left, box.right - frame.right);
      if (out > 1.5) faults.push("cut: " + plot.ariaLabel + ": " + text.textContent);
    }
    plots++;
  }
  const asked = performance.getEntriesByType("resource").length;
  if (asked > 0) faults.push(asked + " requests");
  document.title = "checked " + plots + " plots: " + (faults.join("; ") || "good");
});
JS
awk -v script="$folder/check.js" '
    $0 == "</body>" {
        print "<script>"
        while ((getline line < script) > 0) print line
        print "</script>"
    }
    { print }' "$folder/race/race.html" >"$folder/checked.html"

# As root, and in a test's own sandbox, Chromium cannot set up one of its own; it opens our file.
browse() {
    timeout 120 "$chromium" --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage \
        --no-first-run --host-resolver-rules='MAP * ~NOTFOUND' --user-data-dir="$folder/profile" \
        --enable-logging=stderr --virtual-time-budget=5000 "$@" 2>"$folder/chromium.err"
}

for size in 1400,1000 520,900; do
    title=$(browse --window-size="$size" --dump-dom "file://$folder/checked.html" |
        grep -o '<title>checked[^<]*' || true)
    [[ $title == *": good" ]] ||
        fail "window of $size: '$title' $(tail -n 5 "$folder/chromium.err")"
    ! grep 'CONSOLE' "$folder/chromium.err" || fail "the page complains in a window of $size"
    echo "window of $size: ${title#<title>}"
done
browse --window-size=1400,1000 --screenshot="$folder/page.png" "file://$folder/checked.html"
[[ $(head -c 4 "$folder/page.png" | tail -c 3) == PNG ]] || fail "no picture of the page"
echo "browser_test.sh: passed"
