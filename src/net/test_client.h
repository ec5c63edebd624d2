// For tests: a client that sends exactly the bytes it is given and shows exactly what came back.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace garrison {

struct ClientResponse {
  int status = 0;  // 0: the connection ended without one
  std::string head;
  std::string body;
};

class TestClient {
 public:
  explicit TestClient(std::uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval patience{30, 0};  // a hang becomes a failure instead of a stuck test
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    connected_ = connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  }
  virtual ~TestClient() { Close(); }
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  bool connected() const { return connected_; }

  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

  // False when the server no longer takes bytes.
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = SendSome(bytes);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  // Status and headers of the next response.
  ClientResponse ReceiveHead() {
    ClientResponse response;
    std::size_t end = std::string::npos;
    while ((end = pending_.find("\r\n\r\n")) == std::string::npos) {
      if (!Fill()) return response;
    }
    response.head = pending_.substr(0, end + 2);
    pending_.erase(0, end + 4);
    response.status = std::atoi(response.head.c_str() + std::string_view("HTTP/1.1 ").size());
    return response;
  }

  // The next response, framed by Content-Length.
  ClientResponse Receive(bool head_only = false) {
    ClientResponse response = ReceiveHead();
    const std::string_view key = "Content-Length: ";
    const std::size_t at = response.head.find(key);
    const std::size_t length =
        at == std::string::npos || head_only
            ? 0
            : static_cast<std::size_t>(std::atoll(response.head.c_str() + at + key.size()));
    while (pending_.size() < length) {
      if (!Fill()) return response;
    }
    response.body = pending_.substr(0, length);
    pending_.erase(0, length);
    return response;
  }

  // The next chunk of a body in chunks, empty for the last one; nullopt when the connection ends
  // before.
  std::optional<std::string> ReceiveChunk() {
    std::size_t line = std::string::npos;
    while ((line = pending_.find("\r\n")) == std::string::npos) {
      if (!Fill()) return std::nullopt;
    }
    const std::size_t size = std::strtoull(pending_.c_str(), nullptr, 16);
    while (pending_.size() < line + 2 + size + 2) {
      if (!Fill()) return std::nullopt;
    }
    std::string chunk = pending_.substr(line + 2, size);
    pending_.erase(0, line + 2 + size + 2);
    return chunk;
  }

  // All that comes until the connection ends.
  std::string ReceiveRest() {
    while (Fill()) {
    }
    return std::exchange(pending_, {});
  }

  // True once the server has closed the connection and sent nothing more.
  bool ServerClosed() { return pending_.empty() && !Fill(); }

  // Once the connection has ended: true if the server closed it, false if it was cut.
  bool ended_orderly() const { return ended_orderly_; }

 protected:
  // As send() and recv().
  virtual ssize_t SendSome(std::string_view bytes) {
    return send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  virtual ssize_t ReceiveSome(char* buffer, std::size_t size) { return recv(fd_, buffer, size, 0); }

  int fd() const { return fd_; }

 private:
  bool Fill() {
    char buffer[65536];
    const ssize_t got = ReceiveSome(buffer, sizeof(buffer));
    ended_orderly_ = got == 0;
    if (got <= 0) return false;
    pending_.append(buffer, static_cast<std::size_t>(got));
    return true;
  }

  int fd_;
  bool connected_ = false;
  bool ended_orderly_ = false;
  std::string pending_;
};

inline std::string HttpGet(std::string_view path) {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: test\r\n\r\n";
}

inline std::string HttpPost(std::string_view path, std::string_view body) {
  return "POST " + std::string(path) +
         " HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n" +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

}  // namespace garrison
