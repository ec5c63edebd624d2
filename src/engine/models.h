// The models of this machine.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/cpu_features.h"
#include "base/result.h"
#include "core/model_catalog.h"
#include "core/pass_counts.h"
#include "core/settings.h"
#include "engine/local_models.h"
#include "engine/sequence_model.h"

namespace garrison {

// The built-in model's table, linked into the program from assets/lexical.bin.
std::span<const std::byte> BuiltinLexicalTable();

// The instruction set that models use: this machine's, or the lower one that GARRISON_ISA names.
// INVALID_ARGUMENT or FAILED_PRECONDITION for a name that is not to be had.
Result<Isa> ActiveIsa();

// The model of `engine.model` (the built-in one, a folder, or a name in engine.models_folder),
// opened; those of engine.models_folder, opened when they are asked for; the built-in one.
// NOT_FOUND when there is no such model; the errors of ModelFolder::Read and Encoder::Load, with
// GARRISON_ISA naming the instruction set. `on_pass` (may be empty) must outlive the catalogue.
Result<std::unique_ptr<ModelCatalog>> OpenLocalModels(const EngineSettings& engine,
                                                      UnnamedModel unnamed = UnnamedModel::kFirst,
                                                      const PassListener& on_pass = {});

// The folder `engine.model` without a head. `id` is its name; empty: that of the folder.
Result<std::shared_ptr<const SequenceModel>> OpenSequenceModel(const EngineSettings& engine,
                                                               const std::string& id = "",
                                                               const PassListener& on_pass = {});

}  // namespace garrison
