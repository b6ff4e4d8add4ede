"""A terminal for a test to type in and to read: tmux, on a server of its own that dies with the test."""
import atexit
import os
import re
import subprocess
import time


class Terminal:
    def __init__(self, command, columns=100, rows=30):
        self.socket = 'barnabas-%d-%x' % (os.getpid(), id(self))
        atexit.register(self.close)
        self.tmux('new-session', '-d', '-s', 'test', '-x', str(columns), '-y', str(rows), 'env LC_ALL=C.UTF-8 ' + command)
        self.tmux('set', '-s', 'escape-time', '0')

    def tmux(self, *words, check=True):
        done = subprocess.run(['tmux', '-L', self.socket, '-f', '/dev/null'] + list(words), capture_output=True, text=True)
        if check and done.returncode != 0:
            raise AssertionError('tmux %s: %s' % (' '.join(words), done.stderr))
        return done.stdout

    def keys(self, *keys):
        self.tmux('send-keys', '-t', 'test', *keys)

    def screen(self):
        return self.tmux('capture-pane', '-p', '-t', 'test')

    def expect(self, pattern, seconds=20):
        """Waits until a line of the screen matches; returns the match."""
        end = time.monotonic() + seconds
        while True:
            shown = self.screen()
            found = re.search(pattern, shown, re.MULTILINE)
            if found:
                return found
            if time.monotonic() > end:
                raise AssertionError('the screen never showed %r:\n%s' % (pattern, shown))
            time.sleep(0.05)

    def expect_gone(self, pattern, seconds=20):
        end = time.monotonic() + seconds
        while re.search(pattern, self.screen(), re.MULTILINE):
            if time.monotonic() > end:
                raise AssertionError('the screen never ceased to show %r:\n%s' % (pattern, self.screen()))
            time.sleep(0.05)

    def close(self):
        self.tmux('kill-server', check=False)
