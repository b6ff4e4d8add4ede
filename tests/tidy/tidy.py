#!/usr/bin/env python3
"""Holds the tree to the ways of the house.

    tidy.py ROOT [BUILD]

BUILD is a build directory: with it the walls between rooms are checked too. Every finding is a line
"file:line: what: what to do"; the exit code is 1 when there is one. exceptions.txt names what may
stay as it is:

    RULE PATH [NAME]: the reason, in a sentence
"""

import os
import re
import sys

import checks_rooms
import checks_text
from tree import Finding, Tree

EXCEPTIONS = "tests/tidy/exceptions.txt"
MAY_BE_EXCEPTED = {"file-length", "function-length", "call", "columns"}


class Exceptions:
    def __init__(self, tree):
        self.rows = {}
        self.findings = []
        if EXCEPTIONS not in tree.files:
            return
        for number, line in tree.lines(EXCEPTIONS):
            if not line.strip() or line.startswith("#"):
                continue
            match = re.match(r"(\S+) ([^\s:]+)(?: ([^\s:]+))?: (\S+ \S+ .*\.)$", line)
            if not match or match.group(1) not in MAY_BE_EXCEPTED:
                self.findings.append(Finding(
                    "exception", EXCEPTIONS, number, "is not RULE PATH [NAME]: a reason.",
                    "rules are " + ", ".join(sorted(MAY_BE_EXCEPTED))))
                continue
            self.rows[match.group(1, 2, 3)] = [number, False]

    def holds(self, finding):
        for name in (finding.name or None, None):
            row = self.rows.get((finding.rule, finding.path, name))
            if row is not None:
                row[1] = True
                return True
        return False

    def unused(self):
        for (rule, path, name), (number, used) in self.rows.items():
            if not used:
                yield Finding("exception", EXCEPTIONS, number,
                              f"{rule} {path}{' ' + name if name else ''} is no longer needed",
                              "remove the line")


def run(root, build=None):
    tree = Tree(root, os.path.join(build, "rooms.txt") if build else None)
    checks = checks_text.CHECKS + checks_rooms.CHECKS
    if build:
        checks = checks + checks_rooms.ROOM_CHECKS
    exceptions = Exceptions(tree)
    findings = list(exceptions.findings)
    for check in checks:
        findings.extend(f for f in check(tree) if not exceptions.holds(f))
    findings.extend(exceptions.unused())
    return findings


def main():
    if len(sys.argv) not in (2, 3):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    findings = run(*sys.argv[1:])
    for finding in findings:
        print(finding)
    print(f"tidy: {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
