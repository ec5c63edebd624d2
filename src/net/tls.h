// TLS of both sides. Private to net/.
#pragma once

#include <openssl/ssl.h>

#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <string>

#include "base/result.h"

namespace garrison {

// A context for servers: TLS 1.2 and 1.3, the given chain and key; with `client_ca` (may be empty)
// clients need a certificate that its authorities signed. NOT_FOUND when a file is
// missing, INVALID_ARGUMENT (where: the file) when it is not PEM or the key does not fit the
// certificate.
Result<std::unique_ptr<boost::asio::ssl::context>> MakeServerTls(const std::string& certificate,
                                                                 const std::string& key,
                                                                 const std::string& client_ca);

struct SslContextFree {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using SslContext = std::unique_ptr<SSL_CTX, SslContextFree>;

// A context for clients: TLS 1.2 and 1.3; servers need a certificate that an authority of the
// system, or of `ca_file` (PEM; may be empty), signed. Errors as above.
Result<SslContext> MakeClientTls(const std::string& ca_file);

}  // namespace garrison
