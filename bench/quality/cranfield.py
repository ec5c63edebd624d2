#!/usr/bin/python3
"""Retrieval on the Cranfield collection: a model of ours beside BM25, through the command line in bulk.

    bench/quality/cranfield.py build/garrison FOLDER [--model M] [--dtype D] [--reranker R] [--top 20]

FOLDER holds cran.all.1400, cran.qry and cranqrel, as they are distributed. Documents are title and text.
cranqrel numbers the queries by their order in cran.qry (1..225), not by their .I numbers; its grades run from
1 (a complete answer) to 4 (minimum interest), -1 and 5 mean none. The gain of a grade g is 5 - g, and every grade
from 1 to 4 counts as relevant for recall and MAP. Queries without a relevant document are left out.
"""

import argparse
import collections
import json
import math
import pathlib
import re
import struct
import subprocess
import tempfile
import time

K1, B = 1.2, 0.75
STOP_WORDS = frozenset("""a about after all also an and any are as at be been but by can could do does for from had has have
how if in into is it its may more most no not of on or other out so some such than that the their then there these they
this to was were what when where which will with would""".split())
DEPTH = 1400


def records(path):
    """{field: text} of each entry of a file in the collection's form."""
    entries, field = [], None
    for line in path.read_text(encoding="latin-1").splitlines():
        if line.startswith(".I"):
            entries.append(collections.defaultdict(str))
            field = None
        elif re.fullmatch(r"\.[TABW]", line):
            field = line[1]
        elif field:
            entries[-1][field] += line + " "
    return entries


def load(folder):
    documents = []
    for entry in records(folder / "cran.all.1400"):
        title, text = " ".join(entry["T"].split()), " ".join(entry["W"].split())
        # Most texts begin with their title.
        documents.append(text if text.startswith(title) else f"{title} {text}".strip())
    queries = [" ".join(entry["W"].split()) for entry in records(folder / "cran.qry")]
    gains = collections.defaultdict(dict)
    for line in (folder / "cranqrel").read_text(encoding="ascii").splitlines():
        query, document, grade = (int(x) for x in line.split())
        if 1 <= grade <= 4:
            gains[query - 1][document - 1] = 5 - grade
    return documents, queries, gains


def words(text):
    return [word for word in re.findall(r"[a-z0-9]+", text.lower()) if word not in STOP_WORDS]


def bm25(documents, queries):
    """Rankings by Okapi BM25 with idf = ln(1 + (N - n + 0.5) / (n + 0.5)); no stemming."""
    counts = [collections.Counter(words(text)) for text in documents]
    lengths = [sum(count.values()) for count in counts]
    mean = sum(lengths) / len(lengths)
    postings = collections.defaultdict(list)
    for i, count in enumerate(counts):
        for word, times in count.items():
            postings[word].append((i, times))
    rankings = []
    for query in queries:
        scores = [0.0] * len(documents)
        for word in words(query):
            found = postings.get(word, ())
            idf = math.log(1 + (len(documents) - len(found) + 0.5) / (len(found) + 0.5))
            for i, times in found:
                scores[i] += idf * times * (K1 + 1) / (times + K1 * (1 - B + B * lengths[i] / mean))
        rankings.append(sorted(range(len(documents)), key=lambda i: (-scores[i], i))[:DEPTH])
    return rankings


def read_npy(path):
    content = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack("<H", content[8:10])
    rows, columns = (int(x) for x in re.search(rb"\((\d+), (\d+)\)", content[10:10 + length]).groups())
    return [struct.unpack_from(f"<{columns}f", content, 10 + length + 4 * columns * i) for i in range(rows)]


