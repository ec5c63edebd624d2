// TLS of the server side. Private to net/.
#pragma once

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

}  // namespace garrison
