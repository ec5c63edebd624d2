#include "net/client_socket.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace garrison {
namespace {

constexpr std::size_t kPiece = 16 * 1024;
constexpr std::string_view kConnect = "connect";

std::string SystemMessage(int error) {
  std::array<char, 128> buffer{};
  return strerror_r(error, buffer.data(), buffer.size());
}

tl::unexpected<Error> Unavailable(std::string_view stage, std::string message) {
  return tl::unexpected<Error>(
      Error{Code::kUnavailable, std::move(message), std::string(stage), std::nullopt});
}

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

struct Lookup {
  std::mutex mutex;
  std::condition_variable_any done_changed;
  bool done = false;
  int error = 0;
  std::vector<Address> addresses;
};

void LookUp(const std::string& host, std::uint16_t port, int flags, Lookup& lookup) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  const std::lock_guard lock(lookup.mutex);
  lookup.error = error;
  for (const addrinfo* info = error == 0 ? list : nullptr; info != nullptr; info = info->ai_next) {
    Address address;
    std::memcpy(&address.storage, info->ai_addr, info->ai_addrlen);
    address.size = info->ai_addrlen;
    lookup.addresses.push_back(address);
  }
  if (error == 0) freeaddrinfo(list);
  lookup.done = true;
  lookup.done_changed.notify_all();
}

Result<std::vector<Address>> FindAddresses(const std::string& host, std::uint16_t port,
                                           ThreadPool& lookups, const WaitLimit& limit,
                                           SteadyTime until) {
  auto lookup = std::make_shared<Lookup>();
  LookUp(host, port, AI_NUMERICHOST, *lookup);
  if (lookup->error == 0) return std::move(lookup->addresses);
  lookup->done = false;
  Result<> accepted = lookups.Submit([=] { LookUp(host, port, AI_ADDRCONFIG, *lookup); });
  if (!accepted) return Unavailable(kConnect, "too many host names are being looked up");
  std::unique_lock lock(lookup->mutex);
  const bool done =
      lookup->done_changed.wait_until(lock, limit.stop(), until, [&] { return lookup->done; });
  if (!done && limit.stop().stop_requested()) return Fail(Code::kCancelled, "stopped");
  if (!done) {
    return FailAt(std::string(kConnect), Code::kDeadlineExceeded,
                  "the address of {} was not found in time", host);
  }
  if (lookup->error != 0) {
    return Unavailable(
        kConnect, fmt::format("no address of {} was found: {}", host, gai_strerror(lookup->error)));
  }
  return std::move(lookup->addresses);
}

Result<int> ConnectTo(const Address& address, const WaitLimit& limit, SteadyTime until) {
  const int fd = socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return Unavailable(kConnect, SystemMessage(errno));
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  int error = 0;
  const auto* target = reinterpret_cast<const sockaddr*>(&address.storage);
  if (connect(fd, target, address.size) != 0) error = errno;
  if (error == EINPROGRESS) {
    Result<> waited = limit.Wait(fd, POLLOUT, until, kConnect);
    socklen_t size = sizeof(error);
    if (!waited) {
      close(fd);
      return tl::unexpected(std::move(waited).error());
    }
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  }
  if (error == 0) return fd;
  close(fd);
  return Unavailable(kConnect, SystemMessage(error));
}

// OpenSSL's own words for why a certificate is not taken.
std::string TlsMessage(SSL* ssl) {
  const long verified = SSL_get_verify_result(ssl);
  if (verified != X509_V_OK) return X509_verify_cert_error_string(verified);
  std::array<char, 256> buffer{};
  const unsigned long error = ERR_get_error();
  if (error == 0) return "the connection ended";
  ERR_error_string_n(error, buffer.data(), buffer.size());
  return buffer.data();
}

}  // namespace

// ---------------------------------------------------------------- waiting

void WaitLimit::Signal::operator()() const { eventfd_write(event, 1); }

