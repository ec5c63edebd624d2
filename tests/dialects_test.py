#!/usr/bin/env python3
"""Every route of the service in every dialect, against tests/reference_encoder.py: the replies' shapes and values,
and what bad input gets.

dialects_test.py GARRISON_BINARY [unittest arguments]"""
import base64
import concurrent.futures
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import numpy as np

from model_fixtures import LABELS, WORDS, ids_of, make_models
from reference_encoder import pool, unit
from service import Service

BINARY = ""
BOUND = 1e-5
QUERY = "a cat"
DOCUMENTS = ["the dog ran", "a cat sat on the mat", "far away ."]
LONG = "a cat sat on the mat . " * 6  # 42 tokens, the models read 32


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class Dialects(Service):
    """The service with the small models of a folder."""

    def __init__(self, root, *flags):
        # Without the cache: metrics say what the models computed.
        super().__init__(BINARY, "--dtype", "f32", *flags,
                         **{"engine.models_folder": os.path.join(root, "models"), "cache.memory_bytes": 0})

    def ask(self, method, path, body=None, **headers):
        """Status, headers in lower case, and the body: JSON where it is, else text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        connection.request(method, path, data, {k.replace("_", "-"): v for k, v in headers.items()})
        reply = connection.getresponse()
        content = reply.read()
        connection.close()
        found = {k.lower(): v for k, v in reply.getheaders()}
        if found.get("content-type", "").startswith("application/json"):
            content = json.loads(content)
        return reply.status, found, content


class Case(unittest.TestCase):
    flags = ("--model", "tiny-embedder")

    @classmethod
    def setUpClass(cls):
        cls.root = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, cls.root)
        cls.models = make_models(os.path.join(cls.root, "models"))
        cls.service = Dialects(cls.root, *cls.flags)
        cls.addClassCleanup(cls.service.stop)

    def post(self, path, body, status=200, **headers):
        got, self.headers, reply = self.service.ask("POST", path, body, **headers)
        self.assertEqual(got, status, reply)
        return reply

    def get(self, path, status=200, **headers):
        got, self.headers, reply = self.service.ask("GET", path, **headers)
        self.assertEqual(got, status, reply)
        return reply

    def vector(self, text):
        return unit(self.models["tiny-embedder"].encode(ids_of(text), [0] * len(ids_of(text))).mean(0))

    def relevance(self, query, document):
        first, second = ids_of(query), ids_of(document)[1:]
        return float(self.models["tiny-reranker"].logits([*first, *second], [0] * len(first) + [1] * len(second))[0])

    def labels(self, text):
        return self.models["acme/tiny-classifier"].logits(ids_of(text), [0] * len(ids_of(text)))

    def near(self, got, expected):
        self.assertLess(np.abs(np.array(got, dtype=float) - np.array(expected)).max(), BOUND)


class OpenAi(Case):
    def test_embeddings(self):
        reply = self.post("/v1/embeddings", {"model": "tiny-embedder", "input": [QUERY, "mat"], "user": "x"})
        self.assertEqual((reply["object"], reply["model"]), ("list", "tiny-embedder"))
        self.assertEqual([d["index"] for d in reply["data"]], [0, 1])
        self.near([d["embedding"] for d in reply["data"]], [self.vector(QUERY), self.vector("mat")])
        self.assertEqual(reply["usage"], {"prompt_tokens": 7, "total_tokens": 7})
        self.assertEqual(self.headers["x-compute-tokens"], "7")
        self.assertRegex(self.headers["x-compute-type"], "^cpu-f32-")
        ids = self.post("/v1/embeddings", {"input": [ids_of(QUERY), ids_of("mat")]})
        self.assertEqual([d["embedding"] for d in ids["data"]], [d["embedding"] for d in reply["data"]])
        one = self.post("/v1/embeddings", {"input": ids_of(QUERY), "encoding_format": "base64"})
        self.near(np.frombuffer(base64.b64decode(one["data"][0]["embedding"]), "<f4"), self.vector(QUERY))
        short = self.post("/v1/embeddings", {"input": QUERY, "dimensions": 5})
        self.near(short["data"][0]["embedding"], unit(self.vector(QUERY)[:5]))
        self.assertEqual(self.post("/embeddings", {"input": QUERY})["data"][0], reply["data"][0])

    def test_models(self):
        models = {m["id"]: m for m in self.get("/v1/models")["data"]}
        self.assertEqual(set(models), {"tiny-embedder", "tiny-reranker", "acme/tiny-classifier", "builtin:lexical"})
        self.assertEqual(models["tiny-embedder"]["state"], "loaded")
        self.assertEqual(models["tiny-embedder"]["capabilities"], ["embed"])
        self.assertEqual(self.get("/v1/models/tiny-embedder")["dimension"], 20)
        self.assertEqual(self.get("/v1/models/acme/tiny-classifier")["capabilities"], ["classify"])
        self.assertEqual(self.get("/v1/models/acme%2Ftiny-classifier")["id"], "acme/tiny-classifier")
        error = self.get("/v1/models/gpt-9", 404)["error"]
        self.assertEqual((error["type"], error["param"]), ("not_found_error", "model"))

    def test_moderations(self):
        reply = self.post("/v1/moderations", {"input": ["the dog ran", "a mat"]})
        self.assertEqual(len(reply["results"]), 2)
        self.assertEqual(list(reply["results"][0]["categories"]), ["guard/likelihood"])
        asked = self.post("/v1/moderations", {"input": [{"type": "text", "text": "the dog ran"}],
                                              "model": "acme/tiny-classifier"})
        scores = asked["results"][0]["category_scores"]
        expected = sigmoid(self.labels("the dog ran"))
        self.near([scores[label] for label in LABELS], expected)
        flags = asked["results"][0]["categories"]
        self.assertEqual([flags[label] for label in LABELS], list(expected > 0.5))
        self.assertEqual(asked["results"][0]["flagged"], any(flags.values()))
        self.assertEqual(asked["model"], "guard+acme/tiny-classifier")


class Tei(Case):
    def test_embed(self):
        self.near(self.post("/embed", {"inputs": QUERY}), [self.vector(QUERY)])
        both = self.post("/embed", {"inputs": [QUERY, ids_of("mat")]})
        self.near(both, [self.vector(QUERY), self.vector("mat")])
        self.near(self.post("/embed", {"inputs": ids_of("mat")}), [self.vector("mat")])
        raw = self.models["tiny-embedder"].encode(ids_of(QUERY), [0] * 4).mean(0)
        self.near(self.post("/embed", {"inputs": QUERY, "normalize": False}), [raw])
        self.near(self.post("/embed", {"inputs": QUERY, "prompt_name": "query"}), [self.vector("query : a cat")])
        self.near(self.post("/embed", {"inputs": QUERY, "dimensions": 5}), [unit(self.vector(QUERY)[:5])])
        for name in ("x-compute-type", "x-compute-time", "x-compute-characters", "x-compute-tokens", "x-total-time",
                     "x-tokenization-time", "x-queue-time", "x-inference-time"):
            self.assertIn(name, self.headers)

    def test_embed_all(self):
        model = self.models["tiny-embedder"]
        got = self.post("/embed_all", {"inputs": [QUERY, "mat"]})
        self.near(got[0], model.encode(ids_of(QUERY), [0] * 4))
        self.near(got[1], model.encode(ids_of("mat"), [0] * 3))

    def test_rerank(self):
        logits = [self.relevance(QUERY, d) for d in DOCUMENTS]
        order = sorted(range(3), key=lambda i: -logits[i])
        got = self.post("/rerank", {"query": QUERY, "texts": DOCUMENTS, "return_text": True})
        self.assertEqual([g["index"] for g in got], order)
        self.assertEqual([g["text"] for g in got], [DOCUMENTS[i] for i in order])
        self.near([g["score"] for g in got], [sigmoid(logits[i]) for i in order])
        raw = self.post("/rerank", {"query": QUERY, "texts": DOCUMENTS, "raw_scores": True})
        self.near([g["score"] for g in raw], [logits[i] for i in order])
        self.assertNotIn("text", raw[0])

    def test_predict(self):
        def check(got, logits):
            self.assertEqual(sorted(g["label"] for g in got), sorted(LABELS))
            self.assertEqual([g["score"] for g in got], sorted((g["score"] for g in got), reverse=True))
            self.near([next(g["score"] for g in got if g["label"] == l) for l in LABELS], logits)
        check(self.post("/predict", {"inputs": QUERY}), sigmoid(self.labels(QUERY)))
        check(self.post("/predict", {"inputs": QUERY, "raw_scores": True}), self.labels(QUERY))
        pair = [2, *ids_of(QUERY)[1:], *ids_of("mat")[1:]]
        logits = self.models["acme/tiny-classifier"].logits(pair, [0] * 4 + [1] * 2)
        check(self.post("/predict", {"inputs": [QUERY, "mat"]}), sigmoid(logits))
        batch = self.post("/predict", {"inputs": [[QUERY], [QUERY, "mat"]]})
        check(batch[0], sigmoid(self.labels(QUERY)))
        check(batch[1], sigmoid(logits))

    def test_similarity(self):
        got = self.post("/similarity", {"inputs": {"source_sentence": QUERY, "sentences": DOCUMENTS}})
        self.near(got, [self.vector(QUERY) @ self.vector(d) for d in DOCUMENTS])

    def test_tokenize_and_decode(self):
        got = self.post("/tokenize", {"inputs": ["A Cat", "cats"]})
        self.assertEqual(got[0], [
            {"id": 2, "text": "[CLS]", "special": True, "start": None, "stop": None},
            {"id": 5, "text": "A", "special": False, "start": 0, "stop": 1},
            {"id": 6, "text": "Cat", "special": False, "start": 2, "stop": 5},
            {"id": 3, "text": "[SEP]", "special": True, "start": None, "stop": None}])
        self.assertEqual([t["id"] for t in got[1]], [2, 6, WORDS.index("##s"), 3])
        bare = self.post("/tokenize", {"inputs": "caté cat", "add_special_tokens": False})[0]
        self.assertEqual((bare[-1]["start"], bare[-1]["stop"], bare[-1]["text"]), (5, 8, "cat"))
        self.assertEqual(self.post("/tokenize", {"inputs": "cat", "prompt_name": "query"}),
                         self.post("/tokenize", {"inputs": "query : cat"}))
        self.assertEqual(self.post("/decode", {"ids": ids_of(QUERY)}), ["a cat"])
        self.assertEqual(self.post("/decode", {"ids": [[2, 6, 3], [13]], "skip_special_tokens": False}),
                         ["[CLS] cat [SEP]", "dog"])

    def test_info_health_and_default_task(self):
        info = self.get("/info")
        self.assertEqual((info["model_id"], info["model_dtype"], info["max_input_length"]),
                         ("tiny-embedder", "float32" if info["model_dtype"] == "float32" else "f32", 32))
        self.assertEqual(info["model_type"], {"embedding": {"pooling": "mean"}})
        self.get("/ping")
        self.near(self.post("/", {"inputs": QUERY}), [self.vector(QUERY)])

    def test_truncation_as_the_request_says(self):
        kept = self.models["tiny-embedder"].encode([*ids_of(LONG)[:31], 3], [0] * 32).mean(0)
        got = self.post("/embed", {"inputs": LONG, "truncate": True})
        self.near(got, [unit(kept)])
        self.assertEqual(self.headers["x-truncated-inputs"], "1")
        last = self.models["tiny-embedder"].encode([2, *ids_of(LONG)[-31:]], [0] * 32).mean(0)
        self.near(self.post("/embed", {"inputs": LONG, "truncate": True, "truncation_direction": "Left"}),
                  [unit(last)])
        error = self.post("/embed", {"inputs": [QUERY, LONG]}, 422)
        self.assertEqual(error["error_type"], "Validation")
        self.assertIn("inputs[1]", error["error"])
        self.assertIn("maximum context length is 32 tokens, however you requested", error["error"])

    def test_metrics(self):
        def read():
            return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
                    for line in self.get("/metrics").decode().splitlines() if not line.startswith("#")}
        before = read()
        self.post("/embed", {"inputs": [QUERY, "mat"]})
        self.post("/predict", {"inputs": QUERY})
        self.post("/embed", {"inputs": LONG}, 422)
        self.post("/embed", {"inputs": LONG, "truncate": True})
        after = read()

        def grew(name):
            return after.get(name, 0) - before.get(name, 0)
        self.assertEqual(grew('te_request_count{method="batch"}'), 1)
        self.assertEqual(grew('te_request_count{method="single"}'), 3)
        self.assertEqual(grew('te_request_success{method="single"}'), 2)
        self.assertEqual(grew('te_request_failure{err="validation"}'), 1)
        self.assertEqual(grew("te_embed_count"), 3)
        self.assertEqual(grew("te_embed_success"), 3)
        self.assertEqual(grew("te_predict_count"), 1)
        self.assertEqual(grew("te_request_inference_duration_count"), 3)
        self.assertEqual(grew("te_embed_duration_count"), 2)
        self.assertEqual(grew("te_batch_next_tokens_sum"), 4 + 3 + 4 + 32)
        self.assertEqual(grew("te_request_input_length_count"), 4)
        self.assertEqual(grew("garrison_truncated_inputs_total"), 1)
        self.assertIn("te_queue_size", after)


class Cohere(Case):
    def test_rerank_on_every_path(self):
        logits = [self.relevance(QUERY, d) for d in DOCUMENTS]
        order = sorted(range(3), key=lambda i: -logits[i])
        for path in ("/rerank", "/v1/rerank", "/v2/rerank", "/reranking"):
            got = self.post(path, {"model": "tiny-reranker", "query": QUERY, "documents": DOCUMENTS})
            self.assertEqual([g["index"] for g in got["results"]], order)
            self.near([g["relevance_score"] for g in got["results"]], [sigmoid(logits[i]) for i in order])
            self.assertNotIn("document", got["results"][0])
        got = self.post("/v1/rerank", {"query": QUERY, "documents": [{"text": d} for d in DOCUMENTS], "top_n": 9,
                                       "return_documents": True})
        self.assertEqual([g["document"] for g in got["results"]], [{"text": DOCUMENTS[i]} for i in order])
        self.assertEqual(len(self.post("/v2/rerank", {"query": QUERY, "documents": DOCUMENTS, "top_n": 1})["results"]), 1)
        fields = [{"title": d, "other": "mat"} for d in DOCUMENTS]
        ranked = self.post("/v1/rerank", {"query": QUERY, "documents": fields, "rank_fields": ["title"]})
        self.assertEqual([g["index"] for g in ranked["results"]], order)
        long = {"query": QUERY, "documents": [LONG]}
        self.assertIn("documents[0]", self.post("/v2/rerank", long, 400)["message"])
        self.post("/v2/rerank", {**long, "max_tokens_per_doc": 20})
        self.assertEqual(self.headers["x-truncated-inputs"], "1")

    def test_classify(self):
        got = self.post("/classify", {"input": [QUERY], "model": "acme/tiny-classifier"})
        self.assertEqual((got["object"], got["model"]), ("classify", "acme/tiny-classifier"))
        scores = {g["label"]: g["score"] for g in got["data"][0]}
        self.near([scores[label] for label in LABELS], sigmoid(self.labels(QUERY)))


class Ollama(Case):
    def test_embed(self):
        got = self.post("/api/embed", {"model": "tiny-embedder:latest", "input": [QUERY, "mat"], "options": {}})
        self.near(got["embeddings"], [self.vector(QUERY), self.vector("mat")])
        self.assertEqual((got["model"], got["prompt_eval_count"]), ("tiny-embedder", 7))
        self.assertGreater(got["total_duration"], 0)
        self.near(self.post("/api/embeddings", {"model": "tiny-embedder", "prompt": QUERY})["embedding"],
                  self.vector(QUERY))
        self.post("/api/embed", {"model": "tiny-embedder", "input": LONG})
        self.assertEqual(self.headers["x-truncated-inputs"], "1")
        self.assertIn("input", self.post("/api/embed", {"model": "tiny-embedder", "input": LONG, "truncate": False},
                                         400)["error"])

    def test_models(self):
        names = [m["name"] for m in self.get("/api/tags")["models"]]
        self.assertIn("tiny-embedder", names)
        show = self.post("/api/show", {"model": "tiny-embedder"})
        self.assertEqual(show["capabilities"], ["embedding"])
        self.assertEqual(show["model_info"]["bert.embedding_length"], 20)
        self.assertIn("gpt-9", self.post("/api/show", {"model": "gpt-9"}, 404)["error"])
        self.assertIn("tiny-embedder", [m["name"] for m in self.get("/api/ps")["models"]])
        self.assertEqual(self.get("/api/version")["version"], self.get("/health")["version"])


class Home(Case):
    def test_manager(self):
        got = self.post("/embeddings", {"texts": [QUERY, "mat"]})
        self.near(got["embeddings"], [self.vector(QUERY), self.vector("mat")])
        self.assertEqual(got["model_name"], "tiny-embedder")
        logits = [self.relevance(QUERY, d) for d in DOCUMENTS]
        order = sorted(range(3), key=lambda i: -logits[i])
        candidates = [{"description": DOCUMENTS[0], "id": 7}, {"text": DOCUMENTS[1]}, DOCUMENTS[2]]
        got = self.post("/rerank", {"query": QUERY, "candidates": candidates, "top_k": 50})
        self.near([g["score"] for g in got["ranked_candidates"]], [sigmoid(logits[i]) for i in order])
        self.assertEqual([g.get("id") for g in got["ranked_candidates"]][order.index(0)], 7)
        self.assertEqual(len(self.post("/rerank", {"query": QUERY, "candidates": candidates, "top_k": 2})
                             ["ranked_candidates"]), 2)
        for path in ("/classify", "/classify-pattern"):
            error = self.post(path, {"pattern_description": "Turn on lights at 7:15"}, 501)
            self.assertIn("text-to-text", error["detail"])
        self.assertIn("texts", self.post("/embeddings", {"texts": []}, 400)["detail"])

    def test_registry(self):
        self.assertEqual(self.post("/models/load", {"modelId": "acme/tiny-classifier", "huggingFaceId": "x"})["modelId"],
                         "acme/tiny-classifier")
        self.assertEqual(self.post("/models/load", {"modelId": "acme/tiny-classifier"})["status"], "already_loaded")
        self.assertIn("gpt-9", self.post("/models/load", {"modelId": "gpt-9"}, 404)["detail"])
        vector = self.post("/models/infer", {"modelId": "tiny-embedder", "input": QUERY})
        self.near(vector["output"], self.vector(QUERY))
        self.assertIsNone(vector["confidence"])
        scores = sigmoid(self.labels(QUERY))
        label = self.post("/models/infer", {"modelId": "acme/tiny-classifier", "input": [QUERY]})
        self.assertEqual(label["output"], [LABELS[int(np.argmax(scores))]])
        self.near(label["confidence"], scores.max())
        ranked = self.post("/models/infer", {"modelId": "tiny-reranker",
                                             "input": {"query": QUERY, "documents": DOCUMENTS}})
        self.near(ranked["output"], [sigmoid(self.relevance(QUERY, d)) for d in DOCUMENTS])
        self.post("/models/infer", {"modelId": "gpt-9", "input": QUERY}, 404)
        warm = self.post("/models/warmup", None)
        self.assertEqual(len(warm["loaded"]), 4)
        status = self.get("/models/status")
        self.assertEqual((status["embedding_model"], status["reranker_model"], status["classifier_model"]),
                         ("tiny-embedder", "tiny-reranker", "acme/tiny-classifier"))
        self.assertTrue(status["embedding_loaded"] and status["reranker_loaded"] and status["classifier_loaded"])
        self.assertEqual(set(self.get("/health")["models_loaded"]), {*self.models, "builtin:lexical"})


class Defaults(Case):
    """Without engine.model: the folder's models answer for what the built-in one cannot."""
    flags = ("--set", "engine.aliases=text-embedding-3-small=tiny-embedder,rerank-v3.5=tiny-reranker",
             "--set", "server.tei_validation_status=413")

    def test_the_first_able_model_answers(self):
        self.assertEqual(self.post("/v1/embeddings", {"input": QUERY})["model"], "builtin:lexical")
        self.assertEqual(self.post("/v1/rerank", {"query": QUERY, "documents": DOCUMENTS})["model"], "tiny-reranker")
        self.assertEqual(self.post("/v1/embeddings", {"model": "text-embedding-3-small", "input": QUERY})["model"],
                         "tiny-embedder")
        self.assertEqual(self.post("/v2/rerank", {"model": "rerank-v3.5", "query": QUERY, "documents": ["mat"]})["model"],
                         "tiny-reranker")
        self.assertEqual(self.get("/v1/models/rerank-v3.5")["id"], "tiny-reranker")

    def test_status_of_older_clients(self):
        self.assertEqual(self.post("/embed", {"inputs": 3}, 413)["error_type"], "Validation")

    def test_what_the_built_in_model_cannot_do(self):
        self.assertEqual(self.post("/embed_all", {"inputs": QUERY}, 424)["error_type"], "Backend")
        self.assertIn("does not tokenise", self.post("/tokenize", {"inputs": QUERY}, 424)["error"])

    def test_many_first_requests_load_a_model_once(self):
        with concurrent.futures.ThreadPoolExecutor(8) as clients:
            replies = list(clients.map(
                lambda _: self.service.ask("POST", "/classify", {"input": [QUERY], "model": "acme/tiny-classifier"}),
                range(16)))
        self.assertEqual({status for status, _, _ in replies}, {200})
        self.assertEqual(len({json.dumps(body["data"]) for _, _, body in replies}), 1)


