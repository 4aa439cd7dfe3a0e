#!/usr/bin/env python3
"""Checks the rules of the house that no compiler knows.

    lint.py [--fix] [TREE]

An error each: an include that goes upward or names no floor, a library used outside its door, wire/ seeing a socket,
a clock, a file or a thread, headers in a circle, a file that no Makefile.inc lists, a file that does not say what it
owns, a line with trailing blanks or spaces for tabs.  A warning: a file of more than 700 lines.
--fix adds the files that are not listed to their lists.
"""

import re
import sys
from pathlib import Path

FLOORS = ["base", "wire", "net", "config", "cluster", "guard", "proxy", "control", "demo", "ctl"]
LIMIT_LINES = 700

# A library, where its door is, and what it is known by.
DOORS = [
    ("liburing", re.compile(r"^(liburing|linux/io_uring)"), ["net/"]),
    ("c-ares", re.compile(r"^ares"), ["net/"]),
    ("libyaml", re.compile(r"^yaml\.h$"), ["config/"]),
    ("PCRE2", re.compile(r"^pcre2"), ["base/regex."]),
    ("OpenSSL", re.compile(r"^openssl/"), ["net/", "base/digest.", "base/signature."]),
    ("xxHash", re.compile(r"^xxh"), ["base/hash."]),
    ("zlib", re.compile(r"^zlib\.h$"), ["wire/zip."]),
    ("nghttp2", re.compile(r"^nghttp2"), ["wire/"]),
    ("jansson", re.compile(r"^jansson"), ["control/", "guard/", "ctl/"]),
]

# What a codec must not see: sockets, clocks, files, threads.
NOT_IN_WIRE = re.compile(
    r"^(sys/(socket|un|uio|epoll|eventfd|timerfd|time|times|stat|mman|file|ioctl|sendfile|signalfd)|netinet/.*|net/.*"
    r"|arpa/.*|netdb|poll|time|fcntl|unistd|dirent|pthread|threads|stdatomic|signal|stdio|stdio_ext|sched)\.h$"
)

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


class Lint:
    def __init__(self, tree):
        self.tree = tree
        self.errors = 0
        self.warnings = 0
        self.headers = {}  # "floor/room.h" -> the headers of the house it includes

    def error(self, path, line, text):
        self.errors += 1
        print(f"{path}:{line}: {text}")

    def warn(self, path, line, text):
        self.warnings += 1
        print(f"{path}:{line}: warning: {text}")

    def sources(self):
        return sorted(p for p in (self.tree / "src").rglob("*.[ch]"))

    def run(self):
        for path in self.sources():
            self.check_source(path)
        for path in sorted((self.tree / "tests").rglob("*.[ch]")):
            if "node_modules" not in path.parts:
                self.check_text(path.relative_to(self.tree), path.read_text())
        self.check_circles()
        self.check_listed()
        self.check_tests_listed()
        return self.errors

    def check_source(self, path):
        rel = path.relative_to(self.tree)
        room = path.relative_to(self.tree / "src").as_posix()
        text = path.read_text()
        floor = room.split("/")[0] if "/" in room else None
        first = True

        self.check_text(rel, text)
        if floor is not None and floor not in FLOORS:
            self.error(rel, 1, f"{floor}/ is no floor")
            return
        mine = self.headers.setdefault(room, [])
        for m in INCLUDE.finditer(text):
            line = text.count("\n", 0, m.start()) + 1
            name = m.group(2)
            if m.group(1) == '"':
                self.check_own_include(rel, line, floor, name)
                mine.append(name)
                if first and room.endswith(".c") and (path.with_suffix(".h")).exists():
                    own = room[:-2] + ".h"
                    if name != own:
                        self.error(rel, line, f'its own header comes first: #include "{own}"')
            else:
                self.check_library(rel, line, room, name)
            first = False

    def check_own_include(self, rel, line, floor, name):
        above = name.split("/")[0]
        if "/" not in name or above not in FLOORS:
            self.error(rel, line, f'"{name}" names no floor: "floor/room.h"')
        elif not (self.tree / "src" / name).exists():
            self.error(rel, line, f"there is no src/{name}")
        elif floor is not None and FLOORS.index(above) > FLOORS.index(floor):
            self.error(rel, line, f"{floor}/ may not know {above}/, which stands above it")

    def check_library(self, rel, line, room, name):
        for library, pattern, doors in DOORS:
            if pattern.match(name) and room != "main.c" and not any(room.startswith(d) for d in doors):
                self.error(rel, line, f"<{name}>: {library} has its door in {' and '.join(doors)}")
        if room.startswith("wire/") and NOT_IN_WIRE.match(name):
            self.error(rel, line, f"<{name}>: wire/ sees no socket, clock, file or thread")

    def check_text(self, rel, text):
        lines = text.split("\n")

        has_header = rel.suffix == ".c" and (self.tree / rel).with_suffix(".h").exists()
        if rel.parts[0] == "src" and not text.startswith("/*") and not has_header:
            self.error(rel, 1, "a file opens with a comment that says what it owns")
        if text and not text.endswith("\n"):
            self.error(rel, len(lines), "the last line has no end")
        for n, line in enumerate(lines, 1):
            if line.rstrip() != line:
                self.error(rel, n, "blanks at the end of the line")
            if line.startswith("        ") and line.strip(" \\"):
                self.error(rel, n, "indented by spaces")
        if len(lines) > LIMIT_LINES:
            self.warn(rel, LIMIT_LINES, f"{len(lines)} lines: past {LIMIT_LINES} it is two things")

    def check_circles(self):
        done = set()
        for start in sorted(h for h in self.headers if h.endswith(".h")):
            self.walk(start, [], done)

    def walk(self, header, way, done):
        if header in way:
            circle = " -> ".join(way[way.index(header) :] + [header])
            self.error(f"src/{header}", 1, f"headers in a circle: {circle}")
            return
        if header in done:
            return
        for next_header in self.headers.get(header, []):
            self.walk(next_header, way + [header], done)
        done.add(header)

    def check_listed(self):
        for floor in FLOORS:
            fragment = self.tree / "src" / floor / "Makefile.inc"
            rel = fragment.relative_to(self.tree)
            listed = set(re.findall(r"src/[a-z]+/[A-Za-z0-9_]+\.[ch]", fragment.read_text()))
            here = {p.relative_to(self.tree).as_posix() for p in fragment.parent.glob("*.[ch]")}
            for name in sorted(here - listed):
                self.error(rel, 1, f"{name} is not listed")
            for name in sorted(listed - here):
                self.error(rel, 1, f"{name} is listed, but not there")

    def check_tests_listed(self):
        unit = (self.tree / "tests/unit/Makefile.inc").read_text()
        fuzz = (self.tree / "tests/fuzz/Makefile.inc").read_text()
        for path in sorted((self.tree / "tests/unit").glob("*.c")):
            if re.search(rf"tests/unit/{path.stem}\b", unit) is None:
                self.error(path.relative_to(self.tree), 1, "is not listed in tests/unit/Makefile.inc")
        for path in sorted((self.tree / "tests/fuzz").glob("fuzz_*.c")):
            name = path.stem
            if re.search(rf"tests/fuzz/{name}\b", fuzz) is None:
                self.error(path.relative_to(self.tree), 1, "is not listed in tests/fuzz/Makefile.inc")
            corpus = self.tree / "tests/fuzz/corpus" / name[len("fuzz_") :]
            if not corpus.is_dir() or not any(corpus.iterdir()):
                self.error(path.relative_to(self.tree), 1, f"has no seeds in tests/fuzz/corpus/{corpus.name}/")


