"""Checks of single files: their size, their words, what they call."""

import re
import subprocess
import os

from tree import Finding

FILE_LINES = 600
FUNCTION_LINES = 70
COLUMNS = 100
TOP_LEVEL = {"CMakeLists.txt", "CMakePresets.json", "README.md", "LICENSE",
             "broker", "common", "conf", "console", "tests"}
IGNORED_TOP_LEVEL = {"build", "barnabas-data"}

# Where the world may be touched: everyone else asks broker/env.
WORLD = ("broker/os/", "common/net/", "console/", "tests/")
BANNED = [
    (r"clock_gettime|gettimeofday|localtime(?:_r)?|gmtime(?:_r)?|time", "env_now_ms or env_wall_ms"),
    (r"uv_\w+", "what broker/env/env.h offers"),
    (r"rand|srand|random|srandom|drand48|arc4random|getrandom", "env_random, or base/rng.h"),
    (r"getenv|secure_getenv", "a setting"),
    (r"pthread_\w+|thrd_\w+|mtx_\w+|fork|system|popen", "a job: env_job_submit"),
    (r"open|openat|creat|fopen|freopen|fdopen|mmap|pread|pwrite|preadv|pwritev|fsync|fdatasync",
     "a job with env_fs_*"),
    (r"socket|getaddrinfo|epoll_\w+|poll|select", "env_listen, env_dial"),
    (r"sleep|usleep|nanosleep", "env_timer_set"),
]
MARKER = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")


def check_top_level(tree):
    for name in sorted(os.listdir(tree.root)):
        if name not in TOP_LEVEL | IGNORED_TOP_LEVEL and not name.startswith("."):
            yield Finding("top-level", name, 1, "does not belong to the top level",
                          "move it into a room, conf or tests")


def check_words(tree):
    for path in tree.text_files():
        is_c = path.endswith((".c", ".h"))
        for number, line in tree.lines(path):
            if line != line.rstrip() and not path.endswith(".md"):
                yield Finding("blank", path, number, "blanks at the end of the line", "remove them")
            if MARKER.search(line):
                yield Finding("marker", path, number, f"'{MARKER.search(line).group(1)}'",
                              "do it, or open an issue")
            if is_c and "\t" in line:
                yield Finding("tab", path, number, "a tab", "indent with 4 spaces")
            if is_c and len(line) > COLUMNS:
                yield Finding("columns", path, number, f"{len(line)} columns",
                              f"break the line at {COLUMNS}")


def check_file_length(tree):
    for path in tree.text_files():
        if path.endswith((".c", ".h", ".py", ".sh")):
            count = tree.text(path).count("\n")
            if count > FILE_LINES:
                yield Finding("file-length", path, count, f"{count} lines",
                              f"split it at its second idea ({FILE_LINES} at most)")


def functions(tree, path):
    """(name, first line, number of lines); a body's braces stand alone in the first column."""
    head = []
    body_from = None
    for number, line in tree.code_lines(path):
        if body_from is not None:
            if line.startswith("}"):
                signature = " ".join(text for _, text in head)
                name = re.search(r"(\w+)\s*\(", signature)
                first = head[0][0] if head else body_from
                if name:
                    yield name.group(1), first, number - first + 1
                head = []
                body_from = None
        elif line.rstrip() == "{":
            body_from = number
        elif not line.strip() or line[0] in "#}" or line.rstrip().endswith((";", ",", "{")) \
                and not line[0].isspace() and "(" not in line:
            head = []
        elif line.rstrip().endswith(";"):
            head = []
        else:
            head.append((number, line))


def check_function_length(tree):
    for path in tree.c_files():
        for name, first, count in functions(tree, path):
            if count > FUNCTION_LINES:
                yield Finding("function-length", path, first, f"{name} has {count} lines",
                              f"split it ({FUNCTION_LINES} at most)", name)


def check_extern(tree):
    for path in tree.c_files():
        if path.endswith(".c"):
            for number, line in tree.code_lines(path):
                if re.match(r"\s*extern\b", line):
                    yield Finding("extern", path, number, "extern in a .c file",
                                  "include the header that declares it")


def check_calls(tree):
    banned = [(re.compile(rf"(?<![\w.>])({names})\s*\("), instead) for names, instead in BANNED]
    for path in tree.c_files():
        if path.startswith(WORLD):
            continue
        for number, line in tree.code_lines(path):
            for pattern, instead in banned:
                for match in pattern.finditer(line):
                    yield Finding("call", path, number, f"{match.group(1)} is not for this room",
                                  f"use {instead}", match.group(1))


def check_shell(tree):
    for path in tree.shell_files():
        done = subprocess.run(["bash", "-n", os.path.join(tree.root, path)],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            first = done.stderr.strip().split("\n")[0]
            number = re.search(r"line (\d+)", first)
            yield Finding("shell", path, int(number.group(1)) if number else 1,
                          "bash cannot read it", first)


CHECKS = [check_top_level, check_words, check_file_length, check_function_length, check_extern,
          check_calls, check_shell]
