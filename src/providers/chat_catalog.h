// The language models of vendors by the names that clients use.
#pragma once

#include <memory>

#include "base/clock.h"
#include "base/log.h"
#include "core/chat.h"
#include "core/provider_settings.h"
#include "providers/providers.h"

namespace garrison {

// `providers`, `clock` and `logger` must outlive it and its models. INVALID_ARGUMENT for settings
// that do not fit. Names, in this order: an alias of chat.aliases; "" for chat.model;
// "PROVIDER/MODEL"; "claude-...", "gpt-...", "chatgpt-...", "o1...", "o3...", "o4..." and
// "deepseek-..." of the vendor that makes them. chat.model, however it is named, has the fallbacks
// of chat.fallbacks; no other model has any.
Result<std::unique_ptr<ChatCatalog>> MakeChatCatalog(const ProviderSettings& settings,
                                                     Providers& providers, const Clock& clock,
                                                     Logger& logger);

}  // namespace garrison
