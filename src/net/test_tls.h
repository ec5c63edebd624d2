// For tests: TLS from the client's side, and a certificate for the server's.
#pragma once

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "base/check.h"
#include "net/test_client.h"

namespace garrison {

// Writes a new key and its self-signed certificate as PEM. `names`: for whom it is, as OpenSSL
// writes subjectAltName ("IP:127.0.0.1"); empty: for nobody.
inline void WriteTestCertificate(const std::string& certificate_path, const std::string& key_path,
                                 const std::string& names = "") {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), X509_free);
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_set_pubkey(certificate.get(), key.get());
  if (!names.empty()) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate.get(), certificate.get(), nullptr, nullptr, 0);
    const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> extension(
        X509V3_EXT_conf_nid(nullptr, &context, NID_subject_alt_name, names.c_str()),
        X509_EXTENSION_free);
    CHECK(X509_add_ext(certificate.get(), extension.get(), -1) == 1);
  }
  CHECK(X509_sign(certificate.get(), key.get(), EVP_sha256()) > 0);
  using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;
  const File certificate_file(std::fopen(certificate_path.c_str(), "w"), std::fclose);
  const File key_file(std::fopen(key_path.c_str(), "w"), std::fclose);
  CHECK(PEM_write_X509(certificate_file.get(), certificate.get()) == 1);
  CHECK(PEM_write_PrivateKey(key_file.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) ==
        1);
}

// Believes every certificate.
class TlsTestClient final : public TestClient {
 public:
  explicit TlsTestClient(std::uint16_t port)
      : TestClient(port),
        context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free),
        ssl_(SSL_new(context_.get()), SSL_free) {
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to closed sockets without MSG_NOSIGNAL
    SSL_set_fd(ssl_.get(), fd());
    SSL_connect(ssl_.get());
  }

 private:
  ssize_t SendSome(std::string_view bytes) override {
    return SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()));
  }
  ssize_t ReceiveSome(char* buffer, std::size_t size) override {
    const int got = SSL_read(ssl_.get(), buffer, static_cast<int>(size));
    if (got > 0) return got;
    // An end without the alert that announces it may be anybody's doing. (SSL_get_error would also
    // look at what other connections of this thread left.)
    return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0 ? 0 : -1;
  }

  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  const std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
};

}  // namespace garrison
