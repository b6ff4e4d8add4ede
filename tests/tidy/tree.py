"""The tree under check: its files, their text with comments and strings blanked, and its rooms."""

import os
import re

SKIPPED_DIRS = {"build", "barnabas-data", "__pycache__", "node_modules", "corpus"}
TEXT_ENDINGS = (".c", ".h", ".py", ".sh", ".cmake", ".txt", ".md", ".msg", ".ini", ".json", ".js")


class Finding:
    def __init__(self, rule, path, line, what, todo, name=""):
        self.rule = rule
        self.path = path
        self.line = line
        self.what = what
        self.todo = todo
        self.name = name

    def __str__(self):
        return f"{self.path}:{self.line}: {self.what}: {self.todo}"


def blank_comments_and_strings(text):
    """Same length and lines; what is inside comments, strings and characters becomes blanks."""
    pattern = re.compile(
        r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)

    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))

    return pattern.sub(blank, text)


class Room:
    def __init__(self, name, folder, uses, archive):
        self.name = name
        self.folder = folder
        self.uses = uses
        self.archive = archive


class Tree:
    def __init__(self, root, rooms_path=None):
        self.root = root
        self.files = sorted(self._walk())
        self._texts = {}
        self.rooms = {}
        if rooms_path is not None:
            self._read_rooms(rooms_path)

    def _walk(self):
        for folder, dirs, names in os.walk(self.root):
            inside = os.path.relpath(folder, self.root)
            dirs[:] = [d for d in dirs if d not in SKIPPED_DIRS
                       and (not d.startswith(".") or (inside == "." and d == ".ci"))]
            for name in names:
                yield os.path.normpath(os.path.join(inside, name))

    def _read_rooms(self, path):
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                if line.strip():
                    name, folder, uses, archive = line.rstrip("\n").split("|")
                    self.rooms[name] = Room(name, folder, uses.split(), archive)

    def text(self, path):
        if path not in self._texts:
            with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as f:
                self._texts[path] = f.read()
        return self._texts[path]

    def lines(self, path):
        return enumerate(self.text(path).split("\n"), 1)

    def code_lines(self, path):
        return enumerate(blank_comments_and_strings(self.text(path)).split("\n"), 1)

    def c_files(self):
        return [p for p in self.files if p.endswith((".c", ".h"))]

    def text_files(self):
        return [p for p in self.files
                if p.endswith(TEXT_ENDINGS) or p.startswith(".ci/")]

    def shell_files(self):
        for path in self.text_files():
            if path.endswith(".sh") or re.match(r"#!.*\b(ba)?sh\b", self.text(path)):
                yield path

    def rooms_of(self, path):
        """The rooms whose folder holds the path, of the deepest such folder; they may share one."""
        holding = [r for r in self.rooms.values() if path.startswith(r.folder + "/")]
        deepest = max((len(r.folder) for r in holding), default=0)
        return [r for r in holding if len(r.folder) == deepest]

    def closure(self, name):
        """A room's name and all it uses, directly or not."""
        seen = set()
        todo = [name]
        while todo:
            at = todo.pop()
            if at not in seen and at in self.rooms:
                seen.add(at)
                todo.extend(self.rooms[at].uses)
        return seen
