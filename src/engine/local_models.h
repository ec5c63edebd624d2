// The models that this process can have, each opened when it is first asked for.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "core/model_catalog.h"

namespace garrison {

// One open model with what it can do; absent ports are null.
struct LocalModel {
  ModelInfo info;
  std::shared_ptr<const Embedder> embedder;
  std::shared_ptr<const Reranker> reranker;
  std::shared_ptr<const Classifier> classifier;
  std::shared_ptr<const TextCodec> codec;

  // "embeds and tokenises"
  std::string Abilities() const;
};

struct ModelSource {
  std::string id;
  // What its files promise, for choosing among models that are not open yet.
  bool embeds = false;
  bool reranks = false;
  bool classifies = false;
  std::function<Result<LocalModel>()> open;  // any thread, one at a time
};

// Which model answers a request that names none.
enum class UnnamedModel {
  kFirst,      // the first one, able or not
  kFirstAble,  // the first one that promises the ability
};

class LocalModels final : public ModelCatalog {
 public:
  // `aliases` maps other names to ids of `sources`. A model that could not be opened is tried again
  // when someone asks for it, though not within kRetry of the last failure, or by Load() at once.
  LocalModels(std::vector<ModelSource> sources,
              std::map<std::string, std::string, std::less<>> aliases, UnnamedModel unnamed);

  Result<std::shared_ptr<const Embedder>> FindEmbedder(std::string_view name) const override;
  Result<std::shared_ptr<const Reranker>> FindReranker(std::string_view name) const override;
  Result<std::shared_ptr<const Classifier>> FindClassifier(std::string_view name) const override;
  Result<std::shared_ptr<const TextCodec>> FindCodec(std::string_view name) const override;
  std::vector<ModelStatus> List() const override;
  Result<bool> Load(std::string_view name) const override;

  static constexpr std::chrono::seconds kRetry{10};

 private:
  struct Slot {
    explicit Slot(ModelSource from) : source(std::move(from)) {}

    const ModelSource source;
    std::mutex opening;  // held while `open` runs

    mutable std::mutex mutex;  // guards the rest
    ModelState state = ModelState::kUnloaded;
    std::shared_ptr<const LocalModel> model;
    Error error;
    SteadyTime failed_at;
  };

  template <typename Port>
  Result<std::shared_ptr<const Port>> FindPort(std::string_view name, bool ModelSource::* promise,
                                               std::shared_ptr<const Port> LocalModel::* port,
                                               std::string_view job) const;
  // Null when there is none of that name.
  Slot* FindSlot(std::string_view name) const;
  tl::unexpected<Error> Unknown(std::string_view name) const;
  Result<std::shared_ptr<const LocalModel>> Open(Slot& slot, bool insist, bool& opened) const;

  const std::map<std::string, std::string, std::less<>> aliases_;
  const UnnamedModel unnamed_;
  const SystemClock clock_;
  std::vector<std::unique_ptr<Slot>> slots_;  // constant; each has its own synchronisation
};

}  // namespace garrison
