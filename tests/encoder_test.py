#!/usr/bin/env python3
"""Model folders through the real binary, against tests/reference_encoder.py: every family, head, pooling and
dtype, every instruction set of the machine, long inputs, prompts, and what a damaged folder answers.

encoder_test.py GARRISON_BINARY [unittest arguments]"""
import concurrent.futures
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import numpy as np

import service as running
from reference_encoder import ReferenceModel, pool, unit, write_json, write_safetensors

BINARY = ""
KINDS = ["bert", "distilbert", "mpnet", "roberta", "xlm-roberta"]
MODES = {"cls": "cls_token", "max": "max_tokens", "mean": "mean_tokens", "mean_sqrt_len": "mean_sqrt_len_tokens",
         "weightedmean": "weightedmean_tokens", "lasttoken": "lasttoken"}
F32_BOUND = 1e-5
# Layers of fewer than 128 inputs are computed in f32 whatever is asked.
REDUCED_SIZES = {"hidden": 132, "heads": 3, "ffn": 150}
# Vocabulary of the text tests: WordPiece.
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "sat", "on", "the", "mat", "query", ":", "dog",
         "##s", "ran", "far", "away", ".", "b"]


def run(arguments, lines=None, isa="", check=True):
    env = dict(os.environ, GARRISON_ISA=isa) if isa else dict(os.environ)
    text = None if lines is None else "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run([BINARY, *arguments, *(["--input", "-"] if lines is not None else [])], input=text,
                          capture_output=True, text=True, env=env, timeout=300)
    if check and done.returncode != 0:
        raise AssertionError(f"{arguments}: exit {done.returncode}: {done.stderr[:2000]}")
    return done


def rows(arguments, lines, **more):
    return [json.loads(line) for line in run(arguments, lines, **more).stdout.splitlines()]


def isas():
    """The levels this machine can run: a level it lacks is refused."""
    names = ["baseline", "avx2", "avx512", "avx512-vnni", "amx", "neon"]
    return [n for n in names if run(["similarity", "a", "b"], isa=n, check=False).returncode == 0
            and run(["embed", "--model", PROBE, "--dtype", "f32"], [{"ids": [5]}], isa=n, check=False).returncode == 0]


PROBE = ""


def inputs(model, seed=3, count=12):
    random = np.random.RandomState(seed)
    lengths = [1, 2, model.longest] + list(random.randint(1, model.longest, count))
    lines = []
    for length in lengths:
        line = {"ids": [int(i) for i in random.randint(0, model.vocabulary, length)]}
        if model.types > 1:
            line["type_ids"] = [int(i) for i in random.randint(0, model.types, length)]
        lines.append(line)
    return lines


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def sentence_folder(self, model, modes=("mean",), normalize=False, dense=None, **pooling):
        model.write(self.folder)
        modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
                   {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]
        config = {f"pooling_mode_{MODES[mode]}": True for mode in modes}
        write_json(self.path("1_Pooling", "config.json"),
                   dict(config, word_embedding_dimension=model.hidden, **pooling))
        if dense is not None:
            weight, bias, activation = dense
            modules.append({"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"})
            write_json(self.path("2_Dense", "config.json"),
                       {"in_features": weight.shape[1], "out_features": weight.shape[0], "bias": bias is not None,
                        "activation_function": activation})
            tensors = {"linear.weight": weight}
            if bias is not None:
                tensors["linear.bias"] = bias
            write_safetensors(self.path("2_Dense", "model.safetensors"), tensors)
        if normalize:
            modules.append({"idx": 3, "name": "3", "path": "3_Normalize",
                            "type": "sentence_transformers.models.Normalize"})
        write_json(self.path("modules.json"), modules)

    def write_vocabulary(self, **config):
        with open(self.path("vocab.txt"), "w", encoding="utf-8") as file:
            file.write("\n".join(WORDS) + "\n")
        write_json(self.path("tokenizer_config.json"),
                   dict({"tokenizer_class": "BertTokenizer", "do_lower_case": True}, **config))

    def embed(self, lines, *flags, **more):
        out = rows(["embed", "--model", self.folder, *flags], lines, **more)
        return np.array([row["embedding"] for row in out])


