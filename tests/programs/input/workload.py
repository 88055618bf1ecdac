"""Strings, containers, threads and processes; prints the same for the same scale."""
import json
import multiprocessing
import re
import sqlite3
import sys
import threading
import zlib


def build(seed, count):
    items = [{"id": i, "name": "n%d" % (i * seed % 997), "tags": ["t"] * (i % 9),
              "pad": "x" * (i % 300)} for i in range(count)]
    text = json.dumps(items)
    packed = zlib.compress(text.encode())
    again = json.loads(zlib.decompress(packed).decode())
    found = re.findall(r'"name": "n(\d\d)"', text)
    return again == items, len(text), zlib.crc32(text.encode()), len(found)


def in_threads(scale):
    results = [None] * 6

    def work(number):
        results[number] = build(number + 3, 500 * scale)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def in_database(scale):
    db = sqlite3.connect(":memory:")
    db.execute("create table t(a integer, b text)")
    rows = ((i, "v%d" % (i % 101) * 5) for i in range(20000 * scale))
    db.executemany("insert into t values(?, ?)", rows)
    db.execute("create index x on t(b)")
    return db.execute("select b, count(*), sum(a) from t group by b order by 3 limit 3").fetchall()


def main():
    scale = int(sys.argv[1])
    print(sum(len(str(i)) for i in range(200000 * scale)))
    print(in_threads(scale))
    print(in_database(scale))
    with multiprocessing.get_context("fork").Pool(3) as pool:
        print(pool.starmap(build, [(n, 300 * scale) for n in range(2, 8)]))
    tree = {}
    for i in range(50000 * scale):
        node = tree
        for digit in str(i * 7919 % 100000):
            node = node.setdefault(digit, {})
    print(len(repr(tree)))


if __name__ == "__main__":
    main()
