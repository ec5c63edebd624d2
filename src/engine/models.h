// The models of this machine.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "base/result.h"
#include "core/model_catalog.h"
#include "core/settings.h"

namespace garrison {

// The built-in model's table, linked into the program from assets/lexical.bin.
std::span<const std::byte> BuiltinLexicalTable();

// Loads the built-in model. `engine.model` must name a model that can be run: NOT_FOUND otherwise,
// or UNIMPLEMENTED for a model folder, which this version does not read.
Result<std::unique_ptr<ModelCatalog>> OpenLocalModels(const EngineSettings& engine);

}  // namespace garrison