WaitLimit::WaitLimit(std::stop_token stop) : stop_(std::move(stop)) {
  if (!stop_.stop_possible()) return;
  event_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event_ >= 0) {
    callback_ = std::make_unique<std::stop_callback<Signal>>(stop_, Signal{event_});
  }
}

WaitLimit::~WaitLimit() {
  callback_.reset();
  if (event_ >= 0) close(event_);
}

Result<> WaitLimit::Wait(int fd, short events, SteadyTime until, std::string_view stage) const {
  while (true) {
    if (stop_.stop_requested()) return Fail(Code::kCancelled, "stopped");
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    constexpr std::chrono::milliseconds kLongest{60'000};
    if (left.count() <= 0) {
      return FailAt(std::string(stage), Code::kDeadlineExceeded, "the time for it was over");
    }
    std::array<pollfd, 2> fds{pollfd{fd, events, 0}, pollfd{event_, POLLIN, 0}};
    const int ready =
        poll(fds.data(), fds.size(), static_cast<int>(std::min(left, kLongest).count()));
    if (ready < 0 && errno != EINTR) return Unavailable(stage, SystemMessage(errno));
    if (ready > 0 && fds[0].revents != 0) return {};
  }
}

// ---------------------------------------------------------------- the socket

Result<std::unique_ptr<ClientSocket>> ClientSocket::Connect(const std::string& host,
                                                            std::uint16_t port, ThreadPool& lookups,
                                                            const WaitLimit& limit,
                                                            SteadyTime until) {
  ASSIGN_OR_RETURN(const std::vector<Address> addresses,
                   FindAddresses(host, port, lookups, limit, until));
  std::optional<Error> last;
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    // One address that does not answer leaves time for the others.
    const auto now = std::chrono::steady_clock::now();
    const auto left = static_cast<std::int64_t>(addresses.size() - i);
    Result<int> fd = ConnectTo(addresses[i], limit, now + (until - now) / left);
    if (fd) return std::unique_ptr<ClientSocket>(new ClientSocket(*fd));
    last = std::move(fd).error();
    if (last->code == Code::kCancelled) break;
  }
  if (!last) return Unavailable(kConnect, fmt::format("{} has no address", host));
  last->message = fmt::format("{} port {}: {}", host, port, last->message);
  return tl::unexpected(*std::move(last));
}

ClientSocket::~ClientSocket() {
  if (fd_ >= 0) close(fd_);
}

Result<> ClientSocket::StartTls(SSL_CTX* tls, const std::string& host, const WaitLimit& limit,
                                SteadyTime until) {
  ssl_.reset(SSL_new(tls));
  if (ssl_ == nullptr) return Fail(Code::kInternal, "OpenSSL has no memory");
  SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  X509_VERIFY_PARAM* verify = SSL_get0_param(ssl_.get());
  if (X509_VERIFY_PARAM_set1_ip_asc(verify, host.c_str()) != 1) {
    X509_VERIFY_PARAM_set_hostflags(verify, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (SSL_set1_host(ssl_.get(), host.c_str()) != 1) {
      return Fail(Code::kInternal, "OpenSSL has no memory");
    }
    // OpenSSL's macro for this casts in C's way.
    SSL_ctrl(ssl_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
             const_cast<char*>(host.c_str()));
  }
  SSL_set_connect_state(ssl_.get());
  while (true) {
    ERR_clear_error();
    const int done = SSL_do_handshake(ssl_.get());
    const int error = done == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl_.get(), done);
    std::string message = done == 1 || error == SSL_ERROR_WANT_READ ? "" : TlsMessage(ssl_.get());
    bool sent = false;
    Result<> flushed = Flush(sent, limit, until);
    if (!message.empty()) {
      return Unavailable(kConnect, fmt::format("no TLS with {}: {}", host, message));
    }
    RETURN_IF_ERROR(std::move(flushed));
    if (done == 1) return {};
    ASSIGN_OR_RETURN(const bool more, Feed(limit, until, kConnect));
    if (!more) return Unavailable(kConnect, fmt::format("{} ended the TLS handshake", host));
  }
}

