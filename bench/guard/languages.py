#!/usr/bin/python3
"""Which languages the guard calls "not calibrated", by the texts of the gettext catalogues that a machine happens to have.

    bench/guard/languages.py build/garrison [--guard guard.json] [--locales /usr/share/locale] [--texts 400]

Prints a Markdown table: of texts of 60 to 2,000 bytes in each language that is written in Latin letters, the share that is
called foreign, by length. For English, the catalogues' own source texts, it is the share that is called so by mistake.
"""

import argparse
import gettext
import json
import pathlib
import random
import re
import subprocess
import sys

LENGTHS = [(60, 120), (121, 300), (301, 2000)]


def messages(folder):
    """(source, translation) of every catalogue of one language."""
    for path in sorted(folder.glob("LC_MESSAGES/*.mo")):
        try:
            with open(path, "rb") as file:
                catalogue = gettext.GNUTranslations(file)._catalog
        except (OSError, ValueError, LookupError):
            continue
        yield from ((k, v) for k, v in catalogue.items() if isinstance(k, str) and isinstance(v, str) and k and k != v)


def prose(text):
    """Sentences rather than formats: mostly letters of the Latin script."""
    letters = sum(c.isalpha() and ord(c) < 0x250 or 0x1E00 <= ord(c) < 0x1F00 for c in text)
    return LENGTHS[0][0] <= len(text.encode()) <= LENGTHS[-1][1] and letters > 0.7 * len(text)


def sample(texts, count):
    texts = sorted(set(filter(prose, texts)))
    random.Random(1).shuffle(texts)
    return texts[:count]


def foreign(binary, guard, texts):
    """Whether each text is answered "not calibrated"."""
    rows = "".join(json.dumps({"id": str(i), "turns": [{"user": text}]}) + "\n" for i, text in enumerate(texts))
    command = [binary, "guard", "score", *(["--guard", guard] if guard else []), "--input", "-"]
    run = subprocess.run(command, input=rows, capture_output=True, text=True, check=True)
    return [not json.loads(line)["turns"][0]["calibrated"] for line in run.stdout.splitlines()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--guard")
    parser.add_argument("--locales", default="/usr/share/locale", type=pathlib.Path)
    parser.add_argument("--texts", default=400, type=int)
    options = parser.parse_args()
    languages, english = {}, []
    for folder in sorted(options.locales.iterdir()):
        if not re.fullmatch("[a-z]{2,3}", folder.name) or folder.name == "en":
            continue
        pairs = list(messages(folder))
        texts = sample((translation for _, translation in pairs), options.texts)
        if len(texts) >= options.texts // 2:
            languages[folder.name] = texts
            english += [source for source, _ in pairs]
    if not languages:
        sys.exit(f"expected gettext catalogues below {options.locales}, found none; apt-get install some package with translations")
    print("| language | texts | called foreign |" + "".join(f" {a} to {b} bytes |" for a, b in LENGTHS))
    print("|---|---|---|" + "---|" * len(LENGTHS))
    for name, texts in {"en": sample(english, options.texts), **languages}.items():
        called = foreign(options.binary, options.guard, texts)
        cells = [f"{name}", f"{len(texts)}", f"{sum(called) / len(texts):.1%}"]
        for low, high in LENGTHS:
            some = [c for c, text in zip(called, texts) if low <= len(text.encode()) <= high]
            cells.append(f"{sum(some) / len(some):.0%} of {len(some)}" if some else "-")
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
