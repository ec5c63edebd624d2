#include "providers/aws_credentials.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "providers/test_http_client.h"

namespace garrison {
namespace {

class AwsCredentialsTest : public testing::Test {
 protected:
  AwsCredentialsTest() {
    std::string name = (std::filesystem::path(testing::TempDir()) / "aws-XXXXXX").string();
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    home_ = name;
    settings_.metadata_endpoint = "off";
  }
  ~AwsCredentialsTest() override { std::filesystem::remove_all(home_); }

  Result<AwsCredentials> Get() {
    if (source_ == nullptr) {
      source_ = std::make_unique<AwsCredentialSource>(settings_, home_.string(), client_, clock_);
    }
    return source_->Get({});
  }
  std::string File(const std::string& name, const std::string& content) {
    std::filesystem::create_directories((home_ / name).parent_path());
    std::ofstream(home_ / name) << content;
    return (home_ / name).string();
  }

  std::filesystem::path home_;
  BedrockSettings settings_;
  std::shared_ptr<TestHttpClient> client_ = std::make_shared<TestHttpClient>();
  ManualClock clock_;  // begins with 2026
  std::unique_ptr<AwsCredentialSource> source_;
};

TEST_F(AwsCredentialsTest, SettingsComeBeforeTheFile) {
  File(".aws/credentials",
       "# mine\n[default]\naws_access_key_id = FILE\naws_secret_access_key=s=e\n\n[work]\n"
       "aws_access_key_id=WORK\naws_secret_access_key=x\naws_session_token=t\n");
  EXPECT_EQ(Get()->access_key_id, "FILE");
  EXPECT_EQ(Get()->secret_access_key, "s=e");
  source_ = nullptr;
  settings_.profile = "work";
  EXPECT_EQ(Get()->session_token, "t");
  source_ = nullptr;
  settings_.access_key_id = "SET";
  settings_.secret_access_key = "y";
  EXPECT_EQ(Get()->access_key_id, "SET");
}

TEST_F(AwsCredentialsTest, WhatIsMissingIsNamed) {
  EXPECT_EQ(Get().error().code, Code::kFailedPrecondition);
  File(".aws/credentials", "[default]\nrole_arn = r\n");
  EXPECT_EQ(Get().error().code, Code::kFailedPrecondition);  // nobody looks again so soon
  clock_.Advance(std::chrono::seconds(3));
  EXPECT_EQ(Get().error().code, Code::kInvalidArgument);
  source_ = nullptr;
  settings_.profile = "none";
  EXPECT_EQ(Get().error().code, Code::kNotFound);
  EXPECT_NE(Get().error().where.find("[none]"), std::string::npos);
}

TEST_F(AwsCredentialsTest, ContainersAreAskedWithTheirToken) {
  settings_.container_uri = "http://169.254.170.23/v1/credentials";
  settings_.container_token_file = File("token", "secret-token\n");
  const std::string body =
      R"({"AccessKeyId":"A","SecretAccessKey":"S","Token":"T","Expiration":"2026-01-01T01:00:00Z"})";
  client_->Reply(200, body);
  ASSERT_TRUE(Get()) << Get().error().ToString();
  EXPECT_EQ(client_->calls().at(0).url, settings_.container_uri);
  EXPECT_EQ(client_->calls().at(0).headers.at(0).value, "secret-token");
  // Kept until five minutes before their end.
  clock_.Advance(std::chrono::minutes(54));
  EXPECT_TRUE(Get());
  EXPECT_EQ(client_->calls().size(), 1u);
  clock_.Advance(std::chrono::minutes(2));
  client_->Reply(500);
  EXPECT_TRUE(Get());  // the old ones still hold
  EXPECT_EQ(client_->calls().size(), 2u);
  EXPECT_TRUE(Get());  // and nobody asks again so soon
  EXPECT_EQ(client_->calls().size(), 2u);
  clock_.Advance(std::chrono::seconds(3));
  client_->Reply(
      200, R"({"AccessKeyId":"B","SecretAccessKey":"S","Expiration":"2026-01-01T02:00:00Z"})");
  EXPECT_EQ(Get()->access_key_id, "B");
  clock_.Advance(std::chrono::hours(2));
  client_->Reply(500);
  EXPECT_EQ(Get().error().code, Code::kUnavailable);
}

TEST_F(AwsCredentialsTest, ThePathOfAContainerIsAtItsOwnAddress) {
  settings_.container_path = "/v2/credentials/x";
  client_->Reply(200, R"({"AccessKeyId":"A","SecretAccessKey":"S"})");
  EXPECT_TRUE(Get());
  EXPECT_EQ(client_->calls().at(0).url, "http://169.254.170.2/v2/credentials/x");
}

TEST_F(AwsCredentialsTest, CredentialsAreNotFetchedInTheClear) {
  for (const char* url : {"http://example.com/x", "http://127.0.0.1.evil.com/", "ftp://localhost/",
                          "http://localhost@evil.com/", "http://169.254.170.2.evil.com/"}) {
    source_ = nullptr;
    settings_.container_uri = url;
    EXPECT_EQ(Get().error().where, "bedrock.container_uri") << url;
  }
  EXPECT_TRUE(client_->calls().empty());
  source_ = nullptr;
  settings_.container_uri = "https://example.com/x";
  client_->Reply(200, R"({"AccessKeyId":"A","SecretAccessKey":"S"})");
  EXPECT_TRUE(Get());
}

TEST_F(AwsCredentialsTest, MetadataNeedsATokenFirst) {
  settings_.metadata_endpoint = "http://169.254.169.254";
  client_->Reply(200, "TOKEN");
  client_->Reply(200, "role-a\n");
  client_->Reply(
      200, R"({"AccessKeyId":"A","SecretAccessKey":"S","Expiration":"2026-01-02T00:00:00Z"})");
  ASSERT_TRUE(Get());
  const auto calls = client_->calls();
  ASSERT_EQ(calls.size(), 3u);
  EXPECT_EQ(calls[0].method, "PUT");
  EXPECT_EQ(calls[0].url, "http://169.254.169.254/latest/api/token");
  EXPECT_EQ(calls[1].headers.at(0).value, "TOKEN");
  EXPECT_EQ(calls[2].url,
            "http://169.254.169.254/latest/meta-data/iam/security-credentials/role-a");
}

}  // namespace
}  // namespace garrison
