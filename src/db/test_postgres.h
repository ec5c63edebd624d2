// For tests: a PostgreSQL of one's own, in a temporary folder on a free port, as a user that is not
// root.
#pragma once

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

namespace garrison {

class TestPostgres {
 public:
  // Null where PostgreSQL is not installed.
  static std::unique_ptr<TestPostgres> Make() {
    std::error_code none;
    if (!std::filesystem::exists(std::string(kPrograms) + "/initdb", none)) return nullptr;
    std::unique_ptr<TestPostgres> made(new TestPostgres());
    if (!made->Prepare() || !made->Start()) return nullptr;
    return made;
  }
  ~TestPostgres() {
    Stop("immediate");
    std::filesystem::remove_all(folder_);
  }

  std::string url() const {
    return fmt::format("postgres://garrison@127.0.0.1:{}/postgres", port_);
  }
  int port() const { return port_; }

  bool Start() { return Run(fmt::format("pg_ctl -D {0}/data -l {0}/log -w -t 60 start", folder_)); }
  bool Stop(const std::string& mode = "fast") {
    return Run(fmt::format("pg_ctl -D {}/data -w -m {} stop", folder_, mode));
  }
  // The server's processes stand still, as on a machine that hangs.
  bool Freeze(bool frozen) {
    return Run(fmt::format("pkill -{} -P $(head -1 {}/data/postmaster.pid)",
                           frozen ? "STOP" : "CONT", folder_),
               "");
  }

 private:
  static constexpr const char* kPrograms = "/usr/lib/postgresql/15/bin";

  TestPostgres() {
    std::string name = (std::filesystem::temp_directory_path() / "garrison-pg-XXXXXX").string();
    if (mkdtemp(name.data()) != nullptr) folder_ = name;
  }

  bool Prepare() {
    if (folder_.empty()) return false;
    if (getuid() == 0) {
      for (const char* user : {"postgres", "nobody"}) {
        const passwd* found = getpwnam(user);  // NOLINT(concurrency-mt-unsafe): one thread yet
        if (found == nullptr) continue;
        if (chown(folder_.c_str(), found->pw_uid, found->pw_gid) != 0) return false;
        as_user_ = fmt::format("runuser -u {} -- ", user);
        break;
      }
    }
    port_ = FreePort();
    return Run(fmt::format("initdb -D {}/data -A trust -U garrison -E UTF8 --locale=C --no-sync",
                           folder_)) &&
           Run(fmt::format("sh -c 'printf \"listen_addresses = '\\''127.0.0.1'\\''\\n"
                           "port = {}\\nunix_socket_directories = '\\'''\\''\\nfsync = off\\n\" >> "
                           "{}/data/postgresql.conf'",
                           port_, folder_),
               "");
  }

  bool Run(const std::string& command, const std::string& from = std::string(kPrograms) + "/") {
    const std::string line =
        fmt::format("cd / && {}{}{} > /dev/null 2>&1", as_user_, from, command);
    // NOLINTNEXTLINE(concurrency-mt-unsafe,cert-env33-c): a test's own words
    return std::system(line.c_str()) == 0;
  }

  static int FreePort() {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    bind(fd, reinterpret_cast<sockaddr*>(&address), size);
    getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    close(fd);
    return ntohs(address.sin_port);
  }

  std::string folder_;
  std::string as_user_;
  int port_ = 0;
};

// One for all tests of a program; null where there is none.
inline TestPostgres* SharedPostgres() {
  static const std::unique_ptr<TestPostgres> shared = TestPostgres::Make();
  return shared.get();
}

}  // namespace garrison
