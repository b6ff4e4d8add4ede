"""The judge of histories finds every anomaly that is planted, that one first, and nothing in a sound history."""
import unittest

import history
from history import Writer


def lines_of(*acked):
    """Numbers from 0 on, each sent to a partition and acknowledged at an offset."""
    return ['send %d %d 0' % (i, partition) for i, (partition, _) in enumerate(acked)] + \
        ['ok %d %d %d 0' % (i, partition, offset) for i, (partition, offset) in enumerate(acked) if offset is not None]


class Planted(unittest.TestCase):
    def setUp(self):
        # Six records to two partitions; a reader who saw four, from the second on in partition 1.
        self.lines = lines_of((0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2))
        self.final = [(0, 0, 'a:0'), (0, 1, 'a:2'), (0, 2, 'a:4'), (1, 0, 'a:1'), (1, 1, 'a:3'), (1, 2, 'a:5')]
        self.reads = [(0, 0, 'a:0'), (1, 1, 'a:3'), (0, 1, 'a:2'), (1, 2, 'a:5')]
        self.idempotent = True

    def judge(self):
        return history.judge([Writer('a', self.lines, self.idempotent)], {'r': self.reads}, self.final)

    def found(self, *anomalies):
        self.assertEqual(sorted(self.judge()), sorted(anomalies))

    def test_sound(self):
        self.found()

    def test_sound_with_unknown_and_failed(self):
        self.lines += ['send 6 0 0', 'info 6 0 0 timed out', 'send 7 0 0', 'fail 7 0 0 never left']
        self.found()
        self.final.append((0, 3, 'a:6'))
        self.found()

    def test_lost_write(self):
        self.final.remove((0, 1, 'a:2'))
        self.reads.remove((0, 1, 'a:2'))
        self.found('lost-write', 'hole')

    def test_unseen(self):
        self.final.remove((0, 2, 'a:4'))
        self.found('unseen')

    def test_lost_read(self):
        self.lines += ['send 6 0 0', 'info 6 0 0 timed out']
        self.reads += [(0, 2, 'a:4'), (0, 3, 'a:6')]
        self.found('lost-read')

    def test_wrong_offset(self):
        self.lines = lines_of((0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 3))
        self.found('wrong-offset')

    def test_inconsistent_offsets(self):
        self.lines += ['send 6 0 0', 'info 6 0 0 timed out']
        self.reads[2] = (0, 1, 'a:6')
        self.found('inconsistent-offsets')

    def test_duplicate(self):
        self.final.append((0, 3, 'a:4'))
        self.found('duplicate')

    def test_duplicate_of_a_writer_who_may(self):
        self.idempotent = False
        self.final.append((0, 3, 'a:0'))
        self.found()

    def test_phantom(self):
        self.final.append((0, 3, 'b:0'))
        self.found('phantom')

    def test_phantom_of_another_partition(self):
        self.lines += ['send 6 1 0', 'info 6 1 0 timed out']
        self.final.append((0, 3, 'a:6'))
        self.found('phantom')

    def test_g1a(self):
        self.lines += ['send 6 0 0', 'fail 6 0 0 never left']
        self.final.append((0, 3, 'a:6'))
        self.found('G1a')

    def test_nonmonotonic_send(self):
        self.lines = lines_of((0, 0), (1, 0), (0, 2), (1, 1), (0, 1), (1, 2))
        self.final[1:3] = [(0, 1, 'a:4'), (0, 2, 'a:2')]
        self.reads[2] = (0, 2, 'a:2')
        self.assertIn('nonmonotonic-send', self.judge())

    def test_reordered(self):
        self.lines += ['send 6 0 0', 'send 7 0 0', 'info 6 0 0 timed out', 'info 7 0 0 timed out']
        self.final += [(0, 3, 'a:7'), (0, 4, 'a:6')]
        self.found('reordered')

    def test_nonmonotonic_poll(self):
        self.reads.append((1, 1, 'a:3'))
        self.found('nonmonotonic-poll')

    def test_poll_skip(self):
        self.reads.remove((0, 1, 'a:2'))
        self.reads.append((0, 2, 'a:4'))
        self.found('poll-skip')

    def test_hole(self):
        self.lines += ['send 6 0 0', 'info 6 0 0 timed out']
        self.final.append((0, 4, 'a:6'))
        self.found('hole')

    def test_explains(self):
        self.final.remove((0, 2, 'a:4'))
        self.assertEqual(history.explain(self.judge()), 'unseen (1)\n    0@2: a:4')


if __name__ == '__main__':
    unittest.main()
