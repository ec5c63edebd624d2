// Where AWS credentials come from, in the order of AWS's own tools: the settings (and with them the
// environment), the shared credentials file, the container's endpoint, the machine's metadata.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "core/provider_settings.h"
#include "core/request_context.h"
#include "net/http_client.h"

namespace garrison {

struct AwsCredentials {
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;        // empty: none
  std::optional<WallTime> expires;  // unset: they stay
};

// The profile of a shared credentials file. NOT_FOUND without such a profile, INVALID_ARGUMENT when
// it lacks a key; `where` is the profile.
Result<AwsCredentials> ParseCredentialsFile(std::string_view text, std::string_view profile);

// What containers and metadata answer: {"AccessKeyId","SecretAccessKey","Token","Expiration"}.
// UNAVAILABLE for anything else.
Result<AwsCredentials> ParseCredentialsJson(std::string_view json);

// Thread-safe. Those that expire are fetched anew five minutes before, and used to their end if
// that fails.
class AwsCredentialSource {
 public:
  // `home`: the user's home folder, for ~/.aws/credentials; empty: there is none.
  AwsCredentialSource(const BedrockSettings& settings, std::string home,
                      std::shared_ptr<HttpClient> client, const Clock& clock);

  // FAILED_PRECONDITION when there are none anywhere, saying what to set; the errors of the place
  // that should have them.
  Result<AwsCredentials> Get(const RequestContext& context);

 private:
  Result<AwsCredentials> Find(const RequestContext& context) const;
  Result<AwsCredentials> FindValid(const RequestContext& context) const;
  Result<AwsCredentials> FromContainer(const RequestContext& context) const;
  Result<AwsCredentials> FromMetadata(const RequestContext& context) const;
  Result<std::string> Ask(HttpCall call, const RequestContext& context) const;

  const BedrockSettings settings_;
  const std::string file_;
  const bool file_is_named_;
  const std::shared_ptr<HttpClient> client_;
  const Clock& clock_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  // Guarded by mutex_.
  bool fetching_ = false;  // by one call; the others wait, or go on with what is kept
  std::optional<AwsCredentials> kept_;
  std::optional<Error> failed_;  // the last time, until try_again_
  SteadyTime try_again_;
};

}  // namespace garrison
