"""Checks between rooms: arrows go down only, and nobody reaches over a wall."""

import os
import re
import subprocess

from tree import Finding

INCLUDE = re.compile(r'\s*#\s*include\s+"([^"]+)"')
NET_USERS = ("broker/os", "console", "tests")


def check_parent_includes(tree):
    for path in tree.c_files():
        for number, line in tree.lines(path):
            match = INCLUDE.match(line)
            if match and ".." in match.group(1).split("/"):
                yield Finding("include-parent", path, number, f'"{match.group(1)}" climbs',
                              "write it from the top of the tree")


def check_arrows(tree):
    for room in tree.rooms.values():
        where = room.folder + "/CMakeLists.txt"
        for used in room.uses:
            if used in tree.rooms and room.name in tree.closure(used):
                yield Finding("cycle", where, 1, f"{room.name} uses {used}, which uses {room.name}",
                              "turn one arrow round: the lower room tells by a callback")
            folder = tree.rooms[used].folder if used in tree.rooms else ""
            if room.folder.startswith("common/") and folder and not folder.startswith("common/"):
                yield Finding("upward", where, 1, f"{room.name} uses {used} above it",
                              "arrows go down only")
            if room.folder.startswith("broker/") and folder.startswith(("console", "tests")):
                yield Finding("upward", where, 1, f"{room.name} uses {used}", "arrows go down only")
            if room.folder.startswith("console") and folder.startswith("broker/"):
                yield Finding("upward", where, 1, f"{room.name} uses {used}",
                              "the console knows brokers by the protocol only")
            if used == "net" and not room.folder.startswith(NET_USERS):
                yield Finding("upward", where, 1, f"{room.name} uses net",
                              "ask broker/env for the network")


def check_includes(tree):
    for path in tree.c_files():
        rooms = tree.rooms_of(path)
        reached = set().union(*(tree.closure(room.name) for room in rooms))
        for number, line in tree.lines(path):
            match = INCLUDE.match(line)
            if not match or ".." in match.group(1):
                continue
            included = match.group(1)
            if path.startswith("console/") and included.startswith("broker/"):
                yield Finding("include", path, number, f'"{included}" from the console',
                              "the console knows brokers by the protocol only")
                continue
            if not rooms:
                continue
            others = [other.name for other in tree.rooms_of(included)]
            if not others:
                yield Finding("include", path, number, f'"{included}" is in no room',
                              "write it from the top of the tree, or give its folder a room()")
            elif not reached.intersection(others):
                yield Finding("include", path, number,
                              f'"{included}": {rooms[0].name} does not use {others[0]}',
                              f"add {others[0]} to USES if it stands below, else turn round")


def symbols(archive):
    """(defined names, {undefined name: object}) of an archive."""
    done = subprocess.run(["nm", "-P", "-g", archive], capture_output=True, text=True, check=True)
    defined = set()
    undefined = {}
    member = ""
    for line in done.stdout.split("\n"):
        head = re.match(r".*\[(.*)\]:$", line)
        words = line.split()
        if head:
            member = head.group(1)
        elif len(words) >= 2 and words[1] in "Uvw":
            undefined.setdefault(words[0], member)
        elif len(words) >= 2:
            defined.add(words[0])
    return defined, undefined


def check_symbols(tree):
    tables = {}
    for room in tree.rooms.values():
        if not os.path.exists(room.archive):
            yield Finding("symbol", room.folder + "/CMakeLists.txt", 1,
                          f"{room.archive} is not built", "build everything, then check")
            continue
        tables[room.name] = symbols(room.archive)
    for name, (own, undefined) in sorted(tables.items()):
        closure = tree.closure(name)
        for symbol, member in sorted(undefined.items()):
            holders = [other for other, table in tables.items() if symbol in table[0]]
            if symbol not in own and holders and not closure.intersection(holders):
                source = re.sub(r"\.o$", "", member)
                yield Finding("symbol", f"{tree.rooms[name].folder}/{source}", 1,
                              f"{symbol} is in {holders[0]}, which {name} does not use",
                              f"add {holders[0]} to USES if it stands below, else turn round",
                              symbol)


CHECKS = [check_parent_includes]
ROOM_CHECKS = [check_arrows, check_includes, check_symbols]