class Parity(Case):
    def test_every_family_pooled_by_mean(self):
        for kind, sizes in itertools.product(KINDS, ({}, REDUCED_SIZES)):
            model = ReferenceModel(kind, **sizes)
            model.write(self.folder)
            lines = inputs(model)
            expected = np.array([model.encode(l["ids"], l.get("type_ids")).mean(0) for l in lines])
            for isa in isas():
                for dtype, floor in (("f32", 0.999999), ("bf16", 0.9995), ("int8", 0.997)):
                    with self.subTest(kind=kind, hidden=model.hidden, isa=isa, dtype=dtype):
                        got = self.embed(lines, "--dtype", dtype, isa=isa)
                        worst = min(cosine(a, b) for a, b in zip(got, expected))
                        self.assertGreaterEqual(worst, floor)
                        if dtype == "f32":
                            self.assertLess(np.abs(got - expected).max(), F32_BOUND)

    def test_every_pooling_mode_and_two_together(self):
        model = ReferenceModel("bert", seed=5)
        lines = inputs(model)
        for modes in [(m,) for m in MODES] + [("cls", "mean"), ("max", "weightedmean", "lasttoken")]:
            self.sentence_folder(model, modes)
            expected = [np.concatenate([pool(model.encode(l["ids"], l["type_ids"]), m) for m in MODES if m in modes])
                        for l in lines]
            with self.subTest(modes=modes):
                self.assertLess(np.abs(self.embed(lines, "--dtype", "f32") - expected).max(), F32_BOUND)

    def test_dense_and_normalize(self):
        model = ReferenceModel("distilbert", seed=6)
        lines = inputs(model)
        random = np.random.RandomState(1)
        weight = random.standard_normal((33, model.hidden)).astype(np.float32)
        bias = random.standard_normal(33).astype(np.float32)
        for activation, function in (("torch.nn.modules.activation.Tanh", np.tanh),
                                     ("torch.nn.modules.linear.Identity", lambda x: x)):
            for b in (bias, None):
                self.sentence_folder(model, normalize=True, dense=(weight, b, activation))
                pooled = [model.encode(l["ids"]).mean(0) for l in lines]
                expected = [unit(function(weight.astype(np.float64) @ p + (0 if b is None else b))) for p in pooled]
                self.assertLess(np.abs(self.embed(lines, "--dtype", "f32") - expected).max(), F32_BOUND)

    def test_classifiers_and_rerankers(self):
        for kind in KINDS:
            for labels in (1, 3):
                model = ReferenceModel(kind, seed=7, labels=labels)
                lines = inputs(model)
                logits = np.array([model.logits(l["ids"], l.get("type_ids")) for l in lines])
                with self.subTest(kind=kind, labels=labels):
                    model.write(self.folder)
                    flags = ["--model", self.folder, "--dtype", "f32"]
                    got = [[row["scores"][f"L{i}"] for i in range(labels)]
                           for row in rows(["classify", "--raw", *flags], lines)]
                    self.assertLess(np.abs(np.array(got) - logits).max(), F32_BOUND)
                    scores = [[row["scores"][f"L{i}"] for i in range(labels)]
                              for row in rows(["classify", *flags], lines)]
                    exp = np.exp(logits - logits.max(-1, keepdims=True))
                    expected = exp / exp.sum(-1, keepdims=True) if labels > 1 else 1 / (1 + np.exp(-logits))
                    self.assertLess(np.abs(np.array(scores) - expected).max(), F32_BOUND)
                    if labels == 1:
                        relevance = [row["score"] for row in rows(["rerank", "--raw", *flags], lines)]
                        self.assertLess(np.abs(np.array(relevance) - logits[:, 0]).max(), F32_BOUND)
                    model.write(self.folder, problem_type="multi_label_classification")
                    scores = [[row["scores"][f"L{i}"] for i in range(labels)]
                              for row in rows(["classify", *flags], lines)]
                    self.assertLess(np.abs(np.array(scores) - 1 / (1 + np.exp(-logits))).max(), F32_BOUND)

    def test_half_precision_weights_and_old_names(self):
        model = ReferenceModel("bert", seed=8)
        lines = inputs(model)
        model.tensors = {k: v.astype(np.float16).astype(np.float32) for k, v in model.tensors.items()}
        expected = [model.encode(l["ids"], l["type_ids"]).mean(0) for l in lines]
        stored = {k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"):
                  v.astype(np.float16) for k, v in model.tensors.items()}
        stored["embeddings.position_ids"] = np.arange(40, dtype=np.int64)[None]
        model.write(self.folder, stored)
        self.assertLess(np.abs(self.embed(lines, "--dtype", "f32") - expected).max(), F32_BOUND)
        model.tensors = {k: (v.view(np.uint32) & 0xffff0000).view(np.float32) for k, v in model.tensors.items()}
        expected = [model.encode(l["ids"], l["type_ids"]).mean(0) for l in lines]
        model.write(self.folder, {k: (v.view(np.uint32) >> 16).astype(np.uint16) for k, v in model.tensors.items()})
        self.assertLess(np.abs(self.embed(lines, "--dtype", "f32") - expected).max(), F32_BOUND)

    def test_the_oracles_models_where_they_are(self):
        shared = os.environ.get("GARRISON_SHARED")
        make = os.path.join(shared or "", "oracle", "make_model.py")
        if not shared or not os.path.exists(make):
            self.skipTest("GARRISON_SHARED names no folder with the oracle")
        if subprocess.run([sys.executable, "-c", "import torch"], capture_output=True, check=False).returncode:
            self.skipTest("the oracle needs torch")
        families = ["bert", "bert-cls", "bert-classifier", "distilbert", "distilbert-classifier", "mpnet", "xlm-roberta",
                    "xlm-roberta-classifier"]
        for family in families:
            for preset, seed in (("tiny", 1), ("odd", 2), ("odd", 3), ("odd1", 4)):
                folder = self.path(f"{family}-{preset}-{seed}")
                subprocess.run([sys.executable, make, "--family", family, "--preset", preset, "--seed", str(seed),
                                "--out", folder, *(["--unaligned"] if seed == 3 else []),
                                *(["--shards", "2"] if seed == 2 else [])], check=True, capture_output=True)
                for dtype, floor in (("f32", 0.999999), ("bf16", 0.9995), ("int8", 0.997)):
                    with self.subTest(family=family, preset=preset, seed=seed, dtype=dtype):
                        self.compare_with_oracle(folder, dtype, floor)

    def compare_with_oracle(self, folder, dtype, floor):
        with open(os.path.join(folder, "expected.json"), encoding="utf-8") as file:
            expected = json.load(file)
        arrays = read_safetensors(os.path.join(folder, "expected.safetensors"))
        lines, wanted, bounds = [], [], []
        classifier = expected["family"].endswith("classifier")
        for case in expected["cases"]:
            outputs = case["outputs"]
            name = "logits" if classifier else \
                "sentence_embedding" if "sentence_embedding" in outputs else "last_hidden_state"
            array = arrays[f"{case['name']}/{name}"]
            for row, length in enumerate(case["lengths"]):
                line = {"ids": case["inputs"]["input_ids"][row][:length]}
                if "token_type_ids" in case["inputs"]:
                    line["type_ids"] = case["inputs"]["token_type_ids"][row][:length]
                lines.append(line)
                wanted.append(array[row][:length].mean(0) if name == "last_hidden_state" else array[row])
                bounds.append(max(20 * outputs[name]["f32_max_abs_err"], 2e-6 * outputs[name]["abs_max"]))
        flags = ["--model", folder, "--dtype", dtype]
        if classifier:
            with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
                labels = json.load(file)["id2label"]
            got = np.array([[row["scores"][labels[str(i)]] for i in range(len(labels))]
                            for row in rows(["classify", "--raw", *flags], lines)])
        else:
            got = np.array([row["embedding"] for row in rows(["embed", *flags], lines)])
        wanted = np.array(wanted)
        if dtype == "f32":
            self.assertTrue((np.abs(got - wanted).max(1) <= bounds).all())
        if wanted.shape[1] > 1:  # a cosine of one logit says nothing
            self.assertGreaterEqual(min(cosine(a, b) for a, b in zip(got, wanted)), floor)


