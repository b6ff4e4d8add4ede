"""The few requests that tests and benches of failover send themselves, at versions without tags."""
import socket
import struct


def text(value):
    return struct.pack('>h', len(value)) + value.encode()


class Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, form):
        values = struct.unpack_from('>' + form, self.data, self.at)
        self.at += struct.calcsize('>' + form)
        return values[0] if len(values) == 1 else values

    def text(self):
        size = self.take('h')
        self.at += max(size, 0)
        return self.data[self.at - max(size, 0):self.at].decode()

    def array(self, read):
        return [read() for _ in range(max(self.take('i'), 0))]


class Conn:
    """One connection; a request at a time. Raises OSError when the broker is not there or gone."""

    def __init__(self, address, seconds=60):
        host, port = address.rsplit(':', 1)
        self.sock = socket.create_connection((host, int(port)), seconds)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def receive(self, size):
        data = bytearray()
        while len(data) < size:
            piece = self.sock.recv(size - len(data))
            if not piece:
                raise ConnectionError('closed')
            data += piece
        return bytes(data)

    def ask(self, key, version, body):
        frame = struct.pack('>hhi', key, version, 1) + text('tests') + body
        self.sock.sendall(struct.pack('>i', len(frame)) + frame)
        reader = Reader(self.receive(struct.unpack('>i', self.receive(4))[0]))
        assert reader.take('i') == 1
        return reader

    def create_topic(self, name, partitions, replicas, configs=(), timeout_ms=30000):
        """Kafka's error code; 0 made, 36 is there already."""
        body = struct.pack('>i', 1) + text(name) + struct.pack('>ihii', partitions, replicas, 0, len(configs))
        for key, value in configs:
            body += text(key) + text(value)
        answer = self.ask(19, 4, body + struct.pack('>i?', timeout_ms, False))
        answer.take('i')
        return answer.array(lambda: (answer.text(), answer.take('h'), answer.text()))[0][1]

    def create_topics(self, names, partitions, replicas, timeout_ms=60000):
        """{name: error code}"""
        body = struct.pack('>i', len(names))
        for name in names:
            body += text(name) + struct.pack('>ihii', partitions, replicas, 0, 0)
        answer = self.ask(19, 4, body + struct.pack('>i?', timeout_ms, False))
        answer.take('i')
        return {row[0]: row[1] for row in answer.array(lambda: (answer.text(), answer.take('h'), answer.text()))}

    def delete_topic(self, name, timeout_ms=30000):
        """Kafka's error code; 0 gone, 3 is not there."""
        answer = self.ask(20, 1, struct.pack('>i', 1) + text(name) + struct.pack('>i', timeout_ms))
        answer.take('i')
        return answer.array(lambda: (answer.text(), answer.take('h')))[0][1]

    def elect_preferred(self, timeout_ms=10000):
        """Of every partition that has another leader."""
        return self.ask(43, 1, struct.pack('>bii', 0, -1, timeout_ms)).take('ih')[1]

    def leaders(self, *topics):
        """{(topic, partition): leader's id, -1 none}; of all topics when none is named."""
        body = struct.pack('>i', len(topics) or -1) + b''.join(text(name) for name in topics) + struct.pack('>?', False)
        answer = self.ask(3, 4, body)
        answer.take('i')
        answer.array(lambda: (answer.take('i'), answer.text(), answer.take('i'), answer.text()))
        answer.text(), answer.take('i')
        found = {}

        def partition(topic):
            _, number, leader = answer.take('hii')
            found[topic, number] = leader
            answer.array(lambda: answer.take('i'))
            answer.array(lambda: answer.take('i'))

        def one_topic():
            answer.take('h')
            topic = answer.text()
            answer.take('?')
            answer.array(lambda: partition(topic))

        answer.array(one_topic)
        return found
