// Embeddings of OpenAI, of Azure OpenAI, and of everyone who speaks OpenAI's API.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "providers/vendor.h"

namespace garrison {

struct OpenAiVendorOptions {
  std::string provider;  // "openai", "azure", "custom"
  std::string url;       // of the embeddings themselves
  std::string model;
  bool sends_model = true;  // Azure names it in the URL
  std::vector<HttpHeader> headers;
  std::vector<std::string> secrets;  // masked in what it says
};

std::unique_ptr<Vendor> MakeOpenAiVendor(OpenAiVendorOptions options);

}  // namespace garrison
