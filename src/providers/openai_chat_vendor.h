// Conversations in OpenAI's shape: OpenAI, Azure OpenAI, DeepSeek, the router of Hugging Face, and
// everyone else who speaks it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "providers/chat_vendor.h"

namespace garrison {

struct OpenAiChatVendorOptions {
  std::string provider;  // "openai", "azure", "deepseek", "huggingface", "custom"
  std::string url;       // of the completions themselves
  std::string model;
  std::vector<HttpHeader> headers;
  std::vector<std::string> secrets;  // masked in what it says
  OpenAiChatForm form;
};

std::unique_ptr<ChatVendor> MakeOpenAiChatVendor(OpenAiChatVendorOptions options);

}  // namespace garrison
