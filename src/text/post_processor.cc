#include "text/post_processor.h"

#include <algorithm>
#include <array>
#include <limits>

#include "text/json_fields.h"

namespace garrison::tokenizers {
namespace {

using Kind = TemplateItem::Kind;

constexpr std::uint64_t kIdMax = std::numeric_limits<std::int32_t>::max();
constexpr std::size_t kItemsMax = 256;
constexpr std::array<std::string_view, 5> kTypes = {
    "Sequence", "TemplateProcessing", "BertProcessing", "RobertaProcessing", "ByteLevel"};

Result<std::int32_t> ParseId(const nlohmann::json& value, const std::string& where) {
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > kIdMax) {
    return FailAt(where, Code::kInvalidArgument, "expected an id (a whole number)");
  }
  return value.get<std::int32_t>();
}

// The ids of a special token, as the template's own table has them.
Result<std::vector<std::int32_t>> SpecialIds(const Fields& fields, const std::string& name) {
  const nlohmann::json* table = fields.Find("special_tokens");
  const std::string where = fields.At(fmt::format("special_tokens[\"{}\"]", name));
  if (table == nullptr || !table->is_object() || !table->contains(name)) {
    return FailAt(where, Code::kInvalidArgument,
                  "the template uses this special token, and it is not there");
  }
  const Fields token(*table->find(name), where);
  ASSIGN_OR_RETURN(const nlohmann::json* list, token.List("ids"));
  if (list->size() > kItemsMax) {
    return FailAt(token.At("ids"), Code::kInvalidArgument, "expected at most {} ids", kItemsMax);
  }
  std::vector<std::int32_t> ids;
  for (const nlohmann::json& id : *list) {
    ASSIGN_OR_RETURN(const std::int32_t parsed, ParseId(id, token.At("ids")));
    ids.push_back(parsed);
  }
  return ids;
}

Result<TemplateItem> ParseItem(const Fields& fields, const nlohmann::json& spec,
                               const std::string& where) {
  const Fields item(spec, where);
  RETURN_IF_ERROR(item.Check());
  const bool special = item.Find("SpecialToken") != nullptr;
  const std::string_view key = special ? "SpecialToken" : "Sequence";
  const nlohmann::json* body = item.Find(key);
  if (body == nullptr) {
    return FailAt(where, Code::kInvalidArgument, "expected SpecialToken or Sequence");
  }
  const Fields parts(*body, item.At(key));
  RETURN_IF_ERROR(parts.Check());
  ASSIGN_OR_RETURN(const std::string id, parts.String("id", std::nullopt));
  ASSIGN_OR_RETURN(const std::uint64_t type_id, parts.Whole("type_id", 0, kIdMax));
  TemplateItem made;
  made.type_id = static_cast<std::int32_t>(type_id);
  if (special) {
    made.kind = Kind::kSpecial;
    ASSIGN_OR_RETURN(made.ids, SpecialIds(fields, id));
    return made;
  }
  if (id != "A" && id != "B") {
    return FailAt(parts.At("id"), Code::kInvalidArgument, "expected A or B, got \"{}\"", id);
  }
  made.kind = id == "A" ? Kind::kFirst : Kind::kSecond;
  return made;
}

Result<std::vector<TemplateItem>> ParseTemplate(const Fields& fields, std::string_view key,
                                                bool pair) {
  ASSIGN_OR_RETURN(const nlohmann::json* list, fields.List(key));
  if (list->size() > kItemsMax) {
    return FailAt(fields.At(key), Code::kInvalidArgument, "expected at most {} items", kItemsMax);
  }
  std::vector<TemplateItem> items;
  for (std::size_t i = 0; i < list->size(); ++i) {
    ASSIGN_OR_RETURN(TemplateItem item,
                     ParseItem(fields, (*list)[i], fmt::format("{}[{}]", fields.At(key), i)));
    items.push_back(std::move(item));
  }
  const auto count = [&](Kind kind) {
    return std::count_if(items.begin(), items.end(),
                         [&](const TemplateItem& item) { return item.kind == kind; });
  };
  if (count(Kind::kFirst) != 1 || count(Kind::kSecond) != (pair ? 1 : 0)) {
    return FailAt(fields.At(key), Code::kUnimplemented, "expected {} once and nothing twice",
                  pair ? "A and B" : "A");
  }
  return items;
}

// ["[SEP]", 102]
Result<TemplateItem> ParseEnd(const Fields& fields, std::string_view key) {
  ASSIGN_OR_RETURN(const nlohmann::json* list, fields.List(key));
  if (list->size() != 2) {
    return FailAt(fields.At(key), Code::kInvalidArgument, "expected [token, id]");
  }
  ASSIGN_OR_RETURN(const std::int32_t id, ParseId((*list)[1], fields.At(key)));
  return TemplateItem{Kind::kSpecial, 0, {id}};
}

Result<> ParseTrim(const Fields& fields, PostProcessor& post) {
  ASSIGN_OR_RETURN(const bool trim, fields.Bool("trim_offsets", true));
  ASSIGN_OR_RETURN(const bool space, fields.Bool("add_prefix_space", true));
  if (trim) {
    post.trims_ranges = true;
    post.first_space_added = space;
  }
  return {};
}

// BERT: [CLS] A [SEP] B [SEP], types 0 and 1. RoBERTa: <s> A </s></s> B </s>, all types 0.
Result<> ParseEnds(const Fields& fields, bool roberta, PostProcessor& post) {
  ASSIGN_OR_RETURN(const TemplateItem cls, ParseEnd(fields, "cls"));
  ASSIGN_OR_RETURN(const TemplateItem sep, ParseEnd(fields, "sep"));
  const std::int32_t second_type = roberta ? 0 : 1;
  TemplateItem last = sep;
  last.type_id = second_type;
  const TemplateItem first{Kind::kFirst, 0, {}};
  const TemplateItem second{Kind::kSecond, second_type, {}};
  post.single = {cls, first, sep};
  post.pair = {cls, first, sep, second, last};
  if (!roberta) return {};
  post.pair = {cls, first, sep, sep, second, last};
  return ParseTrim(fields, post);
}

// Sequences may stand inside sequences; the depth of the JSON is bounded.
Result<> AddStep(const nlohmann::json& spec, const std::string& where, PostProcessor& post) {
  const Fields fields(spec, where);
  RETURN_IF_ERROR(fields.Check());
  ASSIGN_OR_RETURN(const std::size_t type, fields.OneOf("type", kTypes, std::nullopt));
  const std::string_view name = kTypes[type];
  if (name == "Sequence") {
    ASSIGN_OR_RETURN(const nlohmann::json* list, fields.List("processors"));
    for (std::size_t i = 0; i < list->size(); ++i) {
      RETURN_IF_ERROR(AddStep((*list)[i], fmt::format("{}[{}]", fields.At("processors"), i), post));
    }
    return {};
  }
  if (name == "ByteLevel") return ParseTrim(fields, post);
  if (post.has_template) {
    return FailAt(where, Code::kUnimplemented, "a second template in one sequence");
  }
  post.has_template = true;
  if (name != "TemplateProcessing") return ParseEnds(fields, name == "RobertaProcessing", post);
  ASSIGN_OR_RETURN(post.single, ParseTemplate(fields, "single", false));
  ASSIGN_OR_RETURN(post.pair, ParseTemplate(fields, "pair", true));
  return {};
}

}  // namespace

Result<PostProcessor> PostProcessor::Parse(const nlohmann::json& spec, const std::string& where) {
  PostProcessor post;
  if (!spec.is_null()) RETURN_IF_ERROR(AddStep(spec, where, post));
  return post;
}

std::size_t PostProcessor::SpecialTokens(bool is_pair) const {
  std::size_t count = 0;
  for (const TemplateItem& item : is_pair ? pair : single) count += item.ids.size();
  return count;
}

}  // namespace garrison::tokenizers
