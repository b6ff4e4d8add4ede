#!/usr/bin/env python3
"""Plants each violation in a small tree and sees tidy.py find it, once and in the right place."""

import os
import subprocess
import tempfile
import unittest

import tidy

SOUND_C = '#include "common/low/low.h"\n\nint low_answer(void)\n{\n    return 42;\n}\n'
HIGH_C = ('#include "broker/high/high.h"\n\n#include "common/low/low.h"\n\n'
          'int high_answer(void)\n{\n    return low_answer();\n}\n')


def header(name):
    return f"int {name}_answer(void);\n"


class Planted(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = os.path.join(self.folder.name, "tree")
        self.build = os.path.join(self.folder.name, "out")
        os.makedirs(self.build)
        self.rooms = {"low": ("common/low", ""), "high": ("broker/high", "low"),
                      "side": ("broker/side", "low")}
        self.write("common/low/low.h", header("low"))
        self.write("common/low/low.c", SOUND_C)
        self.write("broker/high/high.h", header("high"))
        self.write("broker/high/high.c", HIGH_C)
        self.write("broker/side/side.h", header("side"))
        self.write("broker/side/side.c", "int side_answer(void);\nint side_answer(void)\n"
                                         "{\n    return 1;\n}\n")
        self.write("tests/tidy/exceptions.txt", "# none\n")

    def tearDown(self):
        self.folder.cleanup()

    def write(self, path, text):
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)

    def add(self, path, text):
        with open(os.path.join(self.root, path), encoding="utf-8") as f:
            self.write(path, f.read() + text)

    def compile(self):
        for name, (folder, _) in self.rooms.items():
            source = os.path.join(self.root, folder, name + ".c")
            made = os.path.join(self.build, name + ".c.o")
            subprocess.run(["cc", "-I", self.root, "-c", source, "-o", made], check=True)
            subprocess.run(["ar", "rc", os.path.join(self.build, f"lib{name}.a"), made],
                           check=True)

    def found(self):
        with open(os.path.join(self.build, "rooms.txt"), "w", encoding="utf-8") as f:
            for name, (folder, uses) in self.rooms.items():
                f.write(f"{name}|{folder}|{uses}|{self.build}/lib{name}.a\n")
        self.compile()
        return [(f.rule, f.path, f.line) for f in tidy.run(self.root, self.build)]

    def expect(self, *findings):
        self.assertEqual(sorted(self.found()), sorted(findings))

    def test_sound_tree(self):
        self.expect()

    def test_parent_include(self):
        self.add("broker/high/high.c", '#include "../side/side.h"\n')
        self.expect(("include-parent", "broker/high/high.c", 9))

    def test_extern(self):
        self.add("broker/high/high.c", "extern int somewhere;\n/* extern is a word here */\n")
        self.expect(("extern", "broker/high/high.c", 9))

    def test_file_length(self):
        self.add("common/low/low.h", "/* more */\n" * 600)
        self.expect(("file-length", "common/low/low.h", 601))

    def long_function(self, lines):
        return "static int longer(int x)\n{\n" + "    x++;\n" * (lines - 4) + "    return x;\n}\n"

    def test_function_length(self):
        self.add("common/low/low.c", self.long_function(70))
        self.expect()
        self.add("common/low/low.c", self.long_function(71).replace("longer", "longest"))
        self.expect(("function-length", "common/low/low.c", 77))

    def test_exceptions(self):
        self.add("common/low/low.c", self.long_function(71))
        row = "function-length common/low/low.c longer: it is one table of cases.\n"
        self.write("tests/tidy/exceptions.txt", row)
        self.expect()
        self.write("common/low/low.c", SOUND_C)
        self.expect(("exception", "tests/tidy/exceptions.txt", 1))
        self.write("tests/tidy/exceptions.txt", "extern common/low/low.c: because we want it.\n")
        self.expect(("exception", "tests/tidy/exceptions.txt", 1))
        self.write("tests/tidy/exceptions.txt", "call common/low/low.c time: because\n")
        self.expect(("exception", "tests/tidy/exceptions.txt", 1))

    def test_calls(self):
        calls = ["time(0)", "clock_gettime (0, 0)", "getenv(0)", "uv_run(0, 0)", "rand()",
                 "open(0, 0)", "fopen(0, 0)", "pthread_create(0, 0, 0, 0)", "usleep(1)"]
        text = "".join(f"#if 0\n{call};\n#endif\n" for call in calls)
        self.add("broker/high/high.c", text)
        self.expect(*[("call", "broker/high/high.c", 10 + 3 * i) for i in range(len(calls))])

    def test_calls_that_are_none(self):
        self.add("broker/high/high.c", "#if 0\nops->open(1); x.time(2); env_open(3); /* time(4) */"
                                       '\n"getenv(5)"; reopen(6);\n#endif\n')
        self.write("broker/os/os.c", "#if 0\ntime(0);\n#endif\n")
        self.expect()

    def test_words(self):
        self.add("common/low/low.h", "/* TO" "DO: later */\n\tint tabbed;\nint blank; \n"
                 + "/* " + "w" * 95 + " */\n" + "/* " + "w" * 94 + " */\n")
        where = "common/low/low.h"
        self.expect(("marker", where, 2), ("tab", where, 3), ("blank", where, 4),
                    ("columns", where, 5))

    def test_shell(self):
        self.write("conf/good.sh", "#!/bin/bash\nif true; then echo yes; fi\n")
        self.write("conf/bad.sh", "#!/bin/bash\necho start\nif true; then echo yes\n")
        self.write(".ci/run", "#!/usr/bin/env bash\ncase x in\n")
        self.expect(("shell", "conf/bad.sh", 4), ("shell", ".ci/run", 3))

    def test_top_level(self):
        self.write("notes.txt", "x\n")
        self.expect(("top-level", "notes.txt", 1))

    def test_include_beside_uses(self):
        self.add("broker/high/high.c", '#include "broker/side/side.h"\n')
        self.expect(("include", "broker/high/high.c", 9))

    def test_rooms_that_share_a_folder(self):
        self.rooms["twin"] = ("broker/high", "low side")
        self.write("broker/high/twin.c", '#include "broker/side/side.h"\n')
        self.expect()

    def test_include_of_nowhere(self):
        self.add("broker/high/high.c", '#if 0\n#include "high.h"\n#endif\n')
        self.expect(("include", "broker/high/high.c", 10))

    def test_console_reaches_into_broker(self):
        self.write("console/main.c", '#include "broker/high/high.h"\n')
        self.expect(("include", "console/main.c", 1))

    def test_symbol_over_the_wall(self):
        self.add("broker/high/high.c", "int side_answer(void);\nint high_reach(void);\n"
                                       "int high_reach(void)\n{\n    return side_answer();\n}\n")
        self.expect(("symbol", "broker/high/high.c", 1))

    def test_arrows(self):
        self.rooms["low"] = ("common/low", "high")
        self.expect(("cycle", "common/low/CMakeLists.txt", 1),
                    ("cycle", "broker/high/CMakeLists.txt", 1),
                    ("upward", "common/low/CMakeLists.txt", 1))


if __name__ == "__main__":
    unittest.main()
