"""Judges what clients have seen: the histories of writers (writer.c), of readers, and of one who read everything at the
end. The anomalies have the names that Jepsen's Kafka workload gave them, where it has one.

lost-write            acknowledged, gone, though somebody has read beyond it
unseen                acknowledged, and not there at the end
wrong-offset          stored elsewhere than the acknowledgement said
inconsistent-offsets  one offset had two values
duplicate             one value at two offsets
phantom               read, and never sent to that partition
G1a                   read, though its writer was told that it certainly had not been stored
lost-read             somebody has read it, and it is not there at the end
nonmonotonic-send     a writer's later record was acknowledged at a lower offset
reordered             a writer's records stand in another order than they were sent
nonmonotonic-poll     a reader went back
poll-skip             a reader jumped over a record
hole                  an offset below the end that holds nothing

duplicate, nonmonotonic-send and reordered are promises to idempotent writers only."""

ANOMALIES = ('lost-write', 'unseen', 'wrong-offset', 'inconsistent-offsets', 'duplicate', 'phantom', 'G1a', 'lost-read',
             'nonmonotonic-send', 'reordered', 'nonmonotonic-poll', 'poll-skip', 'hole')
SHOWN = 10


class Writer:
    """One writer's history. Values are NAME:NUMBER."""

    def __init__(self, name, lines, idempotent=True):
        self.name = name
        self.idempotent = idempotent
        self.sent = {}    # value: (number, partition)
        self.acked = {}   # value: offset
        self.failed = set()
        self.unknown = set()
        self.ok_times = []
        for line in lines:
            kind, number, partition, *rest = line.split(' ')
            value = '%s:%s' % (name, number)
            if kind == 'send':
                self.sent[value] = (int(number), int(partition))
            elif kind == 'ok':
                self.acked[value] = int(rest[0])
                self.ok_times.append(int(rest[1]) / 1e6)
            elif kind == 'fail':
                self.failed.add(value)
            elif kind == 'info':
                self.unknown.add(value)
            else:
                raise ValueError('writer %s: %s' % (name, line))


def parse_reads(lines):
    """[(partition, offset, value)] of lines "PARTITION OFFSET VALUE"."""
    rows = (line.split(' ', 2) for line in lines)
    return [(int(partition), int(offset), value) for partition, offset, value in rows]


class Judge:
    def __init__(self, writers, readers, final):
        self.writers = writers
        self.readers = readers  # {name: [(partition, offset, value)]}
        self.final = final      # the same, of who read everything at the end
        self.found = {}
        self.sent = {}
        for writer in writers:
            self.sent.update({value: (writer, *where) for value, where in writer.sent.items()})
        self.stored = {(partition, offset): value for partition, offset, value in final}
        self.places = {}
        for partition, offset, value in final:
            self.places.setdefault((partition, value), []).append(offset)

    def report(self, anomaly, words, *values):
        assert anomaly in ANOMALIES
        self.found.setdefault(anomaly, []).append(words % values)

    def check_reads(self):
        """Every value read, whoever read it, is one, was sent there and not told to be in vain."""
        seen = {}
        everybody = dict(self.readers, final=self.final)
        for name, rows in everybody.items():
            for partition, offset, value in rows:
                first = seen.setdefault((partition, offset), value)
                if first != value:
                    self.report('inconsistent-offsets', '%d@%d: %s, and %s for %s', partition, offset, first, value, name)
        for (partition, offset), value in seen.items():
            writer, _, sent_to = self.sent.get(value, (None, None, None))
            if writer is None or sent_to != partition:
                self.report('phantom', '%d@%d: %s', partition, offset, value)
            elif value in writer.failed:
                self.report('G1a', '%d@%d: %s', partition, offset, value)
            if (partition, offset) not in self.stored:
                self.report('lost-read', '%d@%d: %s', partition, offset, value)
        return seen

    def check_acked(self, seen):
        highest = {}
        for partition, offset in seen:
            highest[partition] = max(highest.get(partition, -1), offset)
        for writer in self.writers:
            for value, offset in writer.acked.items():
                partition = writer.sent[value][1]
                places = self.places.get((partition, value), ())
                if not places:
                    beyond = highest.get(partition, -1) > offset
                    self.report('lost-write' if beyond else 'unseen', '%d@%d: %s', partition, offset, value)
                elif offset not in places:
                    self.report('wrong-offset', '%s: acknowledged at %d@%d, stored at %s', value, partition, offset, places)

    def check_order(self):
        for writer in (writer for writer in self.writers if writer.idempotent):
            last = {}
            for value, (_, partition) in sorted(writer.sent.items(), key=lambda item: item[1]):
                offset = writer.acked.get(value)
                if offset is not None:
                    if offset <= last.get(partition, -1):
                        self.report('nonmonotonic-send', '%s: at %d@%d after %d', value, partition, offset, last[partition])
                    last[partition] = offset
        last = {}
        for (partition, value), places in self.places.items():
            writer, number, _ = self.sent.get(value, (None, None, None))
            if writer is None or not writer.idempotent:
                continue
            if len(places) > 1:
                self.report('duplicate', '%s: at %d@%s', value, partition, places)
        for partition, offset, value in sorted(self.final):
            writer, number, _ = self.sent.get(value, (None, None, None))
            if writer is None or not writer.idempotent:
                continue
            before = last.get((writer.name, partition), -1)
            if number < before:
                self.report('reordered', '%s: at %d@%d after number %d', value, partition, offset, before)
            last[writer.name, partition] = max(number, before)

    def check_polls(self):
        for name, rows in dict(self.readers, final=self.final).items():
            last = {}
            for partition, offset, value in rows:
                before = last.get(partition)
                last[partition] = offset
                if before is None:
                    continue
                if offset <= before:
                    self.report('nonmonotonic-poll', '%s: %d@%d after %d', name, partition, offset, before)
                elif name == 'final':
                    for missing in range(before + 1, offset):
                        self.report('hole', '%d@%d', partition, missing)
                else:
                    for missing in range(before + 1, offset):
                        if (partition, missing) in self.stored:
                            self.report('poll-skip', '%s: %d@%d, from %d to %d', name, partition, missing, before, offset)

    def judge(self):
        seen = self.check_reads()
        self.check_acked(seen)
        self.check_order()
        self.check_polls()
        return self.found


def judge(writers, readers, final):
    """{anomaly: [words]}; empty when every promise was kept."""
    return Judge(writers, readers, final).judge()


def explain(found):
    lines = []
    for anomaly in ANOMALIES:
        words = found.get(anomaly, ())
        lines += ['%s (%d)' % (anomaly, len(words))] * bool(words) + ['    ' + word for word in words[:SHOWN]]
    return '\n'.join(lines)
