// A load generator for HTTP services: one thread, epoll, keep-alive connections.
//
//   open     requests arrive at a constant rate, whether the service keeps up or not; latency
//   counts
//            from the time a request was due, so that a stall shows in every request it delayed (no
//            coordinated omission)
//   closed   every connection sends its next request when it has its answer: saturation
//   idle     opens connections, sends one request on each, and holds them for the seconds given
//   faults   clients that leave in the middle, read or write slowly, or send too much
//
// Every @ in the body becomes a random digit, so that requests differ.
// Prints one JSON line: counts by status, and percentiles in ms.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <map>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;
using Ms = std::chrono::duration<double, std::milli>;

[[noreturn]] void Die(const std::string& what) {
  std::fprintf(stderr, "garrison_load: %s\n", what.c_str());
  std::exit(2);
}

struct Options {
  std::string mode = "open";
  int port = 8000;
  std::string path = "/health";
  std::string body;  // empty: GET
  std::string headers;
  double rate = 100;
  double seconds = 5;
  double warmup = 0.5;  // not counted
  std::size_t connections = 16;
};

Options ParseOptions(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view flag = argv[i];
    const std::string value = argv[i + 1];
    if (flag == "--mode")
      options.mode = value;
    else if (flag == "--port")
      options.port = std::stoi(value);
    else if (flag == "--path")
      options.path = value;
    else if (flag == "--body")
      options.body = value;
    else if (flag == "--header")
      options.headers += value + "\r\n";
    else if (flag == "--rate")
      options.rate = std::stod(value);
    else if (flag == "--seconds")
      options.seconds = std::stod(value);
    else if (flag == "--warmup")
      options.warmup = std::stod(value);
    else if (flag == "--connections")
      options.connections = std::stoul(value);
    else
      Die("there is no flag " + std::string(flag));
  }
  if (argc % 2 == 0) Die("expected a value after every flag");
  return options;
}

std::string RequestText(const Options& options, std::size_t declared_bytes) {
  std::ostringstream text;
  text << (options.body.empty() ? "GET " : "POST ") << options.path
       << " HTTP/1.1\r\nHost: localhost\r\n"
       << options.headers;
  if (!options.body.empty()) {
    text << "Content-Type: application/json\r\nContent-Length: " << declared_bytes << "\r\n";
  }
  text << "\r\n";
  return text.str() + options.body;
}

// What a badly behaved client does with its connection.
enum class Fault {
  kNone,
  kLeaveInRequest,
  kLeaveBeforeAnswer,
  kSlowWrite,
  kSlowRead,
  kTooLarge,
  kCount
};

struct Connection {
  int fd = -1;
  bool connected = false;
  bool busy = false;
  Fault fault = Fault::kNone;
  std::string out;
  std::size_t sent = 0;
  std::string in;
  Time due;        // of the request under way
  Time next_step;  // of a slow client
  Time began;
};

class Load {
 public:
  explicit Load(Options options)
      : options_(std::move(options)), request_(RequestText(options_, options_.body.size())) {
    epoll_ = epoll_create1(0);
    connections_.resize(options_.connections);
  }

  int Run();

 private:
  void Open(Connection& connection);
  void Close(Connection& connection);
  void Begin(Connection& connection, Time due);
  void BeginFault(Connection& connection);
  void Step(Connection& connection, std::uint32_t events);
  void StepFault(Connection& connection);
  bool Flush(Connection& connection, std::size_t most);
  void Read(Connection& connection);
  void Finish(Connection& connection, int status, bool keep);
  void Lost(Connection& connection);
  void SendDue(Time now);
  void Print(double seconds) const;

