#include "gateway/flights.h"

#include "base/clock.h"

namespace garrison {

Result<Flights::Flight::Outcome> Flights::Flight::Wait(const RequestContext& context) {
  std::unique_lock lock(mutex_);
  const bool over = ended_.wait_until(lock, context.stop, context.deadline,
                                      [this] { return outcome_.has_value(); });
  if (over) return *outcome_;
  RETURN_IF_ERROR(context.Check(SystemClock().Now()));
  return Fail(Code::kDeadlineExceeded, "the request took too long; send less at once");
}

Flights::Claim Flights::Take(std::span<const VectorKey> keys) {
  Claim claim(*this);
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto [place, is_new] = flying_.try_emplace(keys[i]);
    if (!is_new) {
      claim.others_.emplace_back(i, place->second);
      continue;
    }
    place->second = std::make_shared<Flight>();
    claim.mine_.push_back(i);
    claim.keys_.push_back(keys[i]);
    claim.flying_.push_back(place->second);
  }
  return claim;
}

void Flights::Claim::End(std::size_t i, Flight::Outcome outcome) {
  if (flying_[i] == nullptr) return;
  if (outcome.end == Flight::End::kLanded) ++flights_->landed_;
  {
    const std::lock_guard lock(flights_->mutex_);
    flights_->flying_.erase(keys_[i]);
  }
  Flight& flight = *flying_[i];
  {
    const std::lock_guard lock(flight.mutex_);
    flight.outcome_ = std::move(outcome);
  }
  flight.ended_.notify_all();
  flying_[i].reset();
}

void Flights::Claim::Land(std::size_t i, const CachedVector& vector) {
  End(i, {Flight::End::kLanded, vector});
}

void Flights::Claim::Fail(Code code) {
  const bool own = code == Code::kCancelled || code == Code::kDeadlineExceeded;
  for (std::size_t i = 0; i < flying_.size(); ++i) {
    End(i, {own ? Flight::End::kAbandoned : Flight::End::kFailed, {}});
  }
}

Flights::Claim::~Claim() { Fail(Code::kCancelled); }

}  // namespace garrison
