#include "providers/aws_credentials.h"

#include <time.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/mapped_file.h"
#include "core/json.h"

namespace garrison {
namespace {

// After a failure nobody is asked again for so long.
constexpr std::chrono::seconds kRest{2};
constexpr std::uint64_t kFileBytesMax = 1 << 20;
constexpr std::size_t kReplyBytesMax = 1 << 16;
constexpr std::chrono::minutes kEarly{5};
constexpr std::string_view kContainerHost = "http://169.254.170.2";

std::string_view Trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

// "2026-11-21T10:00:00Z", with or without a fraction.
std::optional<WallTime> ParseTime(const std::string& text) {
  tm time{};
  const char* end = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &time);
  if (end == nullptr || (*end != 'Z' && *end != '.' && *end != '+')) return std::nullopt;
  return std::chrono::system_clock::from_time_t(timegm(&time));
}

// Credentials are asked for, and sent, in the clear only where nobody listens: on this machine, and
// at the addresses that AWS gives containers.
bool IsTrustedAddress(std::string_view url) {
  if (url.starts_with("https://")) return true;
  constexpr std::string_view kHttp = "http://";
  if (!url.starts_with(kHttp)) return false;
  std::string_view host = url.substr(kHttp.size());
  host = host.substr(0, host.find_first_of("/?#"));
  if (host.find('@') != std::string_view::npos) return false;
  if (host.starts_with("[")) {
    host = host.substr(0, host.find(']') + 1);
  } else {
    host = host.substr(0, host.find(':'));
  }
  constexpr std::array<std::string_view, 6> kHosts = {
      "localhost", "127.0.0.1", "[::1]", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"};
  return std::find(kHosts.begin(), kHosts.end(), host) != kHosts.end();
}

}  // namespace

Result<AwsCredentials> ParseCredentialsFile(std::string_view text, std::string_view profile) {
  AwsCredentials found;
  bool inside = false, seen = false;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = Trim(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    if (line.front() == '[' && line.back() == ']') {
      inside = Trim(line.substr(1, line.size() - 2)) == profile;
      seen = seen || inside;
      continue;
    }
    const std::size_t equals = line.find('=');
    if (!inside || equals == std::string_view::npos) continue;
    const std::string_view name = Trim(line.substr(0, equals));
    const std::string value(Trim(line.substr(equals + 1)));
    if (name == "aws_access_key_id") found.access_key_id = value;
    if (name == "aws_secret_access_key") found.secret_access_key = value;
    if (name == "aws_session_token") found.session_token = value;
  }
  const std::string where = fmt::format("[{}]", profile);
  if (!seen) return FailAt(where, Code::kNotFound, "the credentials file has no such profile");
  if (found.access_key_id.empty() || found.secret_access_key.empty()) {
    return FailAt(where, Code::kInvalidArgument,
                  "expected aws_access_key_id and aws_secret_access_key; other ways to get "
                  "credentials (sso, role_arn) are not followed");
  }
  return found;
}

Result<AwsCredentials> ParseCredentialsJson(std::string_view json) {
  const Result<nlohmann::json> parsed = ParseJson(json, 16);
  if (!parsed || !parsed->is_object()) {
    return Fail(Code::kUnavailable, "expected credentials as a JSON object");
  }
  const auto text = [&](const char* name) {
    const auto field = parsed->find(name);
    return field != parsed->end() && field->is_string() ? field->get<std::string>() : std::string();
  };
  AwsCredentials found{text("AccessKeyId"), text("SecretAccessKey"), text("Token"), std::nullopt};
  if (found.access_key_id.empty() || found.secret_access_key.empty()) {
    return Fail(Code::kUnavailable, "expected AccessKeyId and SecretAccessKey in the credentials");
  }
  const std::string expires = text("Expiration");
  if (expires.empty()) return found;
  found.expires = ParseTime(expires);
  if (!found.expires) {
    return Fail(Code::kUnavailable, "expected Expiration like 2026-01-31T12:00:00Z");
  }
  return found;
}

AwsCredentialSource::AwsCredentialSource(const BedrockSettings& settings, std::string home,
                                         std::shared_ptr<HttpClient> client, const Clock& clock)
    : settings_(settings),
      file_(!settings.credentials_file.empty() ? settings.credentials_file
            : home.empty()                     ? ""
                                               : home + "/.aws/credentials"),
      file_is_named_(!settings.credentials_file.empty()),
      client_(std::move(client)),
      clock_(clock) {}

Result<AwsCredentials> AwsCredentialSource::Get(const RequestContext& context) {
  std::unique_lock lock(mutex_);
  while (true) {
    const WallTime now = clock_.WallNow();
    const bool valid = kept_ && kept_->expires && now < *kept_->expires;
    const bool resting = failed_ && clock_.Now() < try_again_;
    if (valid && (now < *kept_->expires - kEarly || fetching_ || resting)) return *kept_;
    if (!fetching_ && resting) return tl::unexpected(*failed_);
    if (!fetching_) break;
    changed_.wait_until(lock, context.stop, context.deadline, [this] { return !fetching_; });
    RETURN_IF_ERROR(context.Check(clock_.Now()));
  }
  fetching_ = true;
  lock.unlock();
  Result<AwsCredentials> fresh = FindValid(context);
  lock.lock();
  fetching_ = false;
  changed_.notify_all();
  failed_.reset();
  if (!fresh) {
    // What this call gave up says nothing to the others.
    if (context.Check(clock_.Now())) {
      failed_ = fresh.error();
      try_again_ = clock_.Now() + kRest;
    }
    if (kept_ && kept_->expires && clock_.WallNow() < *kept_->expires) return *kept_;
    return fresh;
  }
  // Those without an end are cheap to read again, and may have been exchanged.
  kept_ = fresh->expires ? std::optional(*fresh) : std::nullopt;
  return fresh;
}

Result<AwsCredentials> AwsCredentialSource::FindValid(const RequestContext& context) const {
  ASSIGN_OR_RETURN(AwsCredentials fresh, Find(context));
  if (fresh.expires && *fresh.expires <= clock_.WallNow()) {
    return Fail(Code::kFailedPrecondition,
                "the AWS credentials have expired already; is this machine's clock right?");
  }
  return fresh;
}

Result<AwsCredentials> AwsCredentialSource::Find(const RequestContext& context) const {
  if (!settings_.access_key_id.empty() && !settings_.secret_access_key.empty()) {
    return AwsCredentials{settings_.access_key_id, settings_.secret_access_key,
                          settings_.session_token, std::nullopt};
  }
  if (!file_.empty()) {
    Result<std::string> text = ReadTextFile(file_, kFileBytesMax);
    if (!text && (file_is_named_ || text.error().code != Code::kNotFound)) {
      return tl::unexpected(std::move(text).error());
    }
    if (text) {
      Result<AwsCredentials> found = ParseCredentialsFile(*text, settings_.profile);
      if (found) return found;
      const bool absent = found.error().code == Code::kNotFound && !file_is_named_ &&
                          settings_.profile == "default";
      if (!absent) return tl::unexpected(At(file_ + " ", std::move(found).error()));
    }
  }
  if (!settings_.container_uri.empty() || !settings_.container_path.empty()) {
    return FromContainer(context);
  }
  if (settings_.metadata_endpoint != "off") {
    Result<AwsCredentials> found = FromMetadata(context);
    if (found || context.stop.stop_requested()) return found;
    return Fail(Code::kFailedPrecondition,
                "there are no AWS credentials: set bedrock.access_key_id and "
                "bedrock.secret_access_key, a profile in ~/.aws/credentials, or "
                "bedrock.bearer_token; and this machine's metadata did not help: {}",
                found.error().message);
  }
  return Fail(
      Code::kFailedPrecondition,
      "there are no AWS credentials: set bedrock.access_key_id and "
      "bedrock.secret_access_key, a profile in ~/.aws/credentials, or bedrock.bearer_token");
}

// https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
Result<AwsCredentials> AwsCredentialSource::FromContainer(const RequestContext& context) const {
  HttpCall call;
  call.method = "GET";
  call.url = settings_.container_path.empty()
                 ? settings_.container_uri
                 : std::string(kContainerHost) + settings_.container_path;
  if (!IsTrustedAddress(call.url)) {
    return FailAt("bedrock.container_uri", Code::kInvalidArgument,
                  "expected https, or http to this machine or 169.254.170.2 or .23: credentials "
                  "would travel in the clear");
  }
  std::string token = settings_.container_token;
  if (!settings_.container_token_file.empty()) {
    ASSIGN_OR_RETURN(const std::string text,
                     ReadTextFile(settings_.container_token_file, kFileBytesMax));
    token = std::string(Trim(std::string_view(text).substr(0, text.find('\n'))));
  }
  if (!token.empty()) call.headers.push_back({"Authorization", token});
  ASSIGN_OR_RETURN(const std::string body, Ask(std::move(call), context));
  return ParseCredentialsJson(body);
}

// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html
// Version 2 alone: a token first, which a proxy or a forged request cannot get.
Result<AwsCredentials> AwsCredentialSource::FromMetadata(const RequestContext& context) const {
  const auto ask = [&](const char* method, const std::string& path, HttpHeader header) {
    HttpCall call;
    call.method = method;
    call.url = settings_.metadata_endpoint + path;
    call.headers.push_back(std::move(header));
    return Ask(std::move(call), context);
  };
  ASSIGN_OR_RETURN(const std::string token, ask("PUT", "/latest/api/token",
                                                {"X-aws-ec2-metadata-token-ttl-seconds", "300"}));
  const HttpHeader proof{"X-aws-ec2-metadata-token", token};
  const std::string path = "/latest/meta-data/iam/security-credentials/";
  ASSIGN_OR_RETURN(const std::string roles, ask("GET", path, proof));
  const std::string role(Trim(std::string_view(roles).substr(0, roles.find('\n'))));
  if (role.empty()) return Fail(Code::kNotFound, "the machine has no role");
  ASSIGN_OR_RETURN(const std::string body, ask("GET", path + role, proof));
  return ParseCredentialsJson(body);
}

Result<std::string> AwsCredentialSource::Ask(HttpCall call, const RequestContext& context) const {
  HttpCallLimits limits;
  limits.connect = std::chrono::milliseconds(1000);  // it is near, or not there
  limits.first_content = limits.content_idle = std::chrono::milliseconds(5000);
  limits.deadline = context.deadline;
  limits.stop = context.stop;
  limits.reply_bytes = kReplyBytesMax;
  ASSIGN_OR_RETURN(HttpReply reply, client_->Fetch(call, limits, nullptr));
  if (reply.status != 200) {
    return Fail(Code::kUnavailable, "the place with AWS credentials answered with status {}",
                reply.status);
  }
  return std::move(reply.body);
}

}  // namespace garrison