def embed(arguments, texts, folder, name, prompt):
    """Vectors of the texts. An empty one gets zeros: it is found by nobody."""
    source, output = folder / f"{name}.jsonl", folder / f"{name}.npy"
    filled = [i for i, text in enumerate(texts) if text]
    source.write_text("".join(json.dumps({"text": texts[i]}) + "\n" for i in filled), encoding="utf-8")
    start = time.monotonic()
    subprocess.run([*arguments, "--input", source, "--output", output, *(["--prompt", prompt] if prompt else [])],
                   check=True)
    took = time.monotonic() - start
    rows = read_npy(output)
    vectors = [(0.0,) * len(rows[0])] * len(texts)
    for i, row in zip(filled, rows):
        vectors[i] = row
    return vectors, took


def by_cosine(documents, queries):
    rankings = []
    for query in queries:
        scores = [sum(map(float.__mul__, query, document)) for document in documents]
        rankings.append(sorted(range(len(documents)), key=lambda i: (-scores[i], i))[:DEPTH])
    return rankings


def rerank(arguments, documents, queries, rankings, top, folder):
    source = folder / "rerank.jsonl"
    candidates = [[i for i in ranking[:top] if documents[i]] for ranking in rankings]
    source.write_text("".join(json.dumps({"query": query, "documents": [documents[i] for i in chosen]}) + "\n"
                              for query, chosen in zip(queries, candidates)), encoding="utf-8")
    done = subprocess.run([*arguments, "--input", source], stdout=subprocess.PIPE, text=True, check=True)
    improved = []
    for line, chosen, ranking in zip(done.stdout.splitlines(), candidates, rankings, strict=True):
        first = [chosen[result["index"]] for result in json.loads(line)["results"]]
        improved.append(first + [i for i in ranking if i not in set(first)])
    return improved


def measure(rankings, gains):
    """(nDCG@10, recall@100, MAP), means over the queries that have relevant documents."""
    sums = [0.0, 0.0, 0.0]
    for query, gain in gains.items():
        ranking = rankings[query]
        ideal = sorted(gain.values(), reverse=True)[:10]
        dcg = sum(gain.get(i, 0) / math.log2(rank + 2) for rank, i in enumerate(ranking[:10]))
        sums[0] += dcg / sum(value / math.log2(rank + 2) for rank, value in enumerate(ideal))
        sums[1] += sum(i in gain for i in ranking[:100]) / len(gain)
        found = 0
        for rank, i in enumerate(ranking):
            if i in gain:
                found += 1
                sums[2] += found / (rank + 1) / len(gain)
    return [total / len(gains) for total in sums]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--model", default="builtin:lexical")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--query-prompt", default="", help="name of the model's prompt for queries")
    parser.add_argument("--document-prompt", default="", help="name of the model's prompt for documents")
    parser.add_argument("--reranker", help="model folder that ranks the first --top again")
    parser.add_argument("--top", type=int, default=20)
    options = parser.parse_args()

    documents, queries, gains = load(options.folder)
    rows = [("BM25", bm25(documents, queries))]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        arguments = [options.binary, "embed", "--model", options.model, "--dtype", options.dtype,
                     "--long-input", "truncate"]
        document_rows, took = embed(arguments, documents, folder, "documents", options.document_prompt)
        query_rows, _ = embed(arguments, queries, folder, "queries", options.query_prompt)
        rows.append((options.model, by_cosine(document_rows, query_rows)))
        if options.reranker:
            again = [options.binary, "rerank", "--model", options.reranker, "--dtype", options.dtype,
                     "--long-input", "truncate"]
            for first, rankings in list(rows):
                rows.append((f"{first}, first {options.top} by {options.reranker}",
                             rerank(again, documents, queries, rankings, options.top, folder)))

    print(f"{len(documents)} documents, {len(gains)} queries, {sum(map(len, gains.values()))} judgements; "
          f"documents embedded in {took:.1f} s; BM25 k1 {K1}, b {B}, {len(STOP_WORDS)} stop words, no stemming\n")
    print("| | nDCG@10 | recall@100 | MAP |\n|---|---|---|---|")
    for label, rankings in rows:
        print("| {} | {:.3f} | {:.3f} | {:.3f} |".format(label, *measure(rankings, gains)))


if __name__ == "__main__":
    main()
