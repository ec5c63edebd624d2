#include "server/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <utility>
#include <vector>

namespace garrison {
namespace {

// 50 us to about 50 s, each bound double the one before.
prometheus::Histogram::BucketBoundaries DurationBuckets() {
  prometheus::Histogram::BucketBoundaries bounds;
  for (double bound = 50e-6; bound < 60; bound *= 2) bounds.push_back(bound);
  return bounds;
}

}  // namespace

struct Metrics::Impl {
  struct ReadGauge {
    prometheus::Gauge* gauge;
    std::function<double()> read;
  };

  prometheus::Registry registry;
  prometheus::Family<prometheus::Counter>& requests =
      prometheus::BuildCounter()
          .Name("garrison_requests_total")
          .Help("Answered HTTP requests by route and status.")
          .Register(registry);
  prometheus::Family<prometheus::Histogram>& durations =
      prometheus::BuildHistogram()
          .Name("garrison_request_duration_seconds")
          .Help("Time from the end of a request to its answer, by route.")
          .Register(registry);
  prometheus::Counter& inputs = prometheus::BuildCounter()
                                    .Name("garrison_embed_inputs_total")
                                    .Help("Texts embedded for requests.")
                                    .Register(registry)
                                    .Add({});
  prometheus::Counter& tokens = prometheus::BuildCounter()
                                    .Name("garrison_embed_tokens_total")
                                    .Help("Tokens embedded for requests.")
                                    .Register(registry)
                                    .Add({});
  prometheus::Family<prometheus::Counter>& turns = prometheus::BuildCounter()
                                                       .Name("garrison_guard_turns_total")
                                                       .Help("Guarded turns by advised action.")
                                                       .Register(registry);
  std::vector<ReadGauge> gauges;
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;

void Metrics::CountRequest(std::string_view route, int status, double seconds) {
  const std::string name(route);
  impl_->requests.Add({{"route", name}, {"status", std::to_string(status)}}).Increment();
  impl_->durations.Add({{"route", name}}, DurationBuckets()).Observe(seconds);
}

void Metrics::CountRefusal(int status) {
  impl_->requests.Add({{"route", "refused"}, {"status", std::to_string(status)}}).Increment();
}

void Metrics::CountEmbedding(std::size_t inputs, std::size_t tokens) {
  impl_->inputs.Increment(static_cast<double>(inputs));
  impl_->tokens.Increment(static_cast<double>(tokens));
}

void Metrics::CountTurn(std::string_view action) {
  impl_->turns.Add({{"action", std::string(action)}}).Increment();
}

void Metrics::AddGauge(const std::string& name, const std::string& help,
                       std::function<double()> read) {
  auto& gauge = prometheus::BuildGauge().Name(name).Help(help).Register(impl_->registry).Add({});
  impl_->gauges.push_back({&gauge, std::move(read)});
}

std::string Metrics::Text() const {
  for (const Impl::ReadGauge& entry : impl_->gauges) entry.gauge->Set(entry.read());
  return prometheus::TextSerializer().Serialize(impl_->registry.Collect());
}

}  // namespace garrison