Result<std::size_t> ClientSocket::ReadRaw(char* buffer, std::size_t size, const WaitLimit& limit,
                                          SteadyTime until, std::string_view stage) {
  while (true) {
    const ssize_t got = recv(fd_, buffer, size, 0);
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
      return Unavailable(stage, fmt::format("the connection was lost: {}", SystemMessage(errno)));
    }
    RETURN_IF_ERROR(limit.Wait(fd_, POLLIN, until, stage));
  }
}

Result<> ClientSocket::WriteRaw(std::string_view bytes, bool& sent, const WaitLimit& limit,
                                SteadyTime until) {
  while (!bytes.empty()) {
    const ssize_t wrote = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (wrote > 0) {
      sent = true;
      bytes.remove_prefix(static_cast<std::size_t>(wrote));
      continue;
    }
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
      return Unavailable("send", fmt::format("the connection was lost: {}", SystemMessage(errno)));
    }
    RETURN_IF_ERROR(limit.Wait(fd_, POLLOUT, until, "send"));
  }
  return {};
}

Result<> ClientSocket::Flush(bool& sent, const WaitLimit& limit, SteadyTime until) {
  BIO* out = SSL_get_wbio(ssl_.get());
  std::array<char, kPiece> buffer;
  while (true) {
    const int got = BIO_read(out, buffer.data(), static_cast<int>(buffer.size()));
    if (got <= 0) return {};
    RETURN_IF_ERROR(WriteRaw({buffer.data(), static_cast<std::size_t>(got)}, sent, limit, until));
  }
}

Result<bool> ClientSocket::Feed(const WaitLimit& limit, SteadyTime until, std::string_view stage) {
  std::array<char, kPiece> buffer;
  ASSIGN_OR_RETURN(const std::size_t got,
                   ReadRaw(buffer.data(), buffer.size(), limit, until, stage));
  if (got > 0) BIO_write(SSL_get_rbio(ssl_.get()), buffer.data(), static_cast<int>(got));
  return got > 0;
}

Result<> ClientSocket::Write(std::string_view bytes, bool& sent, const WaitLimit& limit,
                             SteadyTime until) {
  if (ssl_ == nullptr) return WriteRaw(bytes, sent, limit, until);
  while (!bytes.empty()) {
    const std::string_view piece = bytes.substr(0, kPiece);
    ERR_clear_error();
    // Into memory: takes all of it at once.
    if (SSL_write(ssl_.get(), piece.data(), static_cast<int>(piece.size())) <= 0) {
      return Unavailable("send", TlsMessage(ssl_.get()));
    }
    RETURN_IF_ERROR(Flush(sent, limit, until));
    bytes.remove_prefix(piece.size());
  }
  return {};
}

Result<std::size_t> ClientSocket::Read(char* buffer, std::size_t size, const WaitLimit& limit,
                                       SteadyTime until, std::string_view stage) {
  if (ssl_ == nullptr) return ReadRaw(buffer, size, limit, until, stage);
  while (true) {
    ERR_clear_error();
    const int got = SSL_read(ssl_.get(), buffer, static_cast<int>(std::min(size, kPiece)));
    if (got > 0) return static_cast<std::size_t>(got);
    const int error = SSL_get_error(ssl_.get(), got);
    if (error == SSL_ERROR_ZERO_RETURN) return std::size_t{0};
    if (error != SSL_ERROR_WANT_READ) return Unavailable(stage, TlsMessage(ssl_.get()));
    bool sent = false;
    RETURN_IF_ERROR(Flush(sent, limit, until));  // answers to key updates
    ASSIGN_OR_RETURN(const bool more, Feed(limit, until, stage));
    if (!more) return Unavailable(stage, "the connection was cut");
  }
}

bool ClientSocket::IsQuiet() const {
  if (ssl_ != nullptr && BIO_ctrl_pending(SSL_get_rbio(ssl_.get())) > 0) return false;
  pollfd state{fd_, POLLIN | POLLRDHUP, 0};
  return poll(&state, 1, 0) == 0;
}

}  // namespace garrison
