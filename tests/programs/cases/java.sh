# shellcheck shell=bash disable=SC2034,SC2154
title="java: compiler, collector, threads (the JVM's own malloc calls)"
needs="java"
main=java
optional=1

version() { java -version 2>&1 | head -1 | cut -d' ' -f1-3; }

program() {
    run java -Xmx256m -XX:+UseSerialGC "$input/Workload.java" $((full ? 20 : 2))
}
