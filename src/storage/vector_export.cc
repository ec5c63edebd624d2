#include "storage/vector_export.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <system_error>
#include <utility>

namespace garrison {
namespace {

constexpr std::string_view kMagic = "GARRVEC1\n";
constexpr std::size_t kRowsTogether = 2048;
constexpr std::size_t kChecksum = std::tuple_size_v<RowChecksum>;
// Where a record's length would stand, at the end of the file.
constexpr std::uint32_t kEnd = 0;

class Writer {
 public:
  template <typename Number>
  void Add(Number number) {
    bytes_.append(reinterpret_cast<const char*>(&number), sizeof(number));
  }
  void Add(std::string_view text) {
    Add(static_cast<std::uint32_t>(text.size()));
    bytes_ += text;
  }
  void Add(std::span<const std::byte> raw) {
    bytes_.append(reinterpret_cast<const char*>(raw.data()), raw.size());
  }
  std::string& bytes() { return bytes_; }

 private:
  std::string bytes_;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  template <typename Number>
  bool Read(Number& number) {
    return ReadRaw(&number, sizeof(number));
  }
  bool Read(std::string& text) {
    std::uint32_t size = 0;
    if (!Read(size) || size > bytes_.size()) return false;
    text = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return true;
  }
  bool ReadRaw(void* to, std::size_t size) {
    if (size > bytes_.size()) return false;
    std::memcpy(to, bytes_.data(), size);
    bytes_.remove_prefix(size);
    return true;
  }
  std::size_t left() const { return bytes_.size(); }

 private:
  std::string_view bytes_;
};

// Of a record with its place in the order, so that records cannot change places unnoticed.
RowChecksum ChecksumOf(std::uint64_t index, std::string_view payload) {
  Sha256 hash;
  hash.Update(std::as_bytes(std::span(&index, 1)));
  hash.Update(payload);
  const Sha256Digest digest = hash.Finish();
  RowChecksum checksum;
  std::copy_n(digest.begin(), checksum.size(), checksum.begin());
  return checksum;
}

void AppendRecord(std::uint64_t index, std::uint32_t length, std::string_view payload,
                  std::string& out) {
  Writer head;
  head.Add(length);
  const RowChecksum checksum = ChecksumOf(index, payload);
  head.Add(std::span<const std::byte>(checksum));
  out += head.bytes();
  out += payload;
}

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

// The records of a file, one after the other.
class ImportFile {
 public:
  static Result<ImportFile> Open(const std::string& path) {
    ImportFile in;
    in.path_ = path;
    in.file_.reset(std::fopen(path.c_str(), "rbe"));
    if (in.file_ == nullptr) {
      return FailAt(path, errno == EACCES ? Code::kPermissionDenied : Code::kNotFound,
                    "cannot read it: {}", std::generic_category().message(errno));
    }
    std::error_code none;
    const std::uintmax_t size = std::filesystem::file_size(path, none);
    in.size_ = none ? 0 : size;
    std::array<char, kMagic.size()> magic{};
    if (!in.ReadRaw(magic.data(), magic.size()) ||
        std::string_view(magic.data(), magic.size()) != kMagic) {
      return FailAt(path, Code::kInvalidArgument,
                    "expected a file made by `garrison cache export` (it begins with GARRVEC1), "
                    "got another one or that of a newer version");
    }
    return in;
  }

  // Unset at the end, which must be there.
  Result<std::optional<VectorRow>> Next() {
    const std::uint64_t place = offset_;
    std::uint32_t length = 0;
    RowChecksum checksum{};
    if (!ReadRaw(&length, sizeof(length)) || !ReadRaw(checksum.data(), kChecksum)) {
      return Damaged(place, "the file ends before its end mark");
    }
    const bool end = length == kEnd;
    const std::uint64_t size = end ? sizeof(std::uint64_t) : length;
    if (size > size_ - std::min(size_, offset_)) {
      return Damaged(place, "it is longer than the file");
    }
    payload_.resize(size);
    if (!ReadRaw(payload_.data(), payload_.size())) return Damaged(place, "it cannot be read");
    if (checksum != ChecksumOf(index_, payload_)) {
      return Damaged(place, "its checksum does not match");
    }
    if (end) return CheckEnd(place);
    std::optional<VectorRow> row = DecodeRecord(payload_);
    if (!row) return Damaged(place, "its fields do not fit together");
    ++index_;
    return row;
  }

 private:
  bool ReadRaw(void* to, std::size_t size) {
    offset_ += size;
    return std::fread(to, 1, size, file_.get()) == size;
  }

