#!/usr/bin/env python3
"""The short form of the load and fault runs: what must hold at any speed.

load_test.py GARRISON_BINARY LOAD_GENERATOR [unittest arguments]"""
import os
import pathlib
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "bench" / "load"))
from generator import begin_load, end_load, run_load  # noqa: E402

from model_fixtures import make_models  # noqa: E402
from service import Service  # noqa: E402

BINARY, GENERATOR = "", ""
# Ids of the tiny model's words, different in each request.
BODY = '{"input":[[2,1@,1@,1@,1@,1@,3]]}'
# Without the cache: it is the engine's work that is looked at.
MANY = {"limits.connections": 4000, "limits.connections_per_address": 4000, "cache.memory_bytes": 0}


class Load(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        make_models(cls.folder.name)
        cls.model = os.path.join(cls.folder.name, "tiny-embedder")

    def serve(self, **settings):
        service = Service(BINARY, "--model", self.model, "--dtype", "f32", "--threads", "1", **{**MANY, **settings})
        self.addCleanup(service.__exit__)
        return service

    def test_every_request_is_answered_once_at_a_constant_rate_and_at_saturation(self):
        service = self.serve()
        steady = run_load(GENERATOR, service.port, "open", BODY, "/v1/embeddings", rate=200, seconds=2, connections=16)
        self.assertEqual(steady["status"], {"200": steady["answered"]})
        self.assertEqual((steady["lost"], steady["unanswered"], steady["reconnects"]), (0, 0, 0))
        self.assertGreaterEqual(steady["answered"], 395)
        full = run_load(GENERATOR, service.port, "closed", BODY, "/v1/embeddings", seconds=2, connections=32)
        self.assertEqual(full["status"], {"200": full["answered"]})
        self.assertEqual(full["lost"], 0)
        # Every answered request is in the log, and requests shared passes.
        self.assertEqual(len(service.access_lines()), steady["sent"] + full["sent"])
        self.assertLess(service.metric("garrison_passes_total"), service.metric("garrison_pass_sequences_total"))
        self.assertEqual(service.stop(), 0)

    def test_equal_texts_in_flight_are_computed_once(self):
        service = self.serve()
        run_load(GENERATOR, service.port, "closed", '{"input":[[2,5,6,7,3]]}', "/v1/embeddings", seconds=1, connections=32)
        self.assertGreater(service.metric("garrison_shared_sequences_total"), 0)

    def test_misbehaving_clients_harm_nobody(self):
        service = self.serve(**{"limits.header_ms": 1000, "limits.body_ms": 1500, "limits.write_ms": 1500})
        run_load(GENERATOR, service.port, "closed", BODY, "/v1/embeddings", seconds=1, connections=16)
        resident = service.resident_bytes()
        bad = begin_load(GENERATOR, service.port, "faults", BODY, "/v1/embeddings", seconds=6, connections=60)
        good = run_load(GENERATOR, service.port, "open", BODY, "/v1/embeddings", rate=100, seconds=5, connections=8)
        harm = end_load(bad)
        self.assertEqual(good["status"], {"200": good["answered"]})
        self.assertEqual((good["lost"], good["unanswered"], good["reconnects"]), (0, 0, 0))
        self.assertGreater(harm["sent"], 60)
        self.assertEqual(set(harm["status"]), {"413"})
        end = time.monotonic() + 60
        while service.metric("garrison_connections_open") > 1 and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(service.metric("garrison_connections_open"), 1)  # the one that asks
        self.assertEqual(service.metric("te_queue_size"), 0)
        if not os.environ.get("GARRISON_SANITIZED"):
            self.assertLess(service.resident_bytes() - resident, 32e6)
        self.assertEqual(service.stop(), 0)

    def test_idle_connections_cost_little_and_do_not_stand_in_the_way(self):
        service = self.serve()
        before = service.resident_bytes()
        idle = begin_load(GENERATOR, service.port, "idle", "", "/health", seconds=300, connections=2000)
        self.addCleanup(idle.communicate)
        self.addCleanup(idle.kill)
        end = time.monotonic() + 60
        while service.metric("garrison_connections_open") < 2001 and time.monotonic() < end:
            time.sleep(0.05)
        self.assertGreaterEqual(service.metric("garrison_connections_open"), 2001)
        if not os.environ.get("GARRISON_SANITIZED"):
            self.assertLess((service.resident_bytes() - before) / 2000, 15e3)
        good = run_load(GENERATOR, service.port, "closed", BODY, "/v1/embeddings", seconds=0.5, connections=4)
        self.assertEqual(good["status"], {"200": good["answered"]})
        self.assertGreaterEqual(service.metric("garrison_connections_open"), 2001)

    def test_overload_is_refused_at_once_with_a_time(self):
        service = self.serve(**{"limits.queue": 2, "server.workers": 1})
        full = run_load(GENERATOR, service.port, "closed", BODY, "/v1/embeddings", seconds=1, connections=200)
        self.assertEqual(set(full["status"]), {"200", "429"})
        self.assertEqual(full["lost"], 0)


if __name__ == "__main__":
    BINARY, GENERATOR = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
