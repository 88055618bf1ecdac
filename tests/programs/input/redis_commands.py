"""Writes COUNT redis commands in the inline protocol: the same for the same COUNT."""
import sys

for i in range(int(sys.argv[1])):
    key = i * 7919 % 5000
    print(("SET key%d %s" % (key, "v" * (1 + key % 300)),
           "APPEND key%d more" % key,
           "LPUSH list %d" % i,
           "HSET hash%d field%d %s" % (key % 50, i % 300, "x" * (1 + i % 90)),
           "ZADD sorted %d member%d" % (i % 1000, key),
           "DEL key%d" % (key // 2))[i % 6], end="\r\n")