class Broken(unittest.TestCase):
    def test_a_broken_model_is_its_own_trouble_and_can_be_mended(self):
        root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, root)
        make_models(os.path.join(root, "models"))
        weights = os.path.join(root, "models", "tiny-reranker", "model.safetensors")
        os.rename(weights, weights + ".away")
        service = Dialects(root)
        self.addCleanup(service.stop)
        status, _, body = service.ask("POST", "/v1/rerank", {"query": QUERY, "documents": ["mat"]})
        self.assertGreaterEqual(status, 400)
        self.assertIn("safetensors", body["message"])
        models = {m["id"]: m for m in service.ask("GET", "/v1/models")[2]["data"]}
        self.assertEqual(models["tiny-reranker"]["state"], "failed")
        self.assertIn("safetensors", models["tiny-reranker"]["error"])
        self.assertEqual(service.ask("POST", "/v1/embeddings", {"input": "x"})[0], 200)
        os.rename(weights + ".away", weights)
        self.assertEqual(service.ask("POST", "/models/load", {"modelId": "tiny-reranker"})[2]["status"], "loaded")
        self.assertEqual(service.ask("POST", "/v1/rerank", {"query": QUERY, "documents": ["mat"]})[0], 200)

    def test_bad_settings_are_refused(self):
        for setting in ("engine.models_folder=/nowhere", "engine.aliases=a", "engine.aliases=a=nothing"):
            done = subprocess.run([BINARY, "serve", "--set", "server.port=0", "--set", setting], capture_output=True,
                                  text=True, timeout=60)
            self.assertNotEqual(done.returncode, 0, setting)
            self.assertIn(setting.split("=")[0], done.stderr)


