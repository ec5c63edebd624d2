#include "net/tls.h"

#include <openssl/ssl.h>

#include <filesystem>
#include <string_view>
#include <utility>

namespace garrison {
namespace {

namespace ssl = boost::asio::ssl;

tl::unexpected<Error> TlsFailure(const std::string& file, const boost::system::error_code& error,
                                 const char* expected) {
  std::error_code ignored;
  const Code code =
      std::filesystem::exists(file, ignored) ? Code::kInvalidArgument : Code::kNotFound;
  return FailAt(file, code, "expected {}: {}", expected, error.message());
}

}  // namespace

Result<std::unique_ptr<ssl::context>> MakeServerTls(const std::string& certificate,
                                                    const std::string& key,
                                                    const std::string& client_ca) {
  auto context = std::make_unique<ssl::context>(ssl::context::tls_server);
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  SSL_CTX_set_options(context->native_handle(), SSL_OP_NO_RENEGOTIATION);
  boost::system::error_code error;
  context->use_certificate_chain_file(certificate, error);
  if (error) return TlsFailure(certificate, error, "a PEM certificate chain");
  // Without this OpenSSL would ask for a passphrase on the terminal.
  context->set_password_callback(
      [](std::size_t, ssl::context::password_purpose) { return std::string(); }, error);
  context->use_private_key_file(key, ssl::context::pem, error);
  if (error) {
    return TlsFailure(key, error, "the PEM private key of the certificate, without a passphrase");
  }
  if (SSL_CTX_check_private_key(context->native_handle()) != 1) {
    return FailAt(key, Code::kInvalidArgument, "the key does not belong to {}", certificate);
  }
  if (client_ca.empty()) return context;
  context->load_verify_file(client_ca, error);
  if (error) return TlsFailure(client_ca, error, "PEM certificates of authorities");
  // Without it OpenSSL refuses clients that resume a session.
  constexpr std::string_view kSessions = "garrison";
  SSL_CTX_set_session_id_context(context->native_handle(),
                                 reinterpret_cast<const unsigned char*>(kSessions.data()),
                                 kSessions.size());
  context->set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert, error);
  return context;
}

Result<SslContext> MakeClientTls(const std::string& ca_file) {
  SslContext context(SSL_CTX_new(TLS_client_method()));
  if (context == nullptr) return Fail(Code::kInternal, "OpenSSL made no TLS context");
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_default_verify_paths(context.get());
  if (!ca_file.empty() &&
      SSL_CTX_load_verify_locations(context.get(), ca_file.c_str(), nullptr) != 1) {
    return TlsFailure(ca_file, {}, "PEM certificates of authorities");
  }
  return context;
}

}  // namespace garrison
