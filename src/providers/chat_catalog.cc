#include "providers/chat_catalog.h"

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "providers/failure.h"
#include "providers/fallback_chat_model.h"

namespace garrison {
namespace {

struct Family {
  std::string_view prefix;
  std::string_view provider;
};
constexpr std::array kFamilies = {
    Family{"claude-", "anthropic"},  Family{"gpt-", "openai"}, Family{"chatgpt-", "openai"},
    Family{"o1", "openai"},          Family{"o3", "openai"},   Family{"o4", "openai"},
    Family{"deepseek-", "deepseek"},
};
constexpr std::string_view kLocal = "local";
constexpr std::string_view kNoLocal =
    "no language model runs on this machine; name one that runs elsewhere";

std::string IdOf(const ChatSource& source) { return source.provider + "/" + source.model; }

class Catalog final : public ChatCatalog {
 public:
  Catalog(const ProviderSettings& settings, Providers& providers, std::vector<ChatAlias> aliases,
          std::shared_ptr<const ChatModel> standard)
      : settings_(settings),
        providers_(providers),
        aliases_(std::move(aliases)),
        default_(std::move(standard)) {}

  Result<std::shared_ptr<const ChatModel>> Find(std::string_view name) const override;
  std::vector<ChatModelStatus> List() const override;

 private:
  Result<ChatSource> Resolve(std::string_view name) const;
  tl::unexpected<Error> NotFound(std::string_view name, std::string_view why) const;

  const ProviderSettings settings_;
  Providers& providers_;
  const std::vector<ChatAlias> aliases_;
  const std::shared_ptr<const ChatModel> default_;  // may be null
};

tl::unexpected<Error> Catalog::NotFound(std::string_view name, std::string_view why) const {
  std::string there;
  for (const ChatModelStatus& model : List()) {
    if (!model.available) continue;
    there += (there.empty() ? "" : ", ") + model.id;
    for (const std::string& alias : model.aliases) there += " (" + alias + ")";
  }
  return FailAt(
      "model", Code::kNotFound,
      "there is no model \"{}\" for conversations: {}; there are {}, and PROVIDER/MODEL of "
      "vendors that are set up",
      name.substr(0, 100), why, there.empty() ? "none in the settings" : there);
}

Result<ChatSource> Catalog::Resolve(std::string_view name) const {
  for (const ChatAlias& alias : aliases_) {
    if (alias.name == name) return alias.source;
  }
  if (name == kLocal || name.starts_with("local/")) {
    Error error{Code::kFailedPrecondition, std::string(kNoLocal), "model", std::nullopt,
                "model_not_available"};
    return tl::unexpected(std::move(error));
  }
  std::string full(name);
  for (const Family& family : kFamilies) {
    if (name.find('/') != std::string_view::npos || !name.starts_with(family.prefix)) continue;
    full = std::string(family.provider) + "/" + full;
    break;
  }
  Result<ChatSource> source = ParseChatSource(full);
  if (!source) return NotFound(name, "it is neither an alias nor a vendor's");
  if (const Result<> callable = CheckChatProvider(settings_, source->provider); !callable) {
    return NotFound(name, callable.error().Sentence());
  }
  return source;
}

Result<std::shared_ptr<const ChatModel>> Catalog::Find(std::string_view name) const {
  if (name.empty()) {
    if (default_ != nullptr) return default_;
    return NotFound("", "the request names none, and chat.model is not set");
  }
  ASSIGN_OR_RETURN(const ChatSource source, Resolve(name));
  if (default_ != nullptr && IdOf(source) == default_->id()) return default_;
  Result<std::shared_ptr<const RemoteChatModel>> model = providers_.OpenChat(source);
  if (!model) return NotFound(name, model.error().Sentence());
  return std::shared_ptr<const ChatModel>(*std::move(model));
}

std::vector<ChatModelStatus> Catalog::List() const {
  std::vector<ChatModelStatus> all;
  const auto status = [&all](const std::string& id) -> ChatModelStatus& {
    for (ChatModelStatus& known : all) {
      if (known.id == id) return known;
    }
    ChatModelStatus& added = all.emplace_back();
    added.id = id;
    added.provider = id.substr(0, id.find('/'));
    return added;
  };
  if (default_ != nullptr) status(default_->id());
  for (const std::string& name : SplitSetting(settings_.chat.fallbacks)) status(name);
  for (const ChatAlias& alias : aliases_) status(IdOf(alias.source)).aliases.push_back(alias.name);
  ChatModelStatus& local = status(std::string(kLocal));
  local.available = false;
  local.error = kNoLocal;
  return all;
}

Result<std::vector<FailureClass>> ClassesOf(const std::string& setting) {
  std::vector<FailureClass> classes;
  for (const std::string& name : SplitSetting(setting)) {
    const std::optional<FailureClass> kind = FailureOf(name);
    if (!kind) {
      return FailAt("chat.fallback_on", Code::kInvalidArgument,
                    "there is no class of failures \"{}\"; docs/providers.md lists them", name);
    }
    classes.push_back(*kind);
  }
  return classes;
}

Result<std::shared_ptr<const RemoteChatModel>> Open(std::string_view setting, std::string_view name,
                                                    Providers& providers) {
  const auto at = [&](Error error) {
    if (error.where.empty() || error.where == "model") error.where = setting;
    return tl::unexpected(std::move(error));
  };
  Result<ChatSource> source = ParseChatSource(name);
  if (!source) return at(std::move(source).error());
  Result<std::shared_ptr<const RemoteChatModel>> model = providers.OpenChat(*source);
  if (!model) return at(std::move(model).error());
  return model;
}

}  // namespace

Result<std::unique_ptr<ChatCatalog>> MakeChatCatalog(const ProviderSettings& settings,
                                                     Providers& providers, const Clock& clock,
                                                     Logger& logger) {
  const ChatSettings& s = settings.chat;
  ASSIGN_OR_RETURN(std::vector<ChatAlias> aliases, ParseChatAliases(s.aliases));
  // All are opened now: what is missing in the settings shows at the start.
  for (const ChatAlias& alias : aliases) {
    RETURN_IF_ERROR(Open("chat.aliases", IdOf(alias.source), providers));
  }
  ChatFallbackOptions options;
  options.total = std::chrono::milliseconds(s.total_ms);
  ASSIGN_OR_RETURN(options.on, ClassesOf(s.fallback_on));
  std::shared_ptr<const ChatModel> standard;
  if (!s.model.empty()) {
    ASSIGN_OR_RETURN(std::shared_ptr<const RemoteChatModel> first,
                     Open("chat.model", s.model, providers));
    std::vector<std::shared_ptr<const RemoteChatModel>> models = {std::move(first)};
    for (const std::string& name : SplitSetting(s.fallbacks)) {
      ASSIGN_OR_RETURN(std::shared_ptr<const RemoteChatModel> next,
                       Open("chat.fallbacks", name, providers));
      models.push_back(std::move(next));
    }
    standard = std::make_shared<const FallbackChatModel>(std::move(models), std::move(options),
                                                         clock, logger);
  }
  std::set<std::string> vendors;
  for (const ChatAlias& alias : aliases) vendors.insert(alias.source.provider);
  for (const std::string& name : SplitSetting(s.model + "," + s.fallbacks)) {
    vendors.insert(name.substr(0, name.find('/')));
  }
  for (const std::string& vendor : vendors) {
    for (const std::string& line : providers.ChatWarnings(vendor)) logger.Warning("{}", line);
  }
  return std::make_unique<Catalog>(settings, providers, std::move(aliases), std::move(standard));
}

}  // namespace garrison
