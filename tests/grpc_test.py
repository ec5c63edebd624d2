#!/usr/bin/env python3
"""The gRPC surface of text-embeddings-inference through the real binary, with stubs that are generated here.

grpc_test.py GARRISON_BINARY [unittest arguments]"""
import concurrent.futures
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import grpc
import numpy as np

from encoder_test import MODES, WORDS
from reference_encoder import ReferenceModel, write_json
from service import Service

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = ""
PATIENCE = 60
CODE = grpc.StatusCode

# What the tests need of the protocols that gRPC itself defines.
HEALTH = """syntax = "proto3";
package grpc.health.v1;
message HealthCheckRequest { string service = 1; }
message HealthCheckResponse {
  enum ServingStatus { UNKNOWN = 0; SERVING = 1; NOT_SERVING = 2; SERVICE_UNKNOWN = 3; }
  ServingStatus status = 1;
}
service Health {
  rpc Check(HealthCheckRequest) returns (HealthCheckResponse);
  rpc Watch(HealthCheckRequest) returns (stream HealthCheckResponse);
}
"""
REFLECTION = """syntax = "proto3";
package grpc.reflection.v1alpha;
message ServerReflectionRequest {
  oneof message_request { string file_containing_symbol = 4; string list_services = 7; }
}
message FileDescriptorResponse { repeated bytes file_descriptor_proto = 1; }
message ServiceResponse { string name = 1; }
message ListServiceResponse { repeated ServiceResponse service = 1; }
message ServerReflectionResponse {
  FileDescriptorResponse file_descriptor_response = 4;
  ListServiceResponse list_services_response = 6;
}
service ServerReflection {
  rpc ServerReflectionInfo(stream ServerReflectionRequest) returns (stream ServerReflectionResponse);
}
"""


def generate(folder):
    """Makes the stubs and imports them as globals."""
    for name, text in (("health.proto", HEALTH), ("reflection.proto", REFLECTION)):
        pathlib.Path(folder, name).write_text(text, encoding="utf-8")
    plugin = shutil.which("grpc_python_plugin")
    for root, file in ((ROOT / "proto", "tei/v1/tei.proto"), (folder, "health.proto"), (folder, "reflection.proto")):
        subprocess.run(["protoc", f"-I{root}", f"--python_out={folder}", f"--grpc_python_out={folder}",
                        f"--plugin=protoc-gen-grpc_python={plugin}", file], check=True)
    sys.path.insert(0, str(folder))
    global pb, rpc, health_pb, health_rpc, reflection_pb, reflection_rpc
    from tei.v1 import tei_pb2 as pb
    from tei.v1 import tei_pb2_grpc as rpc
    import health_pb2 as health_pb
    import health_pb2_grpc as health_rpc
    import reflection_pb2 as reflection_pb
    import reflection_pb2_grpc as reflection_rpc