def fragment_fix(tree, floor):
    fragment = tree / "src" / floor / "Makefile.inc"
    text = fragment.read_text()
    variable = f"src_libhf_{floor}_a_SOURCES"
    here = sorted(p.relative_to(tree).as_posix() for p in fragment.parent.glob("*.[ch]"))
    fresh = f"{variable} =" + "".join(f" \\\n\t{name}" for name in here) + "\n"
    fixed = re.sub(rf"^{variable} =(.*\\\n)*.*\n", lambda m: fresh, text, flags=re.M)
    if fixed != text:
        fragment.write_text(fixed)
        print(f"{fragment.relative_to(tree)}: lists what is there")


def tests_fix(tree):
    for folder, pattern, suffix in (("unit", "*.c", "tests"), ("fuzz", "fuzz_*.c", "fuzzers")):
        fragment = tree / "tests" / folder / "Makefile.inc"
        text = fragment.read_text()
        floors = {}
        for path in sorted((tree / "tests" / folder).glob(pattern)):
            name = f"tests/{folder}/{path.stem}"
            if re.search(rf"{name}\b", text) is not None or "main(" not in path.read_text() and folder == "unit":
                continue
            if folder == "unit":
                floor = path.stem.split("_")[0]
            else:
                used = [m.split("/")[0] for _, m in INCLUDE.findall(path.read_text()) if "/" in m]
                floor = max((f for f in used if f in FLOORS), key=FLOORS.index, default="base")
            floors.setdefault(floor, []).append(name)
        for floor, names in floors.items():
            found = re.search(rf"^{floor}_{suffix} =((?:.*\\\n)*.*)\n", text, flags=re.M)
            if found is None:
                print(f"{names}: which list is theirs?")
                continue
            names = sorted(set(re.findall(rf"tests/{folder}/\w+", found.group(1)) + names))
            fresh = f"{floor}_{suffix} =" + "".join(f" \\\n\t{name}" for name in names) + "\n"
            text = text[: found.start()] + fresh + text[found.end() :]
            fragment.write_text(text)
            print(f"{fragment.relative_to(tree)}: {floor}_{suffix} lists what is there")


def main():
    args = [a for a in sys.argv[1:] if a != "--fix"]
    tree = Path(args[0] if args else Path(__file__).resolve().parent.parent)

    if "--fix" in sys.argv:
        for floor in FLOORS:
            fragment_fix(tree, floor)
        tests_fix(tree)
    lint = Lint(tree)
    lint.run()
    print(f"lint: {lint.errors} errors, {lint.warnings} warnings")
    return 1 if lint.errors else 0


if __name__ == "__main__":
    sys.exit(main())