  Result<std::optional<VectorRow>> CheckEnd(std::uint64_t place) {
    std::uint64_t count = 0;
    std::memcpy(&count, payload_.data(), sizeof(count));
    if (count != index_) return Damaged(place, "it counts other records than there are");
    if (std::fgetc(file_.get()) != EOF) return Damaged(place, "something follows the end mark");
    return std::optional<VectorRow>();
  }

  tl::unexpected<Error> Damaged(std::uint64_t place, std::string_view why) const {
    return FailAt(path_, Code::kDataLoss,
                  "record {} (byte {}) is damaged: {}; nothing was imported, copy or export it "
                  "again",
                  index_ + 1, place, why);
  }

  std::string path_;
  std::unique_ptr<std::FILE, CloseFile> file_;
  std::uint64_t size_ = 0;
  std::uint64_t offset_ = 0;
  std::uint64_t index_ = 0;
  std::string payload_;
};

Result<> CheckWhole(const std::string& path) {
  ASSIGN_OR_RETURN(ImportFile in, ImportFile::Open(path));
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<VectorRow> row, in.Next());
    if (!row) return {};
  }
}

}  // namespace

std::string EncodeRecord(const VectorRow& row) {
  Writer out;
  out.Add(std::span<const std::byte>(row.key));
  out.Add(row.created_at);
  out.Add(row.expires_at);
  out.Add(row.tokens);
  out.Add(row.total_tokens);
  out.Add(static_cast<std::uint32_t>(row.precision));
  out.Add(static_cast<std::uint32_t>(row.text ? 1 : 0));
  out.Add(std::string_view(row.model));
  out.Add(std::string_view(row.text ? *row.text : ""));
  out.Add(std::span<const std::byte>(row.blob));
  return std::move(out.bytes());
}

std::optional<VectorRow> DecodeRecord(std::string_view payload) {
  Reader in(payload);
  VectorRow row;
  std::uint32_t precision = 0, has_text = 0;
  std::string text;
  if (!in.ReadRaw(row.key.data(), row.key.size()) || !in.Read(row.created_at) ||
      !in.Read(row.expires_at) || !in.Read(row.tokens) || !in.Read(row.total_tokens) ||
      !in.Read(precision) || !in.Read(has_text) || !in.Read(row.model) || !in.Read(text) ||
      precision < 1 || precision > 2 || has_text > 1 || (has_text == 0 && !text.empty())) {
    return std::nullopt;
  }
  constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
  if (row.tokens > kMost || row.total_tokens > kMost) return std::nullopt;
  row.precision = static_cast<VectorPrecision>(precision);
  if (has_text == 1) row.text = std::move(text);
  row.blob.resize(in.left());
  if (!row.blob.empty()) in.ReadRaw(row.blob.data(), row.blob.size());
  row.dimension = row.blob.size() / (row.precision == VectorPrecision::kFloat16 ? 2 : 4);
  if (!row.Decode()) return std::nullopt;
  return row;
}

Result<ExportCounts> ExportVectors(VectorTable& table, const ExportSink& sink) {
  ExportCounts counts;
  std::string out(kMagic);
  const auto flush = [&]() -> Result<> {
    counts.bytes += out.size();
    RETURN_IF_ERROR(sink(out));
    out.clear();
    return {};
  };
  std::optional<VectorKey> last;
  while (true) {
    ASSIGN_OR_RETURN(const RowPage page, table.ReadPage(last, kRowsTogether));
    if (!page.last) break;
    last = page.last;
    counts.damaged += page.damaged.size();
    for (const VectorRow& row : page.rows) {
      const std::string payload = EncodeRecord(row);
      AppendRecord(counts.vectors++, static_cast<std::uint32_t>(payload.size()), payload, out);
    }
    RETURN_IF_ERROR(flush());
  }
  Writer count;
  count.Add(counts.vectors);
  AppendRecord(counts.vectors, kEnd, count.bytes(), out);
  RETURN_IF_ERROR(flush());
  return counts;
}

Result<ImportCounts> ImportVectors(const std::string& file, VectorTable& table, UnixMs now) {
  RETURN_IF_ERROR(CheckWhole(file));
  ASSIGN_OR_RETURN(ImportFile in, ImportFile::Open(file));
  ImportCounts counts;
  std::vector<VectorRow> rows;
  while (true) {
    ASSIGN_OR_RETURN(std::optional<VectorRow> row, in.Next());
    const bool end = !row;
    if (row && row->expires_at != 0 && row->expires_at <= now) {
      ++counts.expired;
    } else if (row) {
      ++counts.vectors;
      rows.push_back(*std::move(row));
    }
    if (rows.size() >= kRowsTogether || (end && !rows.empty())) {
      RETURN_IF_ERROR(table.Write(rows, now));
      rows.clear();
    }
    if (end) return counts;
  }
}

}  // namespace garrison
