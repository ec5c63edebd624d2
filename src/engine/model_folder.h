// What a Hugging Face or sentence-transformers folder holds, read and checked, not yet loaded.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/encoder_spec.h"
#include "engine/pooling.h"
#include "tensor/safetensors.h"
#include "text/tokenizer.h"

namespace garrison {

// A Dense module of sentence-transformers: activation(x W^T + b).
struct DenseSpec {
  std::size_t inputs = 0;
  std::size_t outputs = 0;
  bool bias = true;
  Activation activation = Activation::kTanh;
  std::filesystem::path folder;
};

// How scores are made of a classifier's logits.
enum class ScoreFunction : std::uint8_t { kSoftmax, kSigmoid, kIdentity };

struct ClassifierSpec {
  std::vector<std::string> labels;
  ScoreFunction scores = ScoreFunction::kSoftmax;
};

struct ModelFolder {
  std::filesystem::path root;
  std::string name;  // the folder's own name
  EncoderSpec encoder;
  std::shared_ptr<const SafeTensors> weights;

  std::shared_ptr<const Tokenizer> tokenizer;  // null: the model takes token ids only
  std::size_t max_text_tokens = 0;             // with special tokens

  std::optional<ClassifierSpec> classifier;  // set: a classifier or reranker; else an embedder
  PoolingSpec pooling;
  std::vector<DenseSpec> dense;
  bool normalize = false;
  std::map<std::string, std::string> prompts;
  std::string default_prompt;  // a key of prompts, or empty
  bool matryoshka = false;
  std::string revision;                  // fingerprint of the weights
  std::vector<std::string> bf16_layers;  // from garrison.json
  std::string verified_dtype;            // from garrison.json; empty: nothing was verified

  // Errors name the file and field at fault. UNIMPLEMENTED for architectures, modules and formats
  // that are not known.
  static Result<ModelFolder> Read(const std::filesystem::path& root);

  // The text of a prompt; of an empty name, that of the default prompt, or "" when there is none.
  // INVALID_ARGUMENT (where: "prompt") names the prompts there are.
  Result<std::string> FindPrompt(const std::string& prompt) const;
};

// What a folder's config.json promises, without reading its weights.
struct FolderPromise {
  bool embeds = false;
  bool reranks = false;
  bool classifies = false;
};
Result<FolderPromise> ReadFolderPromise(const std::filesystem::path& root);

// The files of a model folder that can decide what it computes (weights, configuration, tokenizer),
// in a fixed order. NOT_FOUND when the folder cannot be read.
Result<std::vector<std::filesystem::path>> ContentFiles(const std::filesystem::path& root);

// What `garrison models verify --write` found, kept beside the model as garrison.json; it counts
// for the very weights it was measured on only.
Result<> WriteVerification(const ModelFolder& folder, const std::string& dtype,
                           const std::vector<std::string>& bf16_layers);

}  // namespace garrison
