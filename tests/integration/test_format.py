"""`barnabasd format`: a directory becomes a node's before its first start."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from cluster import BARNABASD, Broker, read

ID = 'mFZsW4_ASlaEuyGE7pJNvA'


def run(*words):
    done = subprocess.run([BARNABASD] + list(words), capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


class Format(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix='barnabas-test.')
        self.data = os.path.join(self.root, 'data')
        self.broker = None

    def tearDown(self):
        if self.broker is not None:
            self.broker.close()
        shutil.rmtree(self.root)

    def test_a_formatted_directory_is_started_as_it_is(self):
        code, out, err = run('format', '--cluster-id', ID, '--data-dir', self.data, '--set', 'node.id=7')
        self.assertEqual((code, out), (0, 'formatted for cluster %s: %s\n' % (ID, self.data)), err)
        self.assertEqual(os.listdir(self.data).count('__cluster_metadata-0'), 0)
        meta = read(os.path.join(self.data, 'meta.properties'))
        self.assertRegex(meta, r'(?m)^cluster\.id=%s$' % ID)
        self.assertRegex(meta, r'(?m)^node\.id=7$')
        directory = re.search(r'(?m)^directory\.id=(.+)$', meta).group(1)
        self.broker = Broker('node.id=7', data_dir=self.data).start()
        self.assertIn('cluster  ' + ID, self.broker.out())
        self.assertEqual(self.broker.stop(), 0)
        self.assertIn('directory.id=' + directory, read(os.path.join(self.data, 'meta.properties')))
        code, out, err = run('format', '--cluster-id', ID, '--data-dir', self.data, '--set', 'node.id=7')
        self.assertEqual((code, out), (3, ''))
        self.assertIn('formatted already, for node 7 of cluster ' + ID, err)

    def test_without_a_cluster_id_one_is_made(self):
        code, out, err = run('format', '--data-dir', self.data)
        self.assertEqual(code, 0, err)
        self.assertRegex(out, r'^formatted for cluster [A-Za-z0-9_-]{22}: ')

    def test_what_is_wrong_is_said(self):
        code, _, err = run('format', '--cluster-id', 'two words', '--data-dir', self.data)
        self.assertEqual(code, 2)
        self.assertIn('cluster.id', err)
        self.assertFalse(os.path.exists(self.data))
        code, _, err = run('format', '--cluster-id')
        self.assertEqual((code, 'barnabasd: --cluster-id needs ID\n'), (2, err))


if __name__ == '__main__':
    unittest.main()
