// The handlers of the route table, by the file they live in.
#pragma once

#include "server/call.h"

namespace garrison {

// handlers_embed.cc
Result<HttpResponse> HandleOpenAiEmbeddings(Call& call);
// OpenAI's shape, or with "texts" that of the home-grown manager.
Result<HttpResponse> HandleAnyEmbeddings(Call& call);
Result<HttpResponse> HandleTeiEmbed(Call& call);
Result<HttpResponse> HandleTeiEmbedAll(Call& call);
Result<HttpResponse> HandleTeiSimilarity(Call& call);
Result<HttpResponse> HandleOllamaEmbed(Call& call);
Result<HttpResponse> HandleOllamaEmbeddings(Call& call);

// handlers_chat.cc
Result<HttpResponse> HandleOpenAiChat(Call& call);
Result<HttpResponse> HandleOpenAiCompletions(Call& call);
Result<HttpResponse> HandleAnthropicMessages(Call& call);
Result<HttpResponse> HandleAnthropicCountTokens(Call& call);

// handlers_score.cc
// By the body: "texts" is text-embeddings-inference, "candidates" the home-grown manager, anything
// else Cohere and Jina.
Result<HttpResponse> HandleRerank(Call& call);
Result<HttpResponse> HandleTeiPredict(Call& call);
// By the body: "pattern_description" is the home-grown manager, anything else Infinity.
Result<HttpResponse> HandleClassify(Call& call);
// text-embeddings-inference's POST /: what the default model is for.
Result<HttpResponse> HandleTeiDefault(Call& call);
Result<HttpResponse> HandleOpenAiModerations(Call& call);

// handlers_guard.cc
Result<HttpResponse> HandleCheckSafety(Call& call);
Result<HttpResponse> HandleCheckBatch(Call& call);
Result<HttpResponse> HandleGetConversation(Call& call);
Result<HttpResponse> HandleDeleteConversation(Call& call);
Result<HttpResponse> HandleExportConversation(Call& call);
Result<HttpResponse> HandleImportConversation(Call& call);

// handlers_budget.cc
Result<HttpResponse> HandleBudgetStatus(Call& call);
Result<HttpResponse> HandleBudgetUnlock(Call& call);

// handlers_models.cc
Result<HttpResponse> HandleOpenAiModels(Call& call);
Result<HttpResponse> HandleOpenAiModel(Call& call);
Result<HttpResponse> HandleTeiInfo(Call& call);
Result<HttpResponse> HandleTeiTokenize(Call& call);
Result<HttpResponse> HandleTeiDecode(Call& call);
Result<HttpResponse> HandleOllamaTags(Call& call);
Result<HttpResponse> HandleOllamaPs(Call& call);
Result<HttpResponse> HandleOllamaShow(Call& call);
Result<HttpResponse> HandleHomeLoad(Call& call);
Result<HttpResponse> HandleHomeInfer(Call& call);
Result<HttpResponse> HandleHomeStatus(Call& call);
Result<HttpResponse> HandleHomeWarmup(Call& call);

// handlers_service.cc
Result<HttpResponse> HandleHealth(Call& call);
Result<HttpResponse> HandleReady(Call& call);
Result<HttpResponse> HandleVersion(Call& call);
Result<HttpResponse> HandleMetrics(Call& call);
Result<HttpResponse> HandleOpenApi(Call& call);
// A page for browsers; one line of text for others.
Result<HttpResponse> HandleRoot(Call& call);
Result<HttpResponse> HandleDocs(Call& call);
Result<HttpResponse> HandleAsset(Call& call);

}  // namespace garrison
