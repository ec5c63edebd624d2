// For tests: a small world in which harm has its own words, and a guard trained on it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/test_embedder.h"
#include "guard/measured_train.h"

namespace garrison {

// Sentences of ordinary words, some with a word of harm or of going along.
class SmallWorld {
 public:
  explicit SmallWorld(std::uint64_t seed) : state_(seed) {}

  std::string Message(bool harmful) { return Words(9) + (harmful ? Harm() : " ") + Words(4); }
  std::string Reply(bool risky) {
    return Words(7) + (risky ? " certainly here goes" + Harm() : " sorry never that ") + Words(4);
  }

  MeasuredTraining Training(std::size_t turns, std::size_t dialogues) {
    MeasuredTraining out;
    for (std::size_t i = 0; i < turns; ++i) {
      TrainingTurn turn;
      const bool harmful = i % 2 == 0;
      const bool risky = i % 4 < 2;
      turn.user = Message(harmful);
      turn.model = Reply(risky);
      turn.labels = {harmful, risky, risky};
      turn.group = "turn " + std::to_string(i);
      turn.source = "small world";
      turn.language = "en";
      turn.split = SplitOf(turn.group);
      out.turns.push_back(std::move(turn));
    }
    for (std::size_t i = 0; i < dialogues; ++i) {
      TrainingDialogue dialogue;
      dialogue.id = "d" + std::to_string(i);
      dialogue.attack = i % 4 == 0;
      for (int n = 1; n <= 4; ++n) {
        const bool bad = dialogue.attack && n > 1;
        dialogue.turns.push_back({n, Message(bad), Reply(bad)});
      }
      dialogue.group = dialogue.id;
      dialogue.source = "small world";
      dialogue.split = SplitOf(dialogue.group);
      out.dialogues.push_back(std::move(dialogue));
    }
    out.turns_sha256 = std::string(64, 'a');
    out.dialogues_sha256 = std::string(64, 'b');
    out.anchors = {{"safe", {"the quiet street after school"}}, {"harmful", {"zap quiz jinx"}}};
    out.conversation_false_alarms = 0.05;
    out.turn_false_alarms = 0.05;
    out.candidates = {{Representation::kCentred, 0.1, 1}, {Representation::kWhitened, 1, 1}};
    return out;
  }

 private:
  std::uint64_t Next(std::uint64_t below) {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return (state_ >> 33) % below;
  }
  std::string Words(int count) {
    static const std::vector<std::string> kWords = {
        "the",   "house",  "was",   "built",  "near",   "river", "and",  "people", "would", "often",
        "walk",  "there",  "with",  "their",  "water",  "light", "made", "every",  "home",  "again",
        "quiet", "street", "after", "school", "dinner", "that",  "have", "been",   "early", "but"};
    std::string out;
    for (int i = 0; i < count; ++i) out += kWords[Next(kWords.size())] + " ";
    return out;
  }
  std::string Harm() {
    static const std::vector<std::string> kWords = {" zap quiz ", " jinx quiz ", " zap jinx "};
    return kWords[Next(kWords.size())];
  }

  std::uint64_t state_;
};

// Trained once, on 1,200 turns and 600 dialogues.
inline const GuardFile& SmallGuard() {
  static const GuardFile kFile =
      TrainMeasured(TestEmbedder(), SmallWorld(1).Training(1200, 600), [](const std::string&) {
      }).value();
  return kFile;
}

}  // namespace garrison
