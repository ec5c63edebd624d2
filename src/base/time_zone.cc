#include "base/time_zone.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstring>

#include "base/mapped_file.h"

namespace garrison {
namespace {

constexpr std::uint64_t kFileBytesMax = 1 << 20;
constexpr std::size_t kHeaderBytes = 44;

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  bool Has(std::uint64_t n) const { return bytes_.size() >= n; }
  void Skip(std::size_t n) { bytes_.remove_prefix(n); }
  std::string_view rest() const { return bytes_; }
  // Big-endian. REQUIRES: Has(size).
  std::int64_t Integer(std::size_t size) {
    std::uint64_t value = (bytes_[0] & 0x80) != 0 ? ~std::uint64_t{0} : 0;
    for (std::size_t i = 0; i < size; ++i) {
      value = (value << 8) | static_cast<unsigned char>(bytes_[i]);
    }
    Skip(size);
    return static_cast<std::int64_t>(value);
  }

 private:
  std::string_view bytes_;
};

struct Header {
  std::uint64_t utc, standard, leaps, times, types, names;
  std::uint64_t Bytes(std::uint64_t time_bytes) const {
    return times * time_bytes + times + types * 6 + names + leaps * (time_bytes + 4) + standard +
           utc;
  }
};

bool ReadHeader(Reader& reader, Header& header) {
  if (!reader.Has(kHeaderBytes) || !reader.rest().starts_with("TZif")) return false;
  reader.Skip(20);
  for (std::uint64_t* count : {&header.utc, &header.standard, &header.leaps, &header.times,
                               &header.types, &header.names}) {
    const std::int64_t value = reader.Integer(4);
    if (value < 0 || value > 100'000) return false;
    *count = static_cast<std::uint64_t>(value);
  }
  return header.types > 0;
}

// Parts of a POSIX TZ string, from the front of `text`.
bool TakeNumber(std::string_view& text, int max, int& value) {
  value = 0;
  std::size_t digits = 0;
  while (!text.empty() && text[0] >= '0' && text[0] <= '9' && digits < 4) {
    value = value * 10 + (text[0] - '0');
    text.remove_prefix(1);
    ++digits;
  }
  return digits > 0 && value <= max;
}

bool TakeName(std::string_view& text) {
  const bool quoted = text.starts_with('<');
  std::size_t size = quoted ? text.find('>') : 0;
  if (quoted) {
    if (size == std::string_view::npos) return false;
    text.remove_prefix(size + 1);
    return true;
  }
  while (size < text.size() && std::isalpha(static_cast<unsigned char>(text[size])) != 0) ++size;
  text.remove_prefix(size);
  return size >= 3;
}

// [+|-]hh[:mm[:ss]]
bool TakeTime(std::string_view& text, std::int32_t& seconds) {
  const bool minus = text.starts_with('-');
  if (minus || text.starts_with('+')) text.remove_prefix(1);
  int hours = 0, minutes = 0, rest = 0;
  if (!TakeNumber(text, 167, hours)) return false;
  if (text.starts_with(':')) {
    text.remove_prefix(1);
    if (!TakeNumber(text, 59, minutes)) return false;
  }
  if (text.starts_with(':')) {
    text.remove_prefix(1);
    if (!TakeNumber(text, 59, rest)) return false;
  }
  seconds = (hours * 60 + minutes) * 60 + rest;
  if (minus) seconds = -seconds;
  return true;
}

bool Take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

std::int64_t DaysToYear(std::int64_t year) {
  return std::chrono::sys_days(std::chrono::year(static_cast<int>(year)) / 1 / 1)
      .time_since_epoch()
      .count();
}

}  // namespace

bool TimeZone::ParseRule(std::string_view text, Rule& rule) {
  // West of Greenwich is positive there.
  if (!TakeName(text) || !TakeTime(text, rule.standard)) return false;
  rule.standard = -rule.standard;
  if (text.empty()) return true;
  rule.has_daylight = true;
  if (!TakeName(text)) return false;
  rule.daylight = rule.standard + 3600;
  if (!text.empty() && text[0] != ',') {
    if (!TakeTime(text, rule.daylight)) return false;
    rule.daylight = -rule.daylight;
  }
  for (Change* change : {&rule.begin, &rule.end}) {
    if (!Take(text, ',')) return false;
    if (Take(text, 'M')) {
      if (!TakeNumber(text, 12, change->month) || change->month == 0 || !Take(text, '.') ||
          !TakeNumber(text, 5, change->week) || change->week == 0 || !Take(text, '.') ||
          !TakeNumber(text, 6, change->day)) {
        return false;
      }
    } else {
      change->leap = !Take(text, 'J');
      if (!TakeNumber(text, 365, change->day)) return false;
      if (!change->leap && change->day == 0) return false;
    }
    if (Take(text, '/') && !TakeTime(text, change->second)) return false;
  }
  return text.empty();
}

// From the beginning of the year, in the local time before the change.
std::int64_t TimeZone::SecondOfYear(const Change& change, std::int64_t year) {
  using std::chrono::sys_days;
  const std::chrono::year y(static_cast<int>(year));
  std::int64_t day = change.day;
  if (change.month > 0) {
    const auto month = y / static_cast<unsigned>(change.month);
    const std::chrono::weekday weekday(static_cast<unsigned>(change.day));
    const sys_days date = change.week == 5
                              ? sys_days(month / weekday[std::chrono::last])
                              : sys_days(month / weekday[static_cast<unsigned>(change.week)]);
    day = (date - sys_days(y / 1 / 1)).count();
  } else if (!change.leap) {
    day -= y.is_leap() && day >= 60 ? 0 : 1;
  }
  return day * 86'400 + change.second;
}

Result<TimeZone> TimeZone::Parse(std::string_view bytes) {
  const auto broken = [] { return Fail(Code::kDataLoss, "expected a time zone file (TZif 2)"); };
  Reader reader(bytes);
  Header header{};
  if (bytes.size() < kHeaderBytes || bytes[4] < '2' || !ReadHeader(reader, header)) return broken();
  if (!reader.Has(header.Bytes(4))) return broken();
  reader.Skip(header.Bytes(4));
  if (!ReadHeader(reader, header) || !reader.Has(header.Bytes(8))) return broken();

  TimeZone zone;
  for (std::uint64_t i = 0; i < header.times; ++i) zone.times_.push_back(reader.Integer(8));
  std::vector<std::uint8_t> types;
  for (std::uint64_t i = 0; i < header.times; ++i) {
    types.push_back(static_cast<std::uint8_t>(reader.rest()[0]));
    reader.Skip(1);
  }
  std::vector<std::int32_t> offsets;
  for (std::uint64_t i = 0; i < header.types; ++i) {
    offsets.push_back(static_cast<std::int32_t>(reader.Integer(4)));
    reader.Skip(2);
  }
  for (const std::uint8_t type : types) {
    if (type >= offsets.size()) return broken();
    zone.offsets_.push_back(offsets[type]);
  }
  if (!std::is_sorted(zone.times_.begin(), zone.times_.end())) return broken();
  zone.first_ = offsets[0];
  reader.Skip(header.names + header.leaps * 12 + header.standard + header.utc);
  std::string_view footer = reader.rest();
  if (!Take(footer, '\n')) return broken();
  footer = footer.substr(0, footer.find('\n'));
  if (footer.empty()) {
    zone.rule_.standard = zone.offsets_.empty() ? zone.first_ : zone.offsets_.back();
  } else if (!ParseRule(footer, zone.rule_)) {
    return broken();
  }
  return zone;
}

Result<TimeZone> TimeZone::Load(std::string_view name) {
  TimeZone zone;
  if (name == "UTC") return zone;
  if (name.starts_with('+') || name.starts_with('-')) {
    std::string_view text = name;
    if (name.size() == 6 && TakeTime(text, zone.rule_.standard) && text.empty() &&
        std::abs(zone.rule_.standard) <= 14 * 3600) {
      return zone;
    }
  }
  const bool plain = !name.empty() && name.size() < 100 &&
                     std::isalpha(static_cast<unsigned char>(name[0])) != 0 &&
                     name.find("..") == std::string_view::npos &&
                     std::all_of(
                         name.begin(), name.end(),
                         [](char c) {
                           return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '/' ||
                                  c == '_' || c == '-' || c == '+';
                         });
  if (!plain) {
    return Fail(
        Code::kInvalidArgument,
        "expected UTC, an offset such as +02:00, or a name such as Europe/Berlin; got \"{}\"",
        name.substr(0, 100));
  }
  const std::string file = fmt::format("/usr/share/zoneinfo/{}", name);
  Result<std::string> bytes = ReadTextFile(file, kFileBytesMax);
  if (!bytes) {
    return Fail(Code::kNotFound,
                "this machine has no time zone \"{}\" ({}); is the package tzdata installed?", name,
                bytes.error().message);
  }
  return Parse(*bytes);
}

std::int32_t TimeZone::OffsetAt(std::int64_t unix_seconds) const {
  if (!times_.empty() && unix_seconds < times_.back()) {
    const auto next = std::upper_bound(times_.begin(), times_.end(), unix_seconds);
    if (next == times_.begin()) return first_;
    return offsets_[static_cast<std::size_t>(next - times_.begin()) - 1];
  }
  if (!rule_.has_daylight) return rule_.standard;
  const std::int64_t local = unix_seconds + rule_.standard;
  const std::int64_t days = local >= 0 ? local / 86'400 : (local - 86'399) / 86'400;
  const std::chrono::year_month_day date{
      std::chrono::sys_days(std::chrono::days(static_cast<int>(days)))};
  const std::int64_t year = static_cast<int>(date.year());
  const std::int64_t start = DaysToYear(year) * 86'400;
  const std::int64_t begin = start + SecondOfYear(rule_.begin, year) - rule_.standard;
  const std::int64_t end = start + SecondOfYear(rule_.end, year) - rule_.daylight;
  const bool daylight = begin < end ? unix_seconds >= begin && unix_seconds < end
                                    : unix_seconds >= begin || unix_seconds < end;
  return daylight ? rule_.daylight : rule_.standard;
}

}  // namespace garrison
