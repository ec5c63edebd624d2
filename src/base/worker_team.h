// Threads that share one piece of work with the thread that asks for it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "base/function_ref.h"

namespace garrison {

// Thread-safe. The caller of Run() always works itself and never waits for a helper that has not
// begun: a busy or sleeping helper costs nothing. While one caller has the team, others run their
// work alone.
class WorkerTeam {
 public:
  // REQUIRES: threads > 0; the caller of Run() is one of them. Who waits looks for 50 us before it
  // sleeps, if there are processors for all (`cpus`): otherwise it would take time from the others.
  WorkerTeam(std::size_t threads, double cpus);
  ~WorkerTeam();
  WorkerTeam(const WorkerTeam&) = delete;
  WorkerTeam& operator=(const WorkerTeam&) = delete;

  // Calls task(i) once for every i in [0, count), on several threads, in no order; returns when all
  // are done. REQUIRES: count < 2^20. Tasks must not throw and must not call Run().
  void Run(std::size_t count, FunctionRef<void(std::size_t)> task);

  // The same, but false and nothing is done while another caller has the team.
  bool TryRun(std::size_t count, FunctionRef<void(std::size_t)> task);

  std::size_t threads() const { return helpers_.size() + 1; }

 private:
  // REQUIRES: owner_ is held.
  void Share(std::size_t count, FunctionRef<void(std::size_t)> task);
  void Help();
  // Claims and runs indexes of `generation` until none are left.
  void Work(std::uint64_t generation);

  const int spins_;
  // Own synchronisation. generation << 40 | count << 20 | next index: one word, so that a helper
  // that comes late can only claim what still belongs to the work it saw.
  std::atomic<std::uint64_t> state_{0};
  std::atomic<std::uint32_t> wake_{0};
  std::atomic<std::size_t> done_{0};
  std::atomic<bool> stop_{false};
  std::atomic<const FunctionRef<void(std::size_t)>*> task_{nullptr};

  std::mutex owner_;  // held by the caller whose work it is
  std::vector<std::thread> helpers_;
};

}  // namespace garrison
