#include "engine/local_models.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

namespace garrison {
namespace {

constexpr std::size_t kNameShown = 100;  // of a name that may come from a client

}  // namespace

std::string LocalModel::Abilities() const {
  std::vector<std::string_view> can;
  if (embedder != nullptr) can.push_back("embeds");
  if (reranker != nullptr) can.push_back("reranks");
  if (classifier != nullptr) can.push_back("classifies");
  if (codec != nullptr) can.push_back("tokenises");
  return fmt::format("{}", fmt::join(can, " and "));
}

LocalModels::LocalModels(std::vector<ModelSource> sources,
                         std::map<std::string, std::string, std::less<>> aliases,
                         UnnamedModel unnamed)
    : aliases_(std::move(aliases)), unnamed_(unnamed) {
  for (ModelSource& source : sources) slots_.push_back(std::make_unique<Slot>(std::move(source)));
}

LocalModels::Slot* LocalModels::FindSlot(std::string_view name) const {
  const auto alias = aliases_.find(name);
  const std::string_view id = alias == aliases_.end() ? name : alias->second;
  for (const auto& slot : slots_) {
    if (slot->source.id == id) return slot.get();
  }
  return nullptr;
}

tl::unexpected<Error> LocalModels::Unknown(std::string_view name) const {
  std::vector<std::string_view> names;
  for (const auto& slot : slots_) names.push_back(slot->source.id);
  return FailAt("model", Code::kNotFound, "there is no model \"{}\"; this machine has {}",
                name.substr(0, kNameShown), fmt::join(names, ", "));
}

Result<std::shared_ptr<const LocalModel>> LocalModels::Open(Slot& slot, bool insist,
                                                            bool& opened) const {
  opened = false;
  const std::lock_guard one_at_a_time(slot.opening);
  {
    const std::lock_guard lock(slot.mutex);
    if (slot.model != nullptr) return slot.model;
    if (slot.state == ModelState::kFailed && !insist && clock_.Now() < slot.failed_at + kRetry) {
      return tl::unexpected(slot.error);
    }
    slot.state = ModelState::kLoading;
  }
  Result<LocalModel> model = slot.source.open();
  const std::lock_guard lock(slot.mutex);
  if (!model) {
    slot.state = ModelState::kFailed;
    slot.error = std::move(model).error();
    slot.failed_at = clock_.Now();
    return tl::unexpected(slot.error);
  }
  model->info.id = slot.source.id;
  slot.state = ModelState::kLoaded;
  slot.model = std::make_shared<const LocalModel>(*std::move(model));
  opened = true;
  return slot.model;
}

template <typename Port>
Result<std::shared_ptr<const Port>> LocalModels::FindPort(
    std::string_view name, bool ModelSource::* promise,
    std::shared_ptr<const Port> LocalModel::* port, std::string_view job) const {
  Slot* found = name.empty() ? slots_.front().get() : FindSlot(name);
  if (found == nullptr) return Unknown(name);
  if (name.empty() && unnamed_ == UnnamedModel::kFirstAble && promise != nullptr) {
    for (const auto& slot : slots_) {
      if (!(slot->source.*promise)) continue;
      found = slot.get();
      break;
    }
  }
  bool opened = false;
  ASSIGN_OR_RETURN(const std::shared_ptr<const LocalModel> model, Open(*found, false, opened));
  if ((*model).*port != nullptr) return (*model).*port;
  return FailAt("model", Code::kFailedPrecondition, "{} does not {}; it {}", model->info.id, job,
                model->Abilities());
}

Result<std::shared_ptr<const Embedder>> LocalModels::FindEmbedder(std::string_view name) const {
  return FindPort(name, &ModelSource::embeds, &LocalModel::embedder, "embed");
}
Result<std::shared_ptr<const Reranker>> LocalModels::FindReranker(std::string_view name) const {
  return FindPort(name, &ModelSource::reranks, &LocalModel::reranker, "rerank");
}
Result<std::shared_ptr<const Classifier>> LocalModels::FindClassifier(std::string_view name) const {
  return FindPort(name, &ModelSource::classifies, &LocalModel::classifier, "classify");
}
Result<std::shared_ptr<const TextCodec>> LocalModels::FindCodec(std::string_view name) const {
  return FindPort(name, nullptr, &LocalModel::codec, "tokenise");
}

std::vector<ModelStatus> LocalModels::List() const {
  std::vector<ModelStatus> all;
  for (const auto& slot : slots_) {
    ModelStatus status;
    status.info.id = slot->source.id;
    status.embeds = slot->source.embeds;
    status.reranks = slot->source.reranks;
    status.classifies = slot->source.classifies;
    for (const auto& [alias, id] : aliases_) {
      if (id == slot->source.id) status.aliases.push_back(alias);
    }
    const std::lock_guard lock(slot->mutex);
    status.state = slot->state;
    if (slot->state == ModelState::kFailed) status.error = slot->error.ToString();
    if (slot->model != nullptr) {
      status.info = slot->model->info;
      status.embeds = slot->model->embedder != nullptr;
      status.reranks = slot->model->reranker != nullptr;
      status.classifies = slot->model->classifier != nullptr;
      if (status.classifies) status.labels = slot->model->classifier->labels();
    }
    all.push_back(std::move(status));
  }
  return all;
}

Result<bool> LocalModels::Load(std::string_view name) const {
  Slot* slot = name.empty() ? slots_.front().get() : FindSlot(name);
  if (slot == nullptr) return Unknown(name);
  bool opened = false;
  ASSIGN_OR_RETURN(const auto model, Open(*slot, true, opened));
  return opened;
}

}  // namespace garrison