def write_model(folder, model, pooled=False):
    model.write(folder)
    pathlib.Path(folder, "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    write_json(os.path.join(folder, "tokenizer_config.json"), {"tokenizer_class": "BertTokenizer", "do_lower_case": True})
    if not pooled:
        return
    write_json(os.path.join(folder, "modules.json"), [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate((("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")))])
    write_json(os.path.join(folder, "1_Pooling", "config.json"),
               {f"pooling_mode_{MODES['mean']}": True, "word_embedding_dimension": model.hidden})
    write_json(os.path.join(folder, "config_sentence_transformers.json"),
               {"prompts": {"query": "query : "}, "default_prompt_name": None})


class Server(Service):
    """`garrison serve` with the three models of a folder, or `model` alone, and stubs for it."""

    def __init__(self, folder, *flags, model=None, tls=None):
        models = ["--model", model] if model else ["--model", "embedder", "--set", f"engine.models_folder={folder}/models"]
        super().__init__(BINARY, *models, "--dtype", "f32", *flags, grpc=True)
        self.channel = self.open(tls)
        for name in ("Info", "Embed", "Predict", "Rerank", "Tokenize"):
            setattr(self, name.lower(), getattr(rpc, name + "Stub")(self.channel))
        self.health = health_rpc.HealthStub(self.channel)

    def open(self, tls=None):
        """A connection of its own."""
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
        if tls is None:
            return grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}", options)
        options.append(("grpc.ssl_target_name_override", "localhost"))
        return grpc.secure_channel(f"127.0.0.1:{self.grpc_port}", grpc.ssl_channel_credentials(tls), options)

    def check_health(self, service=""):
        return self.health.Check(health_pb.HealthCheckRequest(service=service), timeout=PATIENCE).status

    def __exit__(self, *_):
        self.channel.close()
        super().__exit__()


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        models = {"embedder": ReferenceModel("bert", seed=31, vocabulary=len(WORDS), positions=16),
                  "classifier": ReferenceModel("bert", seed=32, vocabulary=len(WORDS), positions=32, labels=3),
                  "reranker": ReferenceModel("bert", seed=33, vocabulary=len(WORDS), positions=32, labels=1)}
        for name, model in models.items():
            write_model(cls.path(name), model, pooled=name == "embedder")

    @classmethod
    def path(cls, model):
        return os.path.join(cls.folder, "models", model)

    def assert_fails(self, code, part, call):
        with self.assertRaises(grpc.RpcError) as raised:
            call()
        self.assertEqual(raised.exception.code(), code, raised.exception.details())
        self.assertIn(part, raised.exception.details())

    def command(self, verb, model, lines, *flags):
        text = "".join(json.dumps(line) + "\n" for line in lines)
        done = subprocess.run([BINARY, verb, "--model", self.path(model), "--dtype", "f32", *flags, "--input", "-"],
                              input=text, capture_output=True, text=True, timeout=PATIENCE, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]