  const Options options_;
  const std::string request_;
  int epoll_;
  std::vector<Connection> connections_;
  std::deque<Connection*> idle_;
  std::deque<Time> due_;  // arrivals that wait for a connection
  Time start_, counted_from_, end_, next_arrival_;
  std::mt19937 random_{1};
  std::vector<double> latencies_;
  std::vector<double> overheads_;    // what a request took beside the model's own time
  std::optional<double> served_ms_;  // of the answer that is being read
  std::map<int, std::uint64_t> statuses_;
  std::uint64_t lost_ = 0, sent_ = 0, reconnects_ = 0;
  std::size_t open_ = 0, answered_once_ = 0;
  std::vector<char> chunk_ = std::vector<char>(1 << 16);
};

void Load::Open(Connection& connection) {
  connection = Connection{};
  connection.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (connection.fd < 0) Die(std::string("socket: ") + std::strerror(errno));
  const int on = 1;
  setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(options_.port));
  // Many connections need several source addresses: a pair of addresses has 28,000 ports.
  sockaddr_in source{};
  source.sin_family = AF_INET;
  const auto index = static_cast<std::uint32_t>(&connection - connections_.data());
  source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + index / 200);
  bind(connection.fd, reinterpret_cast<sockaddr*>(&source), sizeof source);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(connection.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 &&
      errno != EINPROGRESS) {
    Die(std::string("connect: ") + std::strerror(errno));
  }
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP;
  event.data.ptr = &connection;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event);
  ++open_;
}

void Load::Close(Connection& connection) {
  if (connection.fd < 0) return;
  close(connection.fd);
  connection.fd = -1;
  connection.connected = false;
  --open_;
}

void Load::Begin(Connection& connection, Time due) {
  connection.busy = true;
  connection.due = due;
  connection.out = request_;
  for (char& c : connection.out) {
    if (c == '@') c = static_cast<char>('0' + random_() % 10);
  }
  connection.sent = 0;
  connection.in.clear();
  ++sent_;
  Flush(connection, connection.out.size());
}

// Sends what the socket takes, at most `most` bytes; false when the connection has broken.
bool Load::Flush(Connection& connection, std::size_t most) {
  while (connection.sent < connection.out.size() && most > 0) {
    const std::size_t size = std::min(most, connection.out.size() - connection.sent);
    const ssize_t done =
        send(connection.fd, connection.out.data() + connection.sent, size, MSG_NOSIGNAL);
    if (done < 0) return errno == EAGAIN;
    connection.sent += static_cast<std::size_t>(done);
    most -= static_cast<std::size_t>(done);
  }
  return true;
}

// The model's own time by the answer's head, in lower case: the stages of Server-Timing.
std::optional<double> ServedMs(const std::string& head) {
  const std::size_t line = head.find("\r\nserver-timing: ");
  if (line == std::string::npos) return std::nullopt;
  double sum = 0;
  for (const std::string stage : {"tokenization;dur=", "queue;dur=", "inference;dur="}) {
    const std::size_t at = head.find(stage, line);
    if (at == std::string::npos) return std::nullopt;
    sum += std::strtod(head.c_str() + at + stage.size(), nullptr);
  }
  return sum;
}

void Load::Read(Connection& connection) {
  bool ended = false;
  while (!ended) {
    const ssize_t got = recv(connection.fd, chunk_.data(), chunk_.size(), 0);
    if (got < 0 && errno == EAGAIN) break;
    ended = got <= 0;
    if (!ended) connection.in.append(chunk_.data(), static_cast<std::size_t>(got));
  }
  const std::size_t head = connection.in.find("\r\n\r\n");
  if (head == std::string::npos || !connection.busy) {
    if (ended) Lost(connection);
    return;
  }
  std::string lower = connection.in.substr(0, head);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  const std::size_t length = lower.find("content-length: ");
  const std::size_t bytes = length == std::string::npos ? 0 : std::stoul(lower.substr(length + 16));
  if (connection.in.size() < head + 4 + bytes) {
    if (ended) Lost(connection);
    return;
  }
  served_ms_ = ServedMs(lower);
  Finish(connection, std::stoi(connection.in.substr(9, 3)),
         !ended && lower.find("connection: close") == std::string::npos);
}

