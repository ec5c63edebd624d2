#!/usr/bin/python3
"""Fails when a source file includes what its module may not, or links what it does not include.

The rules are in layers.toml beside this file. Tests (x_test.cc, x_fuzz.cc, test_*.h) may also use the
test libraries; they keep to their module's layers like everything else.
"""

import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
USES = re.compile(r"garrison_module\((\w+).*?USES([^A-Z]*)", re.S)


def problems(root: pathlib.Path, rules: dict) -> list[str]:
    found = []
    modules = rules["modules"]
    source = root / "src"
    for folder in sorted(p for p in source.iterdir() if p.is_dir()):
        if folder.name not in modules:
            found.append(f"src/{folder.name}: not listed in tools/layers.toml")
            continue
        allowed = {folder.name, *modules[folder.name]}
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".h", ".cc"):
                found += file_problems(path, path.relative_to(root), folder.name, allowed, rules)
        found += link_problems(folder / "CMakeLists.txt", root, folder.name, allowed)
    for module, uses in modules.items():
        known = list(modules)
        for used in uses:
            if known.index(used) >= known.index(module):
                found.append(f"tools/layers.toml: {module} uses {used}, which is not below it")
    return found


def file_problems(path, name, module, allowed, rules):
    is_test = path.stem.endswith(("_test", "_fuzz")) or path.name.startswith("test_")
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quote, header = match.groups()
        if quote == '"':
            if header.split("/")[0] not in allowed:
                yield f'{name}:{number}: {module} may not include "{header}"'
            continue
        for prefix, owners in rules["third_party"].items():
            if not header.startswith(prefix):
                continue
            if "*" in owners or module in owners or (is_test and "test" in owners):
                break
            yield f"{name}:{number}: <{header}> belongs to {', '.join(owners)}, not to {module}"
            break
        else:
            if "/" in header and not header.startswith(("sys/", "netinet/", "arpa/")):
                yield f"{name}:{number}: <{header}> is not listed in tools/layers.toml"


def link_problems(path, root, module, allowed):
    match = USES.search(path.read_text(encoding="utf-8"))
    linked = set(match.group(2).split()) if match else set()
    for extra in sorted(linked - allowed):
        yield f"{path.relative_to(root)}: {module} may not link {extra}"


def main() -> int:
    rules = tomllib.loads((ROOT / "tools" / "layers.toml").read_text(encoding="utf-8"))
    found = problems(ROOT, rules)
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
