#include "server/routes.h"

#include <array>

#include "server/handlers.h"

namespace garrison {
namespace {

constexpr std::string_view kTexts = "limits.inputs_per_request limits.input_bytes";
constexpr std::string_view kTurns =
    "limits.input_bytes limits.conversation_turns guard.conversations";
constexpr std::string_view kChat =
    "limits.inputs_per_request limits.input_bytes limits.body_bytes limits.request_ms";
constexpr bool kStreams = true;
constexpr bool kQuick = true;

constexpr Dialect kOpenAi = Dialect::kOpenAi;
constexpr Dialect kAnthropic = Dialect::kAnthropic;
constexpr Dialect kTei = Dialect::kTei;
constexpr Dialect kCohere = Dialect::kCohere;
constexpr Dialect kOllama = Dialect::kOllama;
constexpr Dialect kHome = Dialect::kHome;

// clang-format off
constexpr std::array kRoutes = {
    // OpenAI
    Route{"POST", "/v1/chat/completions", kOpenAi, Scope::kChat, HandleOpenAiChat,
          "The next message of a conversation", kChat, "OpenAiChatRequest", "OpenAiChat", kStreams},
    Route{"POST", "/v1/completions", kOpenAi, Scope::kChat, HandleOpenAiCompletions,
          "The older route: one text to an answer", kChat, "OpenAiCompletionRequest",
          "OpenAiCompletion", kStreams},
    Route{"POST", "/v1/embeddings", kOpenAi, Scope::kEmbed, HandleOpenAiEmbeddings,
          "Texts or token ids to vectors", kTexts, "OpenAiEmbeddingsRequest", "OpenAiEmbeddings"},
    Route{"POST", "/embeddings", kOpenAi, Scope::kEmbed, HandleAnyEmbeddings,
          "The same; with \"texts\", the home-grown manager's shape", kTexts, "AnyEmbeddingsRequest",
          "AnyEmbeddings"},
    Route{"GET", "/v1/models", kOpenAi, Scope::kEmbed, HandleOpenAiModels,
          "The models of this machine and their state", "", "", "OpenAiModels"},
    Route{"GET", "/v1/models/*", kOpenAi, Scope::kEmbed, HandleOpenAiModel,
          "One model, by its name or an alias", "", "", "OpenAiModel"},
    Route{"POST", "/v1/moderations", kOpenAi, Scope::kEmbed, HandleOpenAiModerations,
          "What the guard and, where there is one, a toxicity classifier say of texts", kTexts,
          "OpenAiModerationsRequest", "OpenAiModerations"},

    // Anthropic
    Route{"POST", "/v1/messages", kAnthropic, Scope::kChat, HandleAnthropicMessages,
          "The next message of a conversation", kChat, "AnthropicMessagesRequest",
          "AnthropicMessage", kStreams},
    Route{"POST", "/v1/messages/count_tokens", kAnthropic, Scope::kChat,
          HandleAnthropicCountTokens, "Tokens that a conversation has, where a vendor counts them",
          kChat, "AnthropicCountTokensRequest", "AnthropicTokenCount"},

    // text-embeddings-inference
    Route{"POST", "/embed", kTei, Scope::kEmbed, HandleTeiEmbed, "Texts or token ids to vectors",
          kTexts, "TeiEmbedRequest", "Vectors"},
    Route{"POST", "/embed_all", kTei, Scope::kEmbed, HandleTeiEmbedAll,
          "A vector for every token, without pooling", kTexts, "TeiEmbedRequest", "TokenVectors"},
    Route{"POST", "/predict", kTei, Scope::kEmbed, HandleTeiPredict,
          "Texts or pairs to scored labels", kTexts, "TeiPredictRequest", "TeiPredictions"},
    Route{"POST", "/similarity", kTei, Scope::kEmbed, HandleTeiSimilarity,
          "Cosine of one sentence with each of several", kTexts, "TeiSimilarityRequest", "Vector"},
    Route{"POST", "/tokenize", kTei, Scope::kEmbed, HandleTeiTokenize,
          "Texts to the default model's tokens", kTexts, "TeiTokenizeRequest", "TeiTokens"},
    Route{"POST", "/decode", kTei, Scope::kEmbed, HandleTeiDecode, "Token ids to texts", kTexts,
          "TeiDecodeRequest", "Texts"},
    Route{"GET", "/info", kTei, Scope::kEmbed, HandleTeiInfo, "The default model and the limits",
          "", "", "TeiInfo"},
    Route{"POST", "/", kTei, Scope::kEmbed, HandleTeiDefault,
          "What the default model is for: /embed, /rerank or /predict", kTexts, "AnyObject", "Any"},

    // Cohere, Jina, Infinity
    Route{"POST", "/rerank", kCohere, Scope::kEmbed, HandleRerank,
          "Documents by relevance to a query; \"texts\" is text-embeddings-inference's shape, "
          "\"candidates\" the home-grown manager's",
          kTexts, "AnyRerankRequest", "Any"},
    Route{"POST", "/v1/rerank", kCohere, Scope::kEmbed, HandleRerank,
          "Documents by relevance to a query", kTexts, "CohereRerankRequest", "CohereRerank"},
    Route{"POST", "/v2/rerank", kCohere, Scope::kEmbed, HandleRerank,
          "Documents by relevance to a query", kTexts, "CohereRerankRequest", "CohereRerank"},
    Route{"POST", "/reranking", kCohere, Scope::kEmbed, HandleRerank,
          "Documents by relevance to a query", kTexts, "CohereRerankRequest", "CohereRerank"},
    Route{"POST", "/classify", kOpenAi, Scope::kEmbed, HandleClassify,
          "Texts to scored labels, Infinity's shape", kTexts, "ClassifyRequest", "Classify"},

    // Ollama
    Route{"POST", "/api/embed", kOllama, Scope::kEmbed, HandleOllamaEmbed, "Texts to vectors",
          kTexts, "OllamaEmbedRequest", "OllamaEmbed"},
    Route{"POST", "/api/embeddings", kOllama, Scope::kEmbed, HandleOllamaEmbeddings,
          "One text to a vector (the older route)", kTexts, "OllamaEmbeddingsRequest",
          "OllamaEmbeddings"},
    Route{"GET", "/api/tags", kOllama, Scope::kEmbed, HandleOllamaTags, "The models", "", "",
          "OllamaTags"},
    Route{"GET", "/api/ps", kOllama, Scope::kEmbed, HandleOllamaPs, "The models that are loaded",
          "", "", "OllamaTags"},
    Route{"POST", "/api/show", kOllama, Scope::kEmbed, HandleOllamaShow, "One model", "",
          "OllamaShowRequest", "OllamaShow"},
    Route{"GET", "/api/version", kOllama, Scope::kOpen, HandleVersion, "The version", "", "",
          "Version", !kStreams, kQuick},

    // The guard
    Route{"POST", "/check-safety", kOpenAi, Scope::kEmbed, HandleCheckSafety,
          "Scores the next turn of a conversation", kTurns, "SafetyRequest", "Safety"},
    Route{"POST", "/v1/guard/check-batch", kOpenAi, Scope::kEmbed, HandleCheckBatch,
          "Scores several turns; each has its own answer or error",
          "limits.inputs_per_request limits.input_bytes limits.conversation_turns "
          "guard.conversations",
          "SafetyBatchRequest", "SafetyBatch"},
    Route{"GET", "/v1/guard/conversations/*/export", kOpenAi, Scope::kEmbed,
          HandleExportConversation, "A conversation's state, to be taken over elsewhere", "", "",
          "ConversationExport"},
    Route{"GET", "/v1/guard/conversations/*", kOpenAi, Scope::kEmbed, HandleGetConversation,
          "A conversation and its last turns", "", "", "Conversation"},
    Route{"PUT", "/v1/guard/conversations/*", kOpenAi, Scope::kEmbed, HandleImportConversation,
          "Takes over an exported conversation; ?replace=true replaces one that is there",
          "guard.conversations", "ConversationExport", "Conversation"},
    Route{"DELETE", "/v1/guard/conversations/*", kOpenAi, Scope::kEmbed, HandleDeleteConversation,
          "Forgets a conversation", "", "", "ConversationDeleted"},

    // The two home-grown services
    Route{"POST", "/classify-pattern", kHome, Scope::kEmbed, HandleClassify,
          "Category and priority of a pattern; needs a text-to-text model", kTexts,
          "HomeClassifyRequest", "AnyObject"},
    Route{"POST", "/models/load", kHome, Scope::kAdmin, HandleHomeLoad, "Loads a model", "",
          "HomeLoadRequest", "HomeLoad"},
    Route{"POST", "/models/infer", kHome, Scope::kEmbed, HandleHomeInfer,
          "Runs a model for what it is made for", kTexts, "HomeInferRequest", "HomeInfer"},
    Route{"GET", "/models/status", kHome, Scope::kEmbed, HandleHomeStatus,
          "The first embedder, reranker and classifier", "", "", "HomeStatus"},
    Route{"POST", "/models/warmup", kHome, Scope::kAdmin, HandleHomeWarmup, "Loads every model", "",
          "", "HomeWarmup"},

    // The budget
    Route{"GET", "/api/budget/status", kHome, Scope::kAdmin, HandleBudgetStatus,
          "What paid calls have cost, and what they still may", "", "", "BudgetStatus"},
    Route{"POST", "/api/budget/unlock", kHome, Scope::kAdmin, HandleBudgetUnlock,
          "Until the month ends its limits count in full; no kill switch, no model frozen", "", "",
          "BudgetStatus"},

    // The service
    Route{"GET", "/health", kOpenAi, Scope::kOpen, HandleHealth,
          "200 while the process lives, however busy it is", "", "", "Health", !kStreams, kQuick},
    Route{"GET", "/ready", kOpenAi, Scope::kOpen, HandleReady, "200 while it takes work", "", "",
          "Ready", !kStreams, kQuick},
    Route{"GET", "/ping", kTei, Scope::kOpen, HandleHealth, "As /health", "", "", "Health", !kStreams, kQuick},
    Route{"GET", "/metrics", kOpenAi, Scope::kOpen, HandleMetrics, "Prometheus text format", "", "",
          "", !kStreams, kQuick},
    Route{"GET", "/openapi.json", kOpenAi, Scope::kOpen, HandleOpenApi, "This document"},
    Route{"GET", "/api-doc/openapi.json", kTei, Scope::kOpen, HandleOpenApi, "This document"},
    Route{"GET", "/", kOpenAi, Scope::kOpen, HandleRoot,
          "A page for browsers, one line of text for others", "", "", "", !kStreams, kQuick},
    Route{"GET", "/docs", kOpenAi, Scope::kOpen, HandleDocs, "These routes as a page", "", "", "",
          !kStreams, kQuick},
    Route{"GET", "/assets/*", kOpenAi, Scope::kOpen, HandleAsset, "Parts of the pages", "", "", "",
          !kStreams, kQuick},
};
// clang-format on

}  // namespace

std::span<const Route> Routes() { return kRoutes; }

std::string_view TagOf(const Route& route) {
  if (route.scope == Scope::kOpen) return "Service";
  if (route.path == "/check-safety" || route.path.starts_with("/v1/guard/")) return "Guard";
  switch (route.dialect) {
    case Dialect::kOpenAi:
      return route.path == "/classify" ? "Cohere, Jina, Infinity" : "OpenAI";
    case Dialect::kAnthropic:
      return "Anthropic";
    case Dialect::kTei:
      return "text-embeddings-inference";
    case Dialect::kCohere:
      return "Cohere, Jina, Infinity";
    case Dialect::kOllama:
      return "Ollama";
    case Dialect::kHome:
      return "Model manager and registry";
  }
  return "Service";
}

}  // namespace garrison