void Load::Finish(Connection& connection, int status, bool keep) {
  const Time now = Clock::now();
  if (connection.due >= counted_from_) {
    ++statuses_[status];
    latencies_.push_back(Ms(now - connection.due).count());
    if (served_ms_) overheads_.push_back(latencies_.back() - *served_ms_);
  }
  connection.busy = false;
  ++answered_once_;
  if (!keep) {
    Close(connection);
    ++reconnects_;
    Open(connection);
    return;
  }
  if (options_.mode == "closed" && now < end_) {
    Begin(connection, now);
  } else if (options_.mode == "open") {
    idle_.push_back(&connection);
  }
}

void Load::Lost(Connection& connection) {
  if (connection.busy && connection.fault == Fault::kNone) ++lost_;
  Close(connection);
  if (Clock::now() >= end_ || options_.mode == "idle") return;
  ++reconnects_;
  Open(connection);
}

void Load::BeginFault(Connection& connection) {
  connection.fault = static_cast<Fault>(1 + random_() % (static_cast<unsigned>(Fault::kCount) - 1));
  connection.busy = true;
  connection.began = connection.next_step = Clock::now();
  connection.sent = 0;
  connection.out = request_;
  ++sent_;
  switch (connection.fault) {
    case Fault::kLeaveInRequest:
      Flush(connection, 1 + random_() % connection.out.size());
      Close(connection);
      return Open(connection);
    case Fault::kTooLarge:
      connection.out = RequestText(options_, std::size_t{1} << 40);
      break;
    default:
      break;
  }
  if (connection.fault != Fault::kSlowWrite) Flush(connection, connection.out.size());
  if (connection.fault == Fault::kLeaveBeforeAnswer) {
    Close(connection);
    Open(connection);
  }
}

// Slow clients take or give a byte now and then, and leave after some seconds.
void Load::StepFault(Connection& connection) {
  const Time now = Clock::now();
  if (connection.fd < 0 || !connection.connected || now < connection.next_step) return;
  if (!connection.busy) return BeginFault(connection);
  connection.next_step = now + std::chrono::milliseconds(50);
  if (connection.fault == Fault::kSlowWrite && !Flush(connection, 1)) return Lost(connection);
  const std::size_t most = connection.fault == Fault::kSlowRead ? 1 : chunk_.size();
  const ssize_t got = recv(connection.fd, chunk_.data(), most, 0);
  const bool over =
      got == 0 || (got < 0 && errno != EAGAIN) || now - connection.began > std::chrono::seconds(3);
  if (!over && !(got > 0 && connection.fault == Fault::kTooLarge)) return;
  if (got > 0 && connection.fault == Fault::kTooLarge && got >= 12) {
    ++statuses_[std::atoi(chunk_.data() + 9)];
  }
  Close(connection);
  Open(connection);
}

void Load::Step(Connection& connection, std::uint32_t events) {
  if (connection.fd < 0) return;
  if ((events & EPOLLOUT) != 0 && !connection.connected) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(connection.fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return Lost(connection);
    connection.connected = true;
    if (options_.mode == "open") {
      idle_.push_back(&connection);
    } else if (options_.mode != "faults") {
      Begin(connection, Clock::now());
    }
  }
  if (options_.mode == "faults") return;
  if ((events & EPOLLOUT) != 0 && connection.busy && !Flush(connection, connection.out.size())) {
    return Lost(connection);
  }
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) Read(connection);
}

// Arrivals are due at a constant rate, however late the generator or the service is.
void Load::SendDue(Time now) {
  const auto between =
      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(1 / options_.rate));
  while (next_arrival_ <= now && next_arrival_ < end_) {
    due_.push_back(next_arrival_);
    next_arrival_ += between;
  }
  while (!due_.empty() && !idle_.empty()) {
    Connection* const connection = idle_.front();
    idle_.pop_front();
    if (connection->fd < 0 || !connection->connected || connection->busy) continue;
    const Time due = due_.front();
    due_.pop_front();
    Begin(*connection, due);
  }
}

