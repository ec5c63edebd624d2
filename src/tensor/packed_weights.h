// Linear layers packed for one instruction set, kept on disk so that the next start maps them
// (docs/formats/packed-weights.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/mapped_file.h"
#include "base/result.h"
#include "kernels/packed_linear.h"

namespace garrison {

using PackedLayers = std::map<std::string, PackedLinear, std::less<>>;

// Layers in `path`, viewing its mapped pages, which all processes share. `key` is everything that
// the layers were made from; it must be the one the file was written with. NOT_FOUND when there is
// no file; DATA_LOSS when it is not whole, or was written for another key or layout.
Result<PackedLayers> ReadPackedWeights(const std::filesystem::path& path, std::string_view key,
                                       const PanelLayout& layout);

// Atomically; an older file of that name stays valid for those who have it mapped.
Result<> WritePackedWeights(const std::filesystem::path& path, std::string_view key,
                            const PackedLayers& layers);

// Removes the files of `folder` that this module and ContentHash wrote, those unused for longest
// first, until the rest takes no more than `bytes`. Reading a file counts as use. What a writer
// that was killed left behind goes after an hour.
void PrunePackedWeights(const std::filesystem::path& folder, std::uint64_t bytes);

}  // namespace garrison
