#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Inverts one check after another and expects some test to turn red: run.py [NAME...]. TAP on stdout.

Each mutant of mutants.txt names a file, lines of it that are there exactly once, what they become, and the test
programs that must find it. Everything happens in a copy of the tree; first the tests run without any mutant."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIST = os.path.join(ROOT, "tests/mutants/mutants.txt")
VARIANT = "mutants"
SECONDS = 60


def read_list(path):
    """Blocks that begin with `mutant NAME`; lines that begin with `-` and `+` are old and new text."""
    mutants = []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            line = line.rstrip("\n")
            word, _, rest = line.partition(" ")
            if not line or word == "#":
                continue
            if word == "mutant":
                mutants.append({"name": rest, "file": None, "tests": [], "old": [], "new": []})
            elif word == "file":
                mutants[-1]["file"] = rest
            elif word == "tests":
                mutants[-1]["tests"] = rest.split()
            elif line[0] == "-":
                mutants[-1]["old"].append(line[1:])
            elif line[0] == "+":
                mutants[-1]["new"].append(line[1:])
            else:
                sys.exit(f"{path}:{number}: not understood: {line}")
    return mutants


def make(tree, targets):
    command = ["make", "-s", f"-j{os.cpu_count()}", f"VARIANT={VARIANT}", "CFLAGS=-Wno-error"]
    command += [f"build/{VARIANT}/tests/{t}" for t in targets]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    return done.returncode == 0, done.stdout + done.stderr


def stop(run):
    """With its children, of its own group."""
    try:
        os.killpg(run.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def is_red(tree, test):
    """True, and why, with the first failure, which may come long before the end; one that hangs has found something
    too."""
    env = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP")
    with subprocess.Popen([f"build/{VARIANT}/tests/{test}"], cwd=tree, env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, errors="replace", start_new_session=True) as run:
        late = threading.Timer(SECONDS, stop, [run])
        late.start()
        first = next((line.rstrip() for line in run.stdout if line.startswith("not ok")), None)
        is_late = not late.is_alive()
        late.cancel()
        if first or is_late:
            stop(run)
            return True, f"{test}: {first or 'no end'}"
    return run.returncode != 0, f"{test}: exit {run.returncode}" if run.returncode else ""


def mutate(tree, mutant):
    """The file's text before; None: the lines are not there exactly once."""
    path = os.path.join(tree, mutant["file"])
    with open(path, encoding="utf-8") as f:
        text = f.read()
    old, new = "\n".join(mutant["old"]) + "\n", "\n".join(mutant["new"]) + "\n" if mutant["new"] else ""
    if text.count(old) != 1:
        return None
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace(old, new))
    return text


def restore(tree, mutant, text):
    with open(os.path.join(tree, mutant["file"]), "w", encoding="utf-8") as f:
        f.write(text)


def try_one(tree, mutant):
    """Whether it was found, and a word about it."""
    text = mutate(tree, mutant)
    if text is None:
        return False, f"its lines are not in {mutant['file']} exactly once"
    try:
        built, said = make(tree, mutant["tests"])
        if not built:
            return False, "does not build: " + said.strip().splitlines()[-1]
        for test in mutant["tests"]:
            red, why = is_red(tree, test)
            if red:
                return True, why
        return False, "no test turned red: " + " ".join(mutant["tests"])
    finally:
        restore(tree, mutant, text)


def copy_tree():
    """Without what was built, in a fresh folder."""
    tree = tempfile.mkdtemp(prefix="mycelium-mutants-")
    shutil.copytree(ROOT, tree, dirs_exist_ok=True, symlinks=True, ignore=shutil.ignore_patterns("build", ".git"))
    return tree


def main():
    mutants = [m for m in read_list(LIST) if not sys.argv[1:] or m["name"] in sys.argv[1:]]
    if not mutants:
        sys.exit("no such mutant")
    tree = copy_tree()
    bad = 0
    try:
        tests = sorted({t for m in mutants for t in m["tests"]})
        built, said = make(tree, tests)
        if not built:
            sys.exit(said)
        red = [why for red, why in (is_red(tree, t) for t in tests) if red]
        print(f"1..{len(mutants) + 1}")
        print(f"{'not ok' if red else 'ok'} 1 - without a mutant all is green {' '.join(red)}", flush=True)
        bad += len(red)
        for number, mutant in enumerate(mutants, 2):
            found, why = try_one(tree, mutant)
            bad += not found
            print(f"{'ok' if found else 'not ok'} {number} - {mutant['name']} ({why})", flush=True)
    finally:
        shutil.rmtree(tree)
    print(f"# {len(mutants)} mutants, {bad} not found")
    sys.exit(1 if bad else 0)


main()