def read_safetensors(path):
    with open(path, "rb") as file:
        blob = file.read()
    size = int.from_bytes(blob[:8], "little")
    header = json.loads(blob[8:8 + size])
    kinds = {"F64": np.float64, "F32": np.float32}
    return {name: np.frombuffer(blob, kinds[entry["dtype"]], int(np.prod(entry["shape"])),
                                8 + size + entry["data_offsets"][0]).reshape(entry["shape"])
            for name, entry in header.items() if name != "__metadata__"}


class BatchInvariance(Case):
    def test_same_bytes_alone_in_any_batch_and_with_any_number_of_threads(self):
        # Classifiers read the first token only, which shortens the last layer.
        for kind, labels in [*((kind, 0) for kind in KINDS), ("bert", 3)]:
            model = ReferenceModel(kind, seed=9, positions=90, labels=labels, **REDUCED_SIZES)
            model.write(self.folder)
            lines = inputs(model, count=40)
            verb, result = (["classify", "--raw"], "scores") if labels else (["embed"], "embedding")
            for dtype in ("f32", "bf16", "int8"):
                for isa in isas():
                    flags = [*verb, "--model", self.folder, "--dtype", dtype]
                    with self.subTest(kind=kind, labels=labels, dtype=dtype, isa=isa):
                        together = [r[result] for r in rows([*flags, "--threads", "1"], lines, isa=isa)]
                        for threads in ("2", "5"):
                            again = [r[result] for r in rows([*flags, "--threads", threads], lines, isa=isa)]
                            self.assertEqual(together, again)
                        order = np.random.RandomState(4).permutation(len(lines))
                        shuffled = [r[result] for r in rows(flags, [lines[i] for i in order], isa=isa)]
                        self.assertEqual([together[i] for i in order], shuffled)
                        for i in (0, 2, 7):
                            alone = rows([*flags, "--threads", "3"], [lines[i]], isa=isa)[0][result]
                            self.assertEqual(alone, together[i])


