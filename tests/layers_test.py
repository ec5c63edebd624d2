"""The layer check itself: every kind of violation must be found."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tools"))
import check_layers  # noqa: E402

RULES = {
    "modules": {"base": [], "core": ["base"], "net": ["base"]},
    "third_party": {"boost/": ["net"], "fmt/": ["*"], "gtest/": ["test"]},
}


class LayersTest(unittest.TestCase):
    def check(self, files, rules=RULES):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for module in ("base", "core", "net"):
                (root / "src" / module).mkdir(parents=True)
                (root / "src" / module / "CMakeLists.txt").write_text(f"garrison_module({module}\n SOURCES x.cc)\n")
            for name, text in files.items():
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return check_layers.problems(root, rules)

    def test_allowed_includes_pass(self):
        self.assertEqual([], self.check({
            "src/core/a.h": '#include "base/x.h"\n#include "core/b.h"\n#include <vector>\n#include <sys/mman.h>\n',
            "src/net/a.cc": "#include <boost/asio.hpp>\n#include <fmt/core.h>\n",
            "src/core/a_test.cc": "#include <gtest/gtest.h>\n"}))

    def test_upward_include(self):
        self.assertIn("src/base/a.h:1", self.check({"src/base/a.h": '#include "core/x.h"\n'})[0])

    def test_sideways_include(self):
        self.assertIn("net may not include", self.check({"src/net/a.cc": '# include "core/x.h"\n'})[0])

    def test_foreign_third_party(self):
        self.assertIn("belongs to net", self.check({"src/core/a.cc": "#include <boost/asio.hpp>\n"})[0])

    def test_test_library_in_product_code(self):
        self.assertIn("belongs to test", self.check({"src/core/a.cc": "#include <gtest/gtest.h>\n"})[0])

    def test_unlisted_third_party(self):
        self.assertIn("not listed", self.check({"src/core/a.cc": "#include <zlib/z.h>\n"})[0])

    def test_unlisted_module(self):
        self.assertIn("src/extra", self.check({"src/extra/CMakeLists.txt": ""})[0])

    def test_upward_link(self):
        self.assertIn("may not link core", self.check(
            {"src/base/CMakeLists.txt": "garrison_module(base\n  USES core\n  SOURCES x.cc)\n"})[0])

    def test_rules_that_point_upward(self):
        rules = dict(RULES, modules={"base": ["core"], "core": [], "net": []})
        self.assertIn("not below it", self.check({}, rules)[0])


if __name__ == "__main__":
    unittest.main()