int Load::Run() {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  const rlim_t wanted = options_.connections + 64;
  const rlimit all{wanted, std::max(files.rlim_max, wanted)};
  if (setrlimit(RLIMIT_NOFILE, &all) != 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  start_ = Clock::now();
  counted_from_ = start_ + std::chrono::duration_cast<Clock::duration>(
                               std::chrono::duration<double>(options_.warmup));
  end_ = counted_from_ + std::chrono::duration_cast<Clock::duration>(
                             std::chrono::duration<double>(options_.seconds));
  next_arrival_ = start_;
  for (Connection& connection : connections_) {
    Open(connection);
    // A burst of thousands would overflow the listener's backlog.
    if (open_ % 256 == 0) usleep(2000);
  }
  std::vector<epoll_event> events(512);
  // What is under way at the end is waited for.
  const Time last = end_ + std::chrono::seconds(30);
  for (Time now = start_; now < last; now = Clock::now()) {
    const bool over = now >= end_;
    if (over && (options_.mode == "idle" || options_.mode == "faults")) break;
    if (over && due_.empty() &&
        std::none_of(connections_.begin(), connections_.end(),
                     [](const Connection& connection) { return connection.busy; })) {
      break;
    }
    // Waits to the nanosecond: a generator that spins would take a processor from the service.
    std::int64_t wait_ns = 5'000'000;
    if (options_.mode == "open") {
      wait_ns = std::clamp<std::int64_t>(std::chrono::nanoseconds(next_arrival_ - now).count(), 0,
                                         wait_ns);
    }
    const timespec wait{0, wait_ns};
    const int ready =
        epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()), &wait, nullptr);
    for (int i = 0; i < ready; ++i) {
      Step(*static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr),
           events[static_cast<std::size_t>(i)].events);
    }
    if (options_.mode == "open") SendDue(Clock::now());
    if (options_.mode == "faults") {
      for (Connection& connection : connections_) StepFault(connection);
    }
  }
  Print(std::min(options_.seconds, Ms(Clock::now() - counted_from_).count() / 1000));
  return 0;
}

void Load::Print(double seconds) const {
  std::vector<double> sorted = latencies_, overheads = overheads_;
  std::sort(sorted.begin(), sorted.end());
  std::sort(overheads.begin(), overheads.end());
  const auto percentile_of = [](const std::vector<double>& values, double share) {
    if (values.empty()) return 0.0;
    const auto rank =
        static_cast<std::size_t>(std::ceil(share * static_cast<double>(values.size())));
    return values[std::max<std::size_t>(rank, 1) - 1];
  };
  const auto percentile = [&](double share) { return percentile_of(sorted, share); };
  std::ostringstream line;
  line << "{\"mode\":\"" << options_.mode << "\",\"seconds\":" << seconds << ",\"sent\":" << sent_
       << ",\"answered\":" << sorted.size() << ",\"lost\":" << lost_
       << ",\"unanswered\":" << due_.size() << ",\"reconnects\":" << reconnects_
       << ",\"open\":" << open_ << ",\"answered_once\":" << answered_once_
       << ",\"per_second\":" << static_cast<double>(sorted.size()) / std::max(seconds, 1e-9)
       << ",\"status\":{";
  const char* comma = "";
  for (const auto& [status, count] : statuses_) {
    line << comma << "\"" << status << "\":" << count;
    comma = ",";
  }
  line << "},\"p50_ms\":" << percentile(0.5) << ",\"p90_ms\":" << percentile(0.9)
       << ",\"p99_ms\":" << percentile(0.99) << ",\"p999_ms\":" << percentile(0.999)
       << ",\"max_ms\":" << (sorted.empty() ? 0 : sorted.back())
       << ",\"overhead_p50_ms\":" << percentile_of(overheads, 0.5)
       << ",\"overhead_p99_ms\":" << percentile_of(overheads, 0.99) << "}";
  std::puts(line.str().c_str());
}

}  // namespace

int main(int argc, char** argv) { return Load(ParseOptions(argc, argv)).Run(); }
