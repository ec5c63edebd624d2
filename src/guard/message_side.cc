#include "guard/message_side.h"

#include <cstdlib>
#include <string_view>
#include <utility>

namespace garrison {
namespace {

// A window that is longer than the model reads, and a whole message, are read to their end.
constexpr LongInput kToItsEnd{.policy = LongInput::Policy::kChunk};

// The rows of one embedder call that belong to one text: the windows, then the whole unless it is
// its only window.
struct Rows {
  std::vector<TextWindow> places;
  std::size_t first = 0;
  std::size_t count = 0;
};

Rows AddRows(const std::optional<std::string>& text, std::vector<TextWindow> places,
             EmbedRequest& request) {
  Rows rows{.places = std::move(places), .first = request.inputs.size()};
  if (!text) return rows;
  for (const TextWindow& place : rows.places) {
    request.inputs.emplace_back(text->substr(place.begin, place.size));
  }
  if (rows.places.size() != 1) request.inputs.emplace_back(*text);
  rows.count = request.inputs.size() - rows.first;
  return rows;
}

MessageSide SideOf(std::string_view text, const Rows& rows, const Embeddings& embedded) {
  const auto at = [&](std::size_t row, std::size_t count) {
    return Eigen::Map<const RowMatrixF>(embedded.values.data() + row * embedded.dimension,
                                        static_cast<Eigen::Index>(count),
                                        static_cast<Eigen::Index>(embedded.dimension));
  };
  MessageSide side;
  side.places = rows.places;
  side.windows = at(rows.first, rows.places.size());
  side.whole = at(rows.first + rows.count - 1, 1);
  for (const TextWindow& place : rows.places) {
    side.window_words.push_back(WordFeatures(text.substr(place.begin, place.size)));
  }
  side.whole_words = rows.places.size() == 1 ? side.window_words[0] : WordFeatures(text);
  for (std::size_t i = 0; i < rows.count; ++i) side.tokens += embedded.tokens[rows.first + i];
  return side;
}

// Takes the windows out in which the embedder finds nothing to read, rules of dashes say: they must
// not spare the others. INVALID_ARGUMENT for a text that has no others.
Result<> DropUnreadable(const Embedder& embedder, const EmbedRequest& request,
                        std::vector<Rows>& texts, const RequestContext& context) {
  for (std::size_t i = 0; i < texts.size(); ++i) {
    Rows& rows = texts[i];
    std::vector<TextWindow> readable;
    std::optional<Error> last;
    for (std::size_t w = 0; w < rows.places.size(); ++w) {
      EmbedRequest one{.long_input = request.long_input};
      one.inputs.push_back(request.inputs[rows.first + w]);
      const auto row = embedder.Embed(one, context);
      if (row) {
        readable.push_back(rows.places[w]);
      } else if (row.error().code == Code::kInvalidArgument) {
        last = row.error();
      } else {
        return tl::unexpected(row.error());
      }
    }
    if (readable.empty() && last) {
      last->where = fmt::format("input[{}]", i);
      return tl::unexpected(*std::move(last));
    }
    rows.places = std::move(readable);
  }
  return {};
}

// The embedder speaks of rows; the caller knows texts.
Error NameText(Error error, const std::vector<Rows>& texts) {
  if (!error.where.starts_with("input[")) return error;
  const std::size_t close = error.where.find(']');
  const std::size_t row = std::strtoull(error.where.c_str() + 6, nullptr, 10);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (row < texts[i].first || row >= texts[i].first + texts[i].count) continue;
    error.where.replace(0, close + 1, fmt::format("input[{}]", i));
    break;
  }
  return error;
}

}  // namespace

Result<std::vector<MessageSide>> EmbedSides(const Embedder& embedder,
                                            std::span<const std::optional<std::string>> texts,
                                            const RequestContext& context) {
  EmbedRequest request{.long_input = kToItsEnd};
  std::vector<Rows> rows;
  for (const std::optional<std::string>& text : texts) {
    rows.push_back(AddRows(text, text ? CutWindows(*text) : std::vector<TextWindow>(), request));
    if (text && rows.back().places.empty()) {
      return FailAt(fmt::format("input[{}]", rows.size() - 1), Code::kInvalidArgument,
                    "expected a text, got nothing but blanks");
    }
  }
  std::vector<MessageSide> sides(texts.size());
  if (request.inputs.empty()) return sides;
  Result<Embeddings> embedded = embedder.Embed(request, context);
  if (!embedded && embedded.error().code == Code::kInvalidArgument) {
    RETURN_IF_ERROR(DropUnreadable(embedder, request, rows, context));
    const std::vector<Rows> all = std::exchange(rows, {});
    request.inputs.clear();
    for (std::size_t i = 0; i < texts.size(); ++i) {
      rows.push_back(AddRows(texts[i], all[i].places, request));
    }
    embedded = embedder.Embed(request, context);
  }
  if (!embedded) return tl::unexpected(NameText(embedded.error(), rows));
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (texts[i]) sides[i] = SideOf(*texts[i], rows[i], *embedded);
  }
  return sides;
}

}  // namespace garrison
