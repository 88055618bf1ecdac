"""Eight clients set and get keys of their own on a memcached socket; prints how many came back."""
import socket
import sys
import threading


def client(path, number, count, good):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    stream = connection.makefile("rwb")
    for i in range(count):
        key = b"c%d-%d" % (number, i % 500)
        value = b"v" * (i * 37 % 3000)
        stream.write(b"set %s 0 0 %d\r\n%s\r\nget %s\r\n" % (key, len(value), value, key))
        stream.flush()
        answer = [stream.readline() for _ in range(4)]
        good[number] += answer[0] == b"STORED\r\n" and answer[2] == value + b"\r\n"
    connection.close()


def main():
    path, count = sys.argv[1], int(sys.argv[2])
    good = [0] * 8
    threads = [threading.Thread(target=client, args=(path, n, count, good)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("values that came back:", good)


main()
