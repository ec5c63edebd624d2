// Vectors that are being computed: who needs one that is under way waits for it instead of
// computing, or paying, it again.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "core/request_context.h"
#include "core/vector_cache.h"

namespace garrison {

// Thread-safe.
class Flights {
 public:
  // One vector under way, for those who wait.
  class Flight {
   public:
    enum class End {
      kLanded,
      kFailed,     // what failed may fail for everybody
      kAbandoned,  // whoever computed it gave up for reasons of its own: its client left
    };
    struct Outcome {
      End end = End::kAbandoned;
      CachedVector vector;  // of kLanded
    };
    // CANCELLED or DEADLINE_EXCEEDED by the waiter's own `context`.
    Result<Outcome> Wait(const RequestContext& context);

   private:
    friend class Flights;
    std::mutex mutex_;
    std::condition_variable_any ended_;
    std::optional<Outcome> outcome_;  // guarded by mutex_
  };

  // What one request has to compute, and what it has to wait for. Whatever of its own has not
  // landed when it is destroyed is abandoned. For one thread.
  class Claim {
   public:
    Claim(Claim&&) noexcept = default;
    Claim& operator=(Claim&&) = delete;
    ~Claim();

    // Places in the list of keys that was claimed.
    const std::vector<std::size_t>& mine() const { return mine_; }
    const std::vector<std::pair<std::size_t, std::shared_ptr<Flight>>>& others() const {
      return others_;
    }
    // The vector of mine()[i] is there: those who wait have it.
    void Land(std::size_t i, const CachedVector& vector);
    // Nothing else of mine() will land. `code` decides whether others should try again.
    void Fail(Code code);

   private:
    friend class Flights;
    explicit Claim(Flights& flights) : flights_(&flights) {}
    void End(std::size_t i, Flight::Outcome outcome);

    Flights* flights_;
    std::vector<std::size_t> mine_;
    std::vector<VectorKey> keys_;                  // of mine_
    std::vector<std::shared_ptr<Flight>> flying_;  // of mine_; null: ended
    std::vector<std::pair<std::size_t, std::shared_ptr<Flight>>> others_;
  };

  // Takes the keys that nobody computes, joins those that somebody does. The keys differ.
  Claim Take(std::span<const VectorKey> keys);

  // Grows whenever a vector lands: when it has not grown since a look into the cache, nothing that
  // was missing there has come in through here.
  std::uint64_t landed() const { return landed_; }

 private:
  std::mutex mutex_;
  std::unordered_map<VectorKey, std::shared_ptr<Flight>, VectorKeyHash>
      flying_;  // guarded by mutex_
  std::atomic<std::uint64_t> landed_ = 0;
};

}  // namespace garrison