class TextCase(Case):
    def setUp(self):
        super().setUp()
        self.model = ReferenceModel("bert", seed=10, vocabulary=len(WORDS), positions=16)
        self.sentence_folder(self.model, normalize=True)
        self.write_vocabulary()

    def ids(self, text):
        """The tokens of a text of words of the vocabulary, without special tokens."""
        return [WORDS.index(word) for word in text.lower().split()]

    def encode(self, content, second=None):
        ids, types = [2, *content, 3], [0] * (len(content) + 2)
        if second is not None:
            ids, types = [*ids, *second, 3], [*types, *[1] * (len(second) + 1)]
        return self.model.encode(ids, types)


class Texts(TextCase):
    def test_text_gives_what_its_tokens_give(self):
        got = rows(["embed", "--model", self.folder, "--dtype", "f32"], [{"text": "The cat sat"}])[0]
        expected = unit(self.encode(self.ids("the cat sat")).mean(0))
        self.assertLess(np.abs(np.array(got["embedding"]) - expected).max(), F32_BOUND)
        self.assertEqual(got["tokens"], 5)

    def test_long_input_is_never_silent(self):
        content = self.ids("a cat sat on the mat . " * 3)  # 21 tokens, 14 fit
        line = [{"text": "a cat sat on the mat . " * 3}]
        flags = ["embed", "--model", self.folder, "--dtype", "f32"]
        refused = run(flags, line, check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("context length is 16 tokens, however you requested 23 tokens", refused.stderr)
        for side, kept in (("right", content[:14]), ("left", content[-14:])):
            got = rows([*flags, "--long-input", "truncate", "--truncation-side", side], line)[0]
            self.assertLess(np.abs(got["embedding"] - unit(self.encode(kept).mean(0))).max(), F32_BOUND)
            self.assertEqual((got["tokens"], got["total_tokens"], got["truncated"]), (16, 23, True))
        got = rows([*flags, "--long-input", "chunk"], line)[0]
        parts = [content[:14], content[14:]]
        mean = sum(unit(self.encode(p).mean(0)) * (len(p) + 2) for p in parts)
        self.assertLess(np.abs(got["embedding"] - unit(mean)).max(), F32_BOUND)
        self.assertEqual(got["tokens"], 23)

    def test_prompts(self):
        prompts = {"prompts": {"query": "query : ", "document": ""}, "default_prompt_name": None}
        write_json(self.path("config_sentence_transformers.json"), prompts)
        flags = ["embed", "--model", self.folder, "--dtype", "f32"]
        with_prompt = self.ids("query : a cat")
        got = np.array(rows([*flags, "--prompt", "query"], [{"text": "a cat"}])[0]["embedding"])
        self.assertLess(np.abs(got - unit(self.encode(with_prompt).mean(0))).max(), F32_BOUND)
        unknown = run([*flags, "--prompt", "other"], [{"text": "a cat"}], check=False)
        self.assertIn("document, query", unknown.stderr)
        prompts["default_prompt_name"] = "query"
        write_json(self.path("config_sentence_transformers.json"), prompts)
        got = np.array(rows(flags, [{"text": "a cat"}])[0]["embedding"])
        self.assertLess(np.abs(got - unit(self.encode(with_prompt).mean(0))).max(), F32_BOUND)
        self.sentence_folder(self.model, normalize=True, include_prompt=False)
        got = np.array(rows(flags, [{"text": "a cat"}])[0]["embedding"])
        expected = unit(pool(self.encode(with_prompt), "mean", skip=3))  # [CLS] query :
        self.assertLess(np.abs(got - expected).max(), F32_BOUND)

    def test_dimensions_slice_and_renormalise(self):
        full = np.array(rows(["embed", "--model", self.folder], [{"text": "a dog"}])[0]["embedding"])
        done = run(["embed", "--model", self.folder, "--dimensions", "7"], [{"text": "a dog"}])
        self.assertLess(np.abs(np.array(json.loads(done.stdout)["embedding"]) - unit(full[:7])).max(), 1e-6)
        self.assertIn("not trained for fewer dimensions", done.stderr)

    def test_rerank_equals_scoring_the_pairs(self):
        model = self.model = ReferenceModel("bert", seed=11, vocabulary=len(WORDS), positions=32, labels=1)
        os.remove(self.path("modules.json"))
        model.write(self.folder)
        documents = ["the cat sat", "a dog ran far away .", "mat"]
        flags = ["rerank", "--model", self.folder, "--dtype", "f32"]
        expected = []
        for d in documents:
            ids = [2, *self.ids("a cat"), 3, *self.ids(d), 3]
            types = [0] * 4 + [1] * (len(ids) - 4)
            expected.append(float(model.logits(ids, types)[0]))
        result = rows([*flags, "--raw"], [{"query": "a cat", "documents": documents}])[0]["results"]
        order = sorted(range(3), key=lambda i: -expected[i])
        self.assertEqual([r["index"] for r in result], order)
        for r in result:
            self.assertAlmostEqual(r["score"], expected[r["index"]], delta=F32_BOUND)
        pairs = rows([*flags, "--raw"], [{"text": "a cat", "text_pair": d} for d in documents])
        self.assertEqual([p["score"] for p in pairs], [next(r["score"] for r in result if r["index"] == i)
                                                      for i in range(3)])
        sigmoid = rows(flags, [{"query": "a cat", "documents": documents}])[0]["results"]
        for r in sigmoid:
            self.assertAlmostEqual(r["score"], 1 / (1 + np.exp(-expected[r["index"]])), delta=F32_BOUND)

    def test_bad_texts(self):
        for line, part in (({"text": ""}, "empty"), ({"text": "   "}, "empty"), ({"ids": []}, "0"),
                           ({"ids": [99]}, "from 0 to 19"), ({"ids": [5], "type_ids": [2]}, "type"),
                           ({"ids": [5], "type_ids": [0, 0]}, "type_ids"), ({"ids": [5] * 17}, "17")):
            done = run(["embed", "--model", self.folder], [line], check=False)
            with self.subTest(line=line):
                self.assertEqual(done.returncode, 1)
                self.assertIn(part, done.stderr)
        invalid = subprocess.run([BINARY, "embed", "--model", self.folder, "--input", "-", "--input-format", "text"],
                                 input=b"a \xff\xfe cat\n", capture_output=True, timeout=60)
        self.assertEqual(invalid.returncode, 1)
        self.assertIn(b"UTF-8", invalid.stderr)
        nul = rows(["embed", "--model", self.folder], [{"text": "a\0cat"}])[0]
        self.assertEqual(nul["tokens"], 3)  # the BERT normaliser drops controls: "acat" is unknown
        huge = run(["embed", "--model", self.folder, "--set", "limits.input_bytes=20000000", "--long-input", "truncate"],
                   [{"text": "cat " * 2_500_000}])
        self.assertEqual(json.loads(huge.stdout)["total_tokens"], 2_500_002)


class Service(TextCase):
    """The folder behind HTTP: the same vectors, long inputs reported, long messages guarded as a whole."""

    def serve(self, *flags):
        service = running.Service(BINARY, "--model", self.folder, "--dtype", "f32", *flags)
        self.addCleanup(service.__exit__)
        self.base = f"http://127.0.0.1:{service.port}"

    def post(self, path, body):
        request = urllib.request.Request(self.base + path, json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return reply.status, dict(reply.headers), json.load(reply)
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), json.load(error)

    def test_service(self):
        long = "a cat sat on the mat . " * 3
        self.serve("--set", "engine.long_input=truncate")
        status, headers, body = self.post("/v1/embeddings", {"input": ["the cat sat", long]})
        self.assertEqual(status, 200)
        self.assertEqual({k.lower(): v for k, v in headers.items()}["x-truncated-inputs"], "1")
        expected = [unit(self.encode(self.ids("the cat sat")).mean(0)),
                    unit(self.encode(self.ids(long)[:14]).mean(0))]
        got = np.array([row["embedding"] for row in body["data"]])
        self.assertLess(np.abs(got - expected).max(), F32_BOUND)
        self.assertEqual(body["usage"]["total_tokens"], 5 + 16)
        status, _, body = self.post("/check-safety", {"user_message": long, "model_message": "a dog ran ."})
        self.assertEqual(status, 200, body)

    def test_requests_at_once_give_the_same_bytes_as_alone(self):
        self.serve("--threads", "3")
        random = np.random.RandomState(12)
        bodies = [{"input": [" ".join(random.choice(WORDS[5:], random.randint(1, 10)))
                             for _ in range(random.randint(1, 40))]} for _ in range(30)]
        alone = [self.post("/v1/embeddings", body)[2]["data"] for body in bodies]
        with concurrent.futures.ThreadPoolExecutor(6) as pool_of_clients:
            together = pool_of_clients.map(lambda body: self.post("/v1/embeddings", body)[2]["data"], bodies * 3)
            self.assertEqual(alone * 3, list(together))

    def test_service_refuses_long_input_unless_told(self):
        self.serve()
        status, _, body = self.post("/v1/embeddings", {"input": ["cat", "cat " * 20]})
        self.assertEqual(status, 400)
        self.assertIn("This model's maximum context length is 16 tokens, however you requested 22 tokens",
                      body["error"]["message"])
        self.assertEqual(body["error"]["code"], "context_length_exceeded")


class PackedWeights(Case):
    """What is kept on disk between starts, and the memory of passes."""

    def setUp(self):
        super().setUp()
        self.sentence_folder(self.make(21))
        self.lines = inputs(self.make(21), count=6)
        self.cache = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.cache)

    def make(self, seed):
        return ReferenceModel("bert", seed=seed, vocabulary=300, hidden=256, heads=4, ffn=1024, layers=4, positions=128)

    def flags(self, cache=None):
        return ["--dtype", "int8", "--set", f"engine.cache={cache or self.cache}"]

    def kept(self, ending=".packed"):
        return [os.path.join(self.cache, name) for name in os.listdir(self.cache) if name.endswith(ending)]

    def test_killed_at_any_moment(self):
        expected = self.embed(self.lines, *self.flags("off"))
        command = [BINARY, "embed", "--model", self.folder, *self.flags(), "--input", "/dev/null"]
        began = time.monotonic()
        subprocess.run(command, check=True, capture_output=True)
        whole = time.monotonic() - began
        random = np.random.RandomState(5)
        killed = rounds = 0
        while killed < 10:  # on a busy machine many come too late
            rounds += 1
            self.assertLess(rounds, 200)
            for file in self.kept("") if random.randint(2) else []:
                os.remove(file)
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(whole * random.uniform(0.1, 1.1))
            process.kill()
            killed += process.wait() == -9
            self.assertTrue((self.embed(self.lines, *self.flags()) == expected).all())
        self.assertEqual(len(self.kept()), 1)

    def test_damage_is_mended(self):
        expected = self.embed(self.lines, *self.flags())
        [file] = self.kept()
        with open(file, "rb") as stream:
            good = stream.read()
        random = np.random.RandomState(6)
        for at in [0, len(good) - 1, *random.randint(0, len(good), 10)]:
            bad = bytearray(good)
            bad[at] ^= 1 << random.randint(8)
            for damaged in (bytes(bad), good[:at]):
                with open(file, "wb") as stream:
                    stream.write(damaged)
                self.assertTrue((self.embed(self.lines, *self.flags()) == expected).all(), at)
                with open(file, "rb") as stream:
                    self.assertEqual(stream.read(), good, at)

    def test_other_weights_in_the_same_place(self):
        self.embed(self.lines, *self.flags())
        self.make(22).write(self.folder)
        self.assertTrue((self.embed(self.lines, *self.flags()) == self.embed(self.lines, *self.flags("off"))).all())
        self.assertEqual(len(self.kept()), 2)

    def test_many_first_starts_at_once(self):
        expected = self.embed(self.lines, *self.flags("off"))
        with concurrent.futures.ThreadPoolExecutor(6) as starts:
            for got in starts.map(lambda _: self.embed(self.lines, *self.flags()), range(12)):
                self.assertTrue((got == expected).all())
        self.assertEqual(len(self.kept()), 1)
        self.assertEqual(self.kept(".partial"), [])

    def test_a_folder_that_cannot_be_written_is_a_warning(self):
        file = self.path("a_file")
        with open(file, "w", encoding="utf-8"):
            pass
        before = os.environ.get("XDG_CACHE_HOME")
        os.environ["XDG_CACHE_HOME"] = file
        try:
            done = run(["embed", "--model", self.folder, "--dtype", "int8"], self.lines)
        finally:
            if before is None:
                del os.environ["XDG_CACHE_HOME"]
            else:
                os.environ["XDG_CACHE_HOME"] = before
        self.assertIn("warning: packed weights cannot be kept", done.stderr)
        self.assertEqual(len(done.stdout.splitlines()), len(self.lines))
        refused = run(["embed", "--model", self.folder, *self.flags(os.path.join(file, "x"))], self.lines, check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("engine.cache", refused.stderr)

    def test_the_folder_keeps_to_its_size(self):
        for seed in range(3):
            self.make(seed).write(self.folder)
            self.embed(self.lines[:1], *self.flags(), "--set", "engine.cache_bytes=8000000")
        sizes = [os.path.getsize(file) for file in self.kept("")]
        self.assertLessEqual(sum(sizes), 8_000_000)
        self.assertEqual(len(self.kept()), 8_000_000 // max(sizes))

    @unittest.skipIf(os.environ.get("GARRISON_SANITIZED"), "sanitizers keep memory that was freed")
    def test_working_memory_keeps_to_what_was_announced(self):
        for threads in ("1", "3"):
            memory = json.loads(run(["bench", "--memory", "--json", "--model", self.folder, "--threads", threads,
                                     *self.flags()]).stdout)
            self.assertGreater(memory["working_limit_mb"], 1)
            self.assertLess(memory["busy_mb"] - memory["resident_mb"], memory["working_limit_mb"] + 1)
            self.assertLess(memory["idle_mb"], memory["busy_mb"])


class DamagedFolders(Case):
    def refused(self, part, *flags):
        done = run(["embed", "--model", self.folder, *flags], [{"ids": [5, 6]}], check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(part, done.stderr)

    def setUp(self):
        super().setUp()
        self.model = ReferenceModel("bert")
        self.model.write(self.folder)

    def change(self, **config):
        write_json(self.path("config.json"), self.model.config(**config))

    def test_config(self):
        self.change(hidden_size=24)
        self.refused("[50, 24], the weights have [50, 20]")
        self.change(num_hidden_layers=3)
        self.refused("encoder.layer.2.attention.self.query.weight")
        self.change(vocab_size=51)
        self.refused("[51, 20]")
        self.change(model_type="gpt_neox")
        self.refused("known are bert, distilbert, mpnet, roberta, xlm-roberta")
        self.change(hidden_act="swiglu")
        self.refused("swiglu")
        self.change(hidden_size=0)
        self.refused("hidden_size")
        self.change(hidden_size=2 ** 63)
        self.refused("hidden_size")
        self.change(num_attention_heads=3)
        self.refused("not a multiple of the 3 attention heads")
        self.change(position_embedding_type="relative_key")
        self.refused("relative_key")
        with open(self.path("config.json"), "w", encoding="utf-8") as file:
            file.write("[" * 100)
        self.refused("nested deeper")
        os.remove(self.path("config.json"))
        self.refused("config.json")

    def test_weights(self):
        path = self.path("model.safetensors")
        with open(path, "rb") as file:
            good = file.read()
        for length in (0, 5, 100, len(good) - 1):
            with open(path, "wb") as file:
                file.write(good[:length])
            self.refused("model.safetensors")
        os.remove(path)
        self.refused("pytorch_model.bin")
        for value in (np.nan, np.inf):
            for name in ("encoder.layer.1.output.dense.weight", "embeddings.LayerNorm.bias"):
                tensors = {k: v.copy() for k, v in self.model.tensors.items()}
                tensors[name].flat[3] = value
                self.model.write(self.folder, tensors)
                self.refused(name)
            tensors = {k: v.copy() for k, v in self.model.tensors.items()}
            tensors["embeddings.word_embeddings.weight"][6, 0] = value
            self.model.write(self.folder, tensors)
            self.refused("embedding of token 6")
        tensors = {k: v for k, v in self.model.tensors.items() if "position" not in k}
        self.model.write(self.folder, tensors)
        self.refused("embeddings.position_embeddings.weight")
        ints = dict(self.model.tensors)
        ints["encoder.layer.0.output.dense.weight"] = np.zeros((20, 37), np.int64)
        self.model.write(self.folder, ints)
        self.refused("I64")

    def test_sentence_transformers_files(self):
        self.sentence_folder(self.model, pooling_mode_unheard_of=True)
        self.refused("pooling_mode_unheard_of")
        self.sentence_folder(self.model, modes=())
        self.refused("pooling mode")
        self.sentence_folder(self.model, dense=(np.zeros((3, 21), np.float32), None, "torch.nn.Tanh"))
        self.refused("expected 20")
        self.sentence_folder(self.model, dense=(np.zeros((3, 20), np.float32), None, "torch.nn.Softplus"))
        self.refused("Softplus")
        write_json(self.path("modules.json"), [{"path": "../../etc", "type": "x.Pooling"}])
        self.refused("inside the folder")
        write_json(self.path("modules.json"), [{"path": "", "type": "x.WordWeights"}])
        self.refused("WordWeights")

    def test_text_without_a_tokenizer_and_the_wrong_verb(self):
        done = run(["embed", "--model", self.folder], [{"text": "a"}], check=False)
        self.assertIn("no tokenizer files", done.stderr)
        for verb in ("rerank", "classify"):
            done = run([verb, "--model", self.folder], [{"ids": [5]}], check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("it embeds", done.stderr)
        ReferenceModel("bert", labels=2).write(self.folder)
        done = run(["embed", "--model", self.folder], [{"ids": [5]}], check=False)
        self.assertIn("it classifies", done.stderr)

    def test_tokenizer_of_another_model(self):
        with open(self.path("vocab.txt"), "w", encoding="utf-8") as file:
            file.write("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + [f"w{i}" for i in range(100)]))
        write_json(self.path("tokenizer_config.json"), {"tokenizer_class": "BertTokenizer"})
        self.refused("belong together")

    def test_layers_left_in_bf16(self):
        self.refused("layer.0.qkv", "--dtype", "int8", "--bf16-layers", "layer.9.up")
        model = self.wide_model()
        lines = inputs(model)
        exact = self.embed(lines, "--dtype", "bf16")
        names = ",".join(f"layer.{i}.{p}" for i in range(2) for p in ("qkv", "attention_output", "up", "down"))
        self.assertTrue((self.embed(lines, "--dtype", "int8", "--bf16-layers", names) == exact).all())
        self.assertFalse((self.embed(lines, "--dtype", "int8") == exact).all())

    def test_layers_of_few_inputs_are_f32(self):
        lines = inputs(self.model)
        for dtype in ("int8", "bf16"):
            self.assertTrue((self.embed(lines, "--dtype", dtype) == self.embed(lines, "--dtype", "f32")).all())

    def test_a_layer_that_int8_cannot_hold_stays_in_bf16(self):
        model = self.wide_model()
        lines = inputs(model)
        flags = ("--dtype", "int8")
        named = (*flags, "--bf16-layers", "layer.0.down")
        self.assertFalse((self.embed(lines, *flags) == self.embed(lines, *named)).all())
        # In steps of 16 / 127 there is not much left of the other weights, 0.06 on average.
        model.tensors["encoder.layer.0.output.dense.weight"][:, 0] = 16
        model.write(self.folder)
        self.assertTrue((self.embed(lines, *flags) == self.embed(lines, *named)).all())

    def wide_model(self):
        model = ReferenceModel("bert", seed=10, vocabulary=len(WORDS), positions=16, **dict(REDUCED_SIZES, ffn=410))
        model.write(self.folder)
        return model


def main():
    global BINARY, PROBE
    BINARY = sys.argv.pop(1)
    PROBE = tempfile.mkdtemp()
    try:
        ReferenceModel("bert").write(PROBE)
        unittest.main()
    finally:
        shutil.rmtree(PROBE)


if __name__ == "__main__":
    main()
