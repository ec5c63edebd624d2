"""The least that a server can do: answers every POST with as many bytes as an embedding has, at once, on one thread. What a
round trip to it takes is what this machine's own sockets and scheduler take. Prints its port."""
import selectors
import socket

BODY = b"x" * 8000
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


def is_whole(request):
    head, mark, body = request.partition(b"\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    return mark and len(body) >= length


def main():
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    print(listener.getsockname()[1], flush=True)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    requests = {}
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(connection, selectors.EVENT_READ)
                requests[connection] = b""
                continue
            got = key.fileobj.recv(65536)
            if not got:
                selector.unregister(key.fileobj)
                requests.pop(key.fileobj)
                key.fileobj.close()
                continue
            requests[key.fileobj] += got
            if is_whole(requests[key.fileobj]):
                key.fileobj.sendall(ANSWER)
                requests[key.fileobj] = b""


main()