# What a field at fault looks like in each dialect.
ERROR_TEXT = {"OpenAiError": lambda e: e["error"]["message"], "TeiError": lambda e: e["error"],
              "CohereError": lambda e: e["message"], "OllamaError": lambda e: e["error"],
              "HomeError": lambda e: e["detail"]}


class BadInput(Case):
    """Walks the service's own OpenAPI document: every route that takes a body, every kind of bad body."""

    def walk(self):
        for path, methods in self.get("/openapi.json")["paths"].items():
            for method, operation in methods.items():
                if "requestBody" not in operation:
                    continue
                content = operation["requestBody"]["content"]["application/json"]
                yield method.upper(), path, content["example"]

    def refused(self, method, path, body, what):
        status, headers, reply = self.service.ask(method, path, body)
        with self.subTest(path=path, body=str(body)[:60]):
            self.assertIn(status, (400, 404, 413, 422), (path, body, reply))
            self.assertTrue(headers.get("x-request-id"))
            texts = [text for text in (self.text(reply, name) for name in ERROR_TEXT) if text]
            self.assertTrue(texts, reply)
            if what:
                self.assertIn(what, texts[0])

    @staticmethod
    def text(reply, name):
        try:
            found = ERROR_TEXT[name](reply)
            return found if isinstance(found, str) else None
        except (KeyError, TypeError):
            return None

    def test_every_route_with_bodies_that_are_no_json_objects(self):
        paths = list(self.walk())
        self.assertGreater(len(paths), 20)
        for method, path, _ in paths:
            for body, what in ((b"", "nothing"), (b"{", "JSON"), (b"[]", "object"), (b"3", "object"), (b'"x"', "object"),
                               (b'{"input":"\xff"}', "JSON"), (b"[" * 100 + b"]" * 100, "nested"), (b"{}", "")):
                self.refused(method, path, body, what)

    def test_every_field_with_wrong_types(self):
        for method, path, example in self.walk():
            for field in example:
                for wrong in (None, 3.5, True, {}, [], [[]], [None], [{}], {"x": 1}):
                    if path == "/classify-pattern" or (path, field) == ("/classify", "pattern_description"):
                        continue
                    if wrong is None and field == "top_n":  # null is as if it were not there
                        continue
                    body = {**example, field: wrong}
                    status, _, reply = self.service.ask(method, path, body)
                    with self.subTest(path=path, field=field, wrong=wrong):
                        self.assertIn(status, (400, 404, 413, 422, 424), reply)

    def test_too_many_and_too_large(self):
        many = ["a"] * 2049
        for path, body in (("/v1/embeddings", {"input": many}), ("/embed", {"inputs": many}),
                           ("/rerank", {"query": "a", "texts": many}), ("/v1/rerank", {"query": "a", "documents": many}),
                           ("/api/embed", {"model": "tiny-embedder", "input": many}),
                           ("/predict", {"inputs": [[t] for t in many]}), ("/embeddings", {"texts": many}),
                           ("/rerank", {"query": "a", "candidates": many}), ("/tokenize", {"inputs": many}),
                           ("/v1/moderations", {"input": many}),
                           ("/similarity", {"inputs": {"source_sentence": "a", "sentences": many}})):
            self.refused("POST", path, body, "2048")
        huge = "a " * 600_000
        for path, body in (("/v1/embeddings", {"input": ["a", huge]}), ("/embed", {"inputs": huge}),
                           ("/v1/rerank", {"query": huge, "documents": ["a"]}),
                           ("/check-safety", {"user_message": huge, "model_message": "a"})):
            self.refused("POST", path, body, "1048576")

    def test_values_at_fault_are_named(self):
        for path, body, what in (
                ("/v1/embeddings", {"input": ["a", 3]}, "input[1]"),
                ("/v1/embeddings", {"input": "a", "dimensions": 99}, "dimensions"),
                ("/v1/embeddings", {"input": "a", "encoding_format": "hex"}, "encoding_format"),
                ("/v1/embeddings", {"input": [[2, 99]]}, "input[0]"),
                ("/v1/embeddings", {"input": "a", "model": "gpt-9"}, "gpt-9"),
                ("/v1/embeddings", {"input": "a", "model": "tiny-reranker"}, "does not embed"),
                ("/embed", {"inputs": "a", "truncation_direction": "up"}, "truncation_direction"),
                ("/embed", {"inputs": "a", "prompt_name": "nope"}, "prompt_name"),
                ("/tokenize", {"inputs": "a", "prompt_name": "nope"}, "prompt_name"),
                ("/similarity", {"inputs": {"source_sentence": "a", "sentences": ["b"]},
                                 "parameters": {"prompt_name": "nope"}}, "prompt_name"),
                ("/embed", {"inputs": ["a", ""]}, "inputs[1]"),
                ("/rerank", {"query": "", "texts": ["a"]}, "query"),
                ("/rerank", {"query": "a", "texts": ["a", 3]}, "texts[1]"),
                ("/rerank", {"query": "a", "candidates": [{"x": 1}]}, "candidates[0]"),
                ("/v1/rerank", {"query": "a", "documents": [{"x": 1}]}, "documents[0]"),
                ("/v1/rerank", {"query": "a", "documents": ["a"], "top_n": 0}, "top_n"),
                ("/predict", {"inputs": [["a", "b", "c"]]}, "inputs[0]"),
                ("/similarity", {"inputs": {"source_sentence": "a", "sentences": ["a", ""]}}, "sentences[1]"),
                ("/decode", {"ids": [[1], ["x"]]}, "ids[1][0]"),
                ("/api/embed", {"model": "gpt-9", "input": "a"}, "gpt-9"),
                ("/models/infer", {"modelId": "tiny-embedder", "input": {"query": "a"}}, "documents")):
            self.refused("POST", path, body, what)

    def test_every_route_has_its_line_in_the_documentation(self):
        with open(os.path.join(os.path.dirname(__file__), "..", "docs", "api.md"), encoding="utf-8") as file:
            lines = [line.split("localhost:8000")[1].split()[0] for line in file if "localhost:8000/" in line
                     and line.strip().startswith("curl")]
        for path in self.get("/openapi.json")["paths"]:
            stem = path.split("{")[0]
            found = [line for line in lines if line == path or "{" in path and line.startswith(stem)]
            self.assertTrue(found, f"docs/api.md has no curl line for {path}")

    def test_paths_and_methods(self):
        self.assertIn("/docs", self.get("/v1/nothing", 404)["error"]["message"])
        status, headers, _ = self.service.ask("GET", "/v1/embeddings")
        self.assertEqual((status, headers["allow"]), (405, "POST"))
        status, headers, _ = self.service.ask("DELETE", "/")
        self.assertEqual(status, 405)
        self.assertEqual(set(headers["allow"].split(", ")), {"GET", "POST"})


def main():
    global BINARY
    BINARY = sys.argv.pop(1)
    unittest.main()


if __name__ == "__main__":
    main()