class Methods(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = Server(cls.folder, "--threads", "2", "--set", "limits.body_bytes=100000")
        cls.addClassCleanup(cls.server.__exit__)

    def test_info(self):
        info = self.server.info.Info(pb.InfoRequest())
        self.assertEqual((info.model_id, info.model_type, info.max_input_length), ("embedder", pb.MODEL_TYPE_EMBEDDING, 16))
        self.assertEqual((info.model_dtype, info.tokenization_workers), ("f32", 2))
        self.assertTrue(info.version and info.model_sha and info.max_concurrent_requests and info.max_client_batch_size)
        self.assertFalse(info.HasField("docker_label") or info.HasField("max_batch_requests"))

    def test_embed_equals_the_command_line(self):
        expected = self.command("embed", "embedder", [{"text": "The cat sat"}])[0]
        answer, call = self.server.embed.Embed.with_call(pb.EmbedRequest(inputs="The cat sat", normalize=True))
        self.assertEqual(list(answer.embeddings), [float(np.float32(x)) for x in expected["embedding"]])
        self.assertEqual((answer.metadata.compute_chars, answer.metadata.compute_tokens), (11, expected["tokens"]))
        self.assertGreater(answer.metadata.total_time_ns, answer.metadata.inference_time_ns)
        headers = dict(call.initial_metadata())
        self.assertEqual((headers["x-compute-characters"], headers["x-compute-tokens"]), ("11", str(expected["tokens"])))
        self.assertTrue(headers["x-compute-type"].startswith("cpu-f32"))
        for name in ("compute", "total", "tokenization", "queue", "inference"):
            self.assertRegex(headers[f"x-{name}-time"], r"^\d+$")

    def test_embed_options(self):
        raw = np.array(self.server.embed.Embed(pb.EmbedRequest(inputs="a dog")).embeddings)
        whole = np.array(self.server.embed.Embed(pb.EmbedRequest(inputs="a dog", normalize=True)).embeddings)
        self.assertGreater(abs(np.linalg.norm(raw) - 1), 1e-3)  # `normalize` not set means not
        self.assertLess(np.abs(raw / np.linalg.norm(raw) - whole).max(), 1e-6)
        short = np.array(self.server.embed.Embed(pb.EmbedRequest(inputs="a dog", normalize=True, dimensions=7)).embeddings)
        self.assertLess(np.abs(whole[:7] / np.linalg.norm(whole[:7]) - short).max(), 1e-6)
        prompted = self.server.embed.Embed(pb.EmbedRequest(inputs="a dog", prompt_name="query")).embeddings
        self.assertEqual(prompted, self.server.embed.Embed(pb.EmbedRequest(inputs="query : a dog")).embeddings)

    def test_embed_all_has_a_vector_for_every_token(self):
        answer = self.server.embed.EmbedAll(pb.EmbedAllRequest(inputs="the cat sat"))
        rows = np.array([token.embeddings for token in answer.token_embeddings])
        self.assertEqual(rows.shape, (5, 20))
        mean = np.array(self.server.embed.Embed(pb.EmbedRequest(inputs="the cat sat")).embeddings)
        self.assertLess(np.abs(rows.mean(0) - mean).max(), 1e-5)
        self.assertEqual(len(answer.metadata.ListFields()), 6)

    def test_a_stream_of_200_messages_keeps_its_order(self):
        random = np.random.RandomState(3)
        texts = [" ".join(random.choice(WORDS[5:12], random.randint(1, 9))) for _ in range(200)]
        alone = [self.server.embed.Embed(pb.EmbedRequest(inputs=text)).embeddings for text in texts]
        stream = self.server.embed.EmbedStream((pb.EmbedRequest(inputs=text) for text in texts), timeout=PATIENCE)
        self.assertEqual([answer.embeddings for answer in stream], alone)
        rows = list(self.server.embed.EmbedAllStream(iter([pb.EmbedAllRequest(inputs="a cat")] * 3), timeout=PATIENCE))
        self.assertEqual([len(row.token_embeddings) for row in rows], [4] * 3)

    def test_the_first_bad_message_ends_a_stream(self):
        stream = self.server.embed.EmbedStream(iter([pb.EmbedRequest(inputs=text) for text in ("a", "b", "", "c")]),
                                               timeout=PATIENCE)
        self.assertTrue(next(stream).embeddings and next(stream).embeddings)
        self.assert_fails(CODE.INVALID_ARGUMENT, "inputs", lambda: next(stream))

    def test_rerank(self):
        texts = ["the cat sat", "a dog ran far away .", "mat", "a cat"]
        expected = self.command("rerank", "reranker", [{"query": "a cat", "documents": texts}])[0]["results"]
        answer = self.server.rerank.Rerank(pb.RerankRequest(query="a cat", texts=texts, return_text=True))
        self.assertEqual([(r.index, r.text) for r in answer.ranks], [(r["index"], texts[r["index"]]) for r in expected])
        self.assertEqual([r.score for r in answer.ranks], [float(np.float32(r["score"])) for r in expected])
        raw = self.server.rerank.Rerank(pb.RerankRequest(query="a cat", texts=texts, raw_scores=True))
        self.assertEqual([r.index for r in raw.ranks], [r["index"] for r in expected])
        self.assertFalse(raw.ranks[0].HasField("text"))
        for a, b in zip(answer.ranks, raw.ranks):
            self.assertAlmostEqual(a.score, 1 / (1 + np.exp(-b.score)), delta=1e-6)
        messages = [pb.RerankStreamRequest(query="a cat", text=text, return_text=i == 0) for i, text in enumerate(texts)]
        self.assertEqual(self.server.rerank.RerankStream(iter(messages), timeout=PATIENCE).ranks, answer.ranks)

    def test_predict(self):
        line = {"text": "the cat sat"}
        expected = self.command("classify", "classifier", [line])[0]
        answer = self.server.predict.Predict(pb.PredictRequest(inputs="the cat sat"))
        scores = [p.score for p in answer.predictions]
        self.assertEqual(scores, sorted(scores, reverse=True))
        self.assertAlmostEqual(sum(scores), 1, delta=1e-6)
        self.assertEqual({p.label for p in answer.predictions}, {"L0", "L1", "L2"})
        self.assertIn(answer.predictions[0].label, json.dumps(expected))
        raw = self.server.predict.Predict(pb.PredictRequest(inputs="the cat sat", raw_scores=True))
        logits = np.array([p.score for p in raw.predictions])
        self.assertLess(np.abs(np.exp(logits) / np.exp(logits).sum() - scores).max(), 1e-6)
        single = self.server.predict.PredictPair(pb.PredictPairRequest(inputs=["the cat sat"]))
        self.assertEqual(single.predictions, answer.predictions)
        pair = self.server.predict.PredictPair(pb.PredictPairRequest(inputs=["the cat", "sat"]))
        self.assertEqual(pair.metadata.compute_tokens, 6)
        streamed = list(self.server.predict.PredictPairStream(
            iter([pb.PredictPairRequest(inputs=["the cat", "sat"])] * 5), timeout=PATIENCE))
        self.assertEqual([s.predictions for s in streamed], [pair.predictions] * 5)
        streamed = self.server.predict.PredictStream(iter([pb.PredictRequest(inputs="the cat sat")]), timeout=PATIENCE)
        self.assertEqual(next(streamed).predictions, answer.predictions)

    def test_tokenize_and_decode(self):
        text = "a  cät, the dogs"
        answer = self.server.tokenize.Tokenize(pb.EncodeRequest(inputs=text, add_special_tokens=True))
        self.assertEqual([(t.id, t.special, t.text) for t in (answer.tokens[0], answer.tokens[-1])],
                         [(2, True, "[CLS]"), (3, True, "[SEP]")])
        self.assertFalse(answer.tokens[0].HasField("start") or answer.tokens[0].HasField("stop"))
        for token in answer.tokens[1:-1]:
            self.assertTrue(token.HasField("start") and not token.special)
            self.assertEqual(token.text, text[token.start:token.stop])  # characters, not bytes
        plain = self.server.tokenize.Tokenize(pb.EncodeRequest(inputs=text))
        self.assertEqual(list(plain.tokens), answer.tokens[1:-1])
        prompted = self.server.tokenize.Tokenize(pb.EncodeRequest(inputs=text, prompt_name="query"))
        self.assertEqual(prompted, self.server.tokenize.Tokenize(pb.EncodeRequest(inputs="query : " + text)))
        ids = [t.id for t in answer.tokens]
        self.assertEqual(self.server.tokenize.Decode(pb.DecodeRequest(ids=[2, 5, 6, 3], skip_special_tokens=True)).text,
                         "a cat")
        self.assertIn("[CLS]", self.server.tokenize.Decode(pb.DecodeRequest(ids=ids)).text)
        texts = self.server.tokenize.DecodeStream(iter([pb.DecodeRequest(ids=[5]), pb.DecodeRequest(ids=[6])]),
                                                  timeout=PATIENCE)
        self.assertEqual([t.text for t in texts], ["a", "cat"])
        streamed = self.server.tokenize.TokenizeStream(iter([pb.EncodeRequest(inputs=text)]), timeout=PATIENCE)
        self.assertEqual(next(streamed).tokens, plain.tokens)

    def test_errors(self):
        embed, long = self.server.embed.Embed, "cat " * 20
        self.assert_fails(CODE.INVALID_ARGUMENT, "inputs", lambda: embed(pb.EmbedRequest()))
        self.assert_fails(CODE.INVALID_ARGUMENT, "maximum context length is 16 tokens, however you requested 22 tokens", lambda: embed(pb.EmbedRequest(inputs=long)))
        self.assert_fails(CODE.INVALID_ARGUMENT, "truncation_direction",
                          lambda: embed(pb.EmbedRequest(inputs="a", truncation_direction=9)))
        self.assert_fails(CODE.INVALID_ARGUMENT, "prompt_name",
                          lambda: embed(pb.EmbedRequest(inputs="a", prompt_name="nope")))
        self.assert_fails(CODE.INVALID_ARGUMENT, "dimensions", lambda: embed(pb.EmbedRequest(inputs="a", dimensions=99)))
        self.assert_fails(CODE.RESOURCE_EXHAUSTED, "larger than max", lambda: embed(pb.EmbedRequest(inputs="a" * 200_000)))
        self.assert_fails(CODE.UNIMPLEMENTED, "sparse",
                          lambda: self.server.embed.EmbedSparse(pb.EmbedSparseRequest(inputs="a")))
        self.assert_fails(CODE.UNIMPLEMENTED, "sparse",
                          lambda: next(self.server.embed.EmbedSparseStream(iter([pb.EmbedSparseRequest(inputs="a")]))))
        self.assert_fails(CODE.INVALID_ARGUMENT, "texts", lambda: self.server.rerank.Rerank(pb.RerankRequest(query="a")))
        self.assert_fails(CODE.INVALID_ARGUMENT, "texts[1]",
                          lambda: self.server.rerank.Rerank(pb.RerankRequest(query="a", texts=["a", "cat " * 99])))
        self.assert_fails(CODE.INVALID_ARGUMENT, "message", lambda: self.server.rerank.RerankStream(iter([])))
        self.assert_fails(CODE.INVALID_ARGUMENT, "got 3",
                          lambda: self.server.predict.PredictPair(pb.PredictPairRequest(inputs=["a"] * 3)))
        self.assert_fails(CODE.INVALID_ARGUMENT, "ids", lambda: self.server.tokenize.Decode(pb.DecodeRequest()))
        self.assert_fails(CODE.INVALID_ARGUMENT, "inputs", lambda: self.server.tokenize.Tokenize(pb.EncodeRequest()))
        unknown = self.server.channel.unary_unary("/tei.v1.Embed/Nope")
        self.assert_fails(CODE.UNIMPLEMENTED, "", lambda: unknown(b""))
        compressed = pb.EmbedRequest(inputs="a " * 1000)
        self.assert_fails(CODE.UNIMPLEMENTED, "", lambda: embed(compressed, compression=grpc.Compression.Gzip))

    def test_truncate(self):
        words = [WORDS[5 + i % 7] for i in range(20)]
        for side, kept in ((pb.TRUNCATION_DIRECTION_RIGHT, words[:14]), (pb.TRUNCATION_DIRECTION_LEFT, words[-14:])):
            cut, call = self.server.embed.Embed.with_call(
                pb.EmbedRequest(inputs=" ".join(words), truncate=True, truncation_direction=side))
            self.assertEqual(cut.embeddings, self.server.embed.Embed(pb.EmbedRequest(inputs=" ".join(kept))).embeddings)
            self.assertEqual((cut.metadata.compute_tokens, dict(call.initial_metadata())["x-truncated-inputs"]), (16, "1"))

    def test_bytes_that_are_no_message(self):
        for method, kind in (("/tei.v1.Embed/Embed", "unary_unary"), ("/tei.v1.Embed/EmbedStream", "stream_stream")):
            for content in (b"\x0a\xff", b"\x0a\x02\xff\xfe"):  # cut off; not UTF-8
                with self.subTest(method=method, content=content):
                    call = getattr(self.server.channel, kind)(method)
                    run = (lambda: call(content)) if kind == "unary_unary" else (lambda: next(call(iter([content]))))
                    self.assert_fails(CODE.INVALID_ARGUMENT, "tei.v1.EmbedRequest", run)

    def test_32_clients_at_once_get_the_same_bytes_as_alone(self):
        random = np.random.RandomState(4)
        texts = [" ".join(random.choice(WORDS[5:12], random.randint(1, 13))) for _ in range(64)]
        alone = [self.server.embed.Embed(pb.EmbedRequest(inputs=text)).embeddings for text in texts]

        def client(number):
            with self.server.open() as channel:
                stub = rpc.EmbedStub(channel)
                return [stub.Embed(pb.EmbedRequest(inputs=texts[(number + i) % 64])).embeddings == alone[(number + i) % 64]
                        for i in range(20)]
        with concurrent.futures.ThreadPoolExecutor(32) as clients:
            self.assertTrue(all(all(same) for same in clients.map(client, range(32))))

    def test_health(self):
        for service in ("", "tei.v1.Info", "tei.v1.Embed", "tei.v1.Predict", "tei.v1.Rerank", "tei.v1.Tokenize"):
            self.assertEqual(self.server.check_health(service), health_pb.HealthCheckResponse.SERVING, service)
        self.assert_fails(CODE.NOT_FOUND, "", lambda: self.server.check_health("nope"))

    def test_reflection(self):
        requests = [reflection_pb.ServerReflectionRequest(list_services=""),
                    reflection_pb.ServerReflectionRequest(file_containing_symbol="tei.v1.Embed")]
        stub = reflection_rpc.ServerReflectionStub(self.server.channel)
        services, file = stub.ServerReflectionInfo(iter(requests), timeout=PATIENCE)
        self.assertEqual({s.name for s in services.list_services_response.service},
                         {"tei.v1.Info", "tei.v1.Embed", "tei.v1.Predict", "tei.v1.Rerank", "tei.v1.Tokenize",
                          "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"})
        self.assertIn(b"EmbedSparseStream", file.file_descriptor_response.file_descriptor_proto[0])


class Models(Case):
    def test_methods_that_no_model_can_serve(self):
        server = Server(self.folder, model="builtin:lexical")
        self.addCleanup(server.__exit__)
        self.assertEqual(len(server.embed.Embed(pb.EmbedRequest(inputs="a cat", normalize=True)).embeddings), 384)
        self.assertEqual(server.info.Info(pb.InfoRequest()).model_id, "builtin:lexical")
        self.assert_fails(CODE.FAILED_PRECONDITION, "model",
                          lambda: server.rerank.Rerank(pb.RerankRequest(query="a", texts=["a"])))
        self.assert_fails(CODE.FAILED_PRECONDITION, "model", lambda: server.predict.Predict(pb.PredictRequest(inputs="a")))
        self.assert_fails(CODE.UNIMPLEMENTED, "tokens", lambda: server.embed.EmbedAll(pb.EmbedAllRequest(inputs="a")))
        down = health_pb.HealthCheckResponse.NOT_SERVING
        self.assertEqual([server.check_health("tei.v1." + name) for name in ("Rerank", "Predict")], [down, down])
        self.assertEqual(server.check_health("tei.v1.Embed"), health_pb.HealthCheckResponse.SERVING)

    def test_tls(self):
        key, certificate = (os.path.join(self.folder, name) for name in ("key.pem", "certificate.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
                        "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                       check=True, capture_output=True)
        server = Server(self.folder, "--set", f"server.tls_key={key}", "--set", f"server.tls_certificate={certificate}",
                        tls=pathlib.Path(certificate).read_bytes())
        self.addCleanup(server.__exit__)
        self.assertEqual(len(server.embed.Embed(pb.EmbedRequest(inputs="a cat")).embeddings), 20)
        with server.open() as plain:
            self.assert_fails(CODE.UNAVAILABLE, "", lambda: rpc.EmbedStub(plain).Embed(pb.EmbedRequest(inputs="a")))

    def test_no_grpc_unless_asked_for(self):
        done = subprocess.run([BINARY, "config"], capture_output=True, text=True, timeout=PATIENCE, check=True)
        self.assertIn("grpc_port = -1", done.stdout)


class LongWork(Case):
    """A service with one worker, and work that keeps it busy for long."""

    # All different: equal ones would be computed once.
    TEXTS = [" ".join(WORDS[5 + (i >> shift) % 8] for shift in (0, 3, 6, 9)) + " cat sat on the mat ." * 17
             for i in range(1500)]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        write_model(cls.path("reranker"),
                    ReferenceModel("bert", seed=34, vocabulary=len(WORDS), positions=128, labels=1, hidden=256, heads=4,
                                   ffn=1024, layers=6))

    def setUp(self):
        self.server = Server(self.folder, "--threads", "1", "--set", "limits.request_ms=600000",
                             "--set", "limits.drain_ms=600000")
        self.addCleanup(self.server.__exit__)
        self.server.rerank.Rerank(pb.RerankRequest(query="a", texts=["a"]))  # loads the model
        self.wait_for_metric("garrison_grpc_calls_open 0")

    def start(self, count=None, **more):
        return self.server.rerank.Rerank.future(pb.RerankRequest(query="a", texts=self.TEXTS[:count]), **more)

    def wait_for_metric(self, line):
        end = time.monotonic() + 10
        while line not in (text := self.server.get("/metrics")):
            self.assertLess(time.monotonic(), end, f"{line} not in\n{text}")
            time.sleep(0.02)

    def test_cancel_frees_the_worker(self):
        call = self.start()
        time.sleep(0.5)
        self.assertFalse(call.done(), "the work is too short for this test")
        began = time.monotonic()
        call.cancel()
        self.server.embed.Embed(pb.EmbedRequest(inputs="a"), timeout=PATIENCE)
        self.assertLess(time.monotonic() - began, 5)
        self.wait_for_metric('garrison_grpc_messages_total{code="CANCELLED",method="tei.v1.Rerank/Rerank"} 1')
        self.wait_for_metric("garrison_grpc_calls_open 0")

    def test_a_client_that_vanishes_frees_the_worker(self):
        channel = self.server.open()
        rpc.RerankStub(channel).Rerank.future(pb.RerankRequest(query="a", texts=self.TEXTS))
        time.sleep(0.5)
        channel.close()
        self.wait_for_metric("garrison_grpc_calls_open 0")

    def test_deadline_stops_the_work(self):
        self.assert_fails(CODE.DEADLINE_EXCEEDED, "", lambda: self.start(timeout=0.3).result())
        self.server.embed.Embed(pb.EmbedRequest(inputs="a"), timeout=5)
        self.wait_for_metric("garrison_grpc_calls_open 0")

    def test_shutdown_drains(self):
        watch = self.server.health.Watch(health_pb.HealthCheckRequest(service="tei.v1.Rerank"))
        self.assertEqual(next(watch).status, health_pb.HealthCheckResponse.SERVING)
        call = self.start(60)
        self.wait_for_metric("garrison_grpc_calls_open 1")
        self.server.process.send_signal(signal.SIGTERM)
        self.assertEqual(next(watch).status, health_pb.HealthCheckResponse.NOT_SERVING)
        end = time.monotonic() + PATIENCE  # health says it first
        with self.assertRaises(grpc.RpcError) as refused:
            while time.monotonic() < end:
                self.server.embed.Embed(pb.EmbedRequest(inputs="a"))
        self.assertEqual(refused.exception.code(), CODE.UNAVAILABLE)
        self.assertEqual(len(call.result(10 * PATIENCE).ranks), 60)
        self.assertEqual(self.server.process.wait(PATIENCE), 0)

    def test_a_second_signal_cuts_off(self):
        call = self.start()
        self.wait_for_metric("garrison_grpc_calls_open 1")
        self.server.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        self.server.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.server.process.wait(15), 0)
        self.assertIsNotNone(call.exception(5))
        self.assertIn("1 requests were cut off", self.server.log_text())


def main():
    global BINARY
    BINARY = str(pathlib.Path(sys.argv.pop(1) if len(sys.argv) > 1 else "build/garrison").resolve())
    with tempfile.TemporaryDirectory() as folder:
        generate(folder)
        unittest.main()


if __name__ == "__main__":
    main()
