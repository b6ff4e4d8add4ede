#!/usr/bin/env python3
"""The schema reader: what it takes from a line, and what it says of a wrong one."""
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                '..', '..', '..', 'common', 'wire'))

import schema  # noqa: E402  (found through the line above)

HEAD = 'request a_request versions 0-3 flexible 2- key 9\n'


class Reading(unittest.TestCase):
    def parse(self, text):
        with tempfile.NamedTemporaryFile('w', suffix='.msg', delete=False) as file:
            file.write(text)
        try:
            return schema.parse(file.name)
        finally:
            os.unlink(file.name)

    def refused(self, text, line, words):
        with self.assertRaises(schema.Problem) as caught:
            self.parse(text)
        if line:
            self.assertIn('.msg:%d: ' % line, str(caught.exception))
        self.assertIn(words, str(caught.exception))

    def test_a_message(self):
        m = self.parse('# words\n\n' + HEAD.replace('key', 'unstable key') +
                       '  throttle_time_ms int32 1- default -1 ignorable # more words\n')[0]
        self.assertEqual((m.kind, m.name, m.kafka, m.key, m.unstable),
                         ('request', 'a_request', 'ARequest', 9, True))
        self.assertEqual((m.range, m.flexible), ((0, 3), (2, schema.LAST)))
        f = m.fields[0]
        self.assertEqual((f.kafka, f.type, f.range, f.default, f.ignorable, f.null, f.tag),
                         ('ThrottleTimeMs', 'int32', (1, schema.LAST), '-1', True, schema.NONE, -1))

    def test_structs(self):
        m = self.parse(HEAD + '  struct voter\n    id int32 0\n  voters []voter 0-\n'
                       '  more []voter 1-2 null 2 tag 3 2-\n  one one 0- null 0-\n    x bool 0-\n'
                       '  last uuid 0- kafka LAST flexible none\n')[0]
        self.assertEqual([f.name for f in m.fields], ['voters', 'more', 'one', 'last'])
        self.assertEqual(m.struct_order(), ['voter', 'one'])
        self.assertEqual(m.structs['voter'][0].range, (0, 0))
        self.assertEqual((m.fields[1].null, m.fields[1].tag, m.fields[1].tag_range),
                         ((2, 2), 3, (2, schema.LAST)))
        self.assertEqual([f.is_pointer() for f in m.fields], [False, False, True, False])
        self.assertEqual((m.fields[3].kafka, m.fields[3].flexible), ('LAST', schema.NONE))

    def test_wrong_lines(self):
        for text, line, words in (
                ('reqest a versions 0\n', 1, 'reqest'),
                ('request a key 3\n', 1, 'no versions'),
                ('  x int32 0-\n', 1, 'before any message'),
                (HEAD + '   x int32 0-\n', 2, 'two blanks'),
                (HEAD + '  x int32\n', 2, 'the versions of x'),
                (HEAD + '  x int32 0..3\n', 2, '0..3'),
                (HEAD + '  x int32 0- nul 0-\n', 2, 'nul'),
                (HEAD + '  x int32 0- tag\n', 2, 'the tag is missing'),
                (HEAD + '  x int32 0-\n    y int32 0-\n', 3, 'deeper'),
                (HEAD + '  x []p 0-\n    y int32 0-\n  z []p 0-\n    y int32 0-\n', 5, 'above'),
                (HEAD + '  struct string\n    y int32 0-\n', 2, 'already a type'),
                (HEAD + '  x int32 0-\n  x int64 0-\n', 0, 'field x twice'),
                (HEAD + '  x int32 0- tag 1 0-\n  y int64 0- tag 1 0-\n', 0, 'tag 1 twice'),
                (HEAD + '  x []in32 0-\n', 0, 'nothing says what in32 is'),
                (HEAD + '  x p 0-\n    y p 0-\n', 0, 'holds itself')):
            with self.subTest(text=text):
                self.refused(text, line, words)


if __name__ == '__main__':
    unittest.main()
