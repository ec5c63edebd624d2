#include "server/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <chrono>
#include <mutex>
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

// 10 ms to about 11 minutes, each bound double the one before.
prometheus::Histogram::BucketBoundaries LongDurationBuckets() {
  prometheus::Histogram::BucketBoundaries bounds;
  for (double bound = 0.01; bound < 1000; bound *= 2) bounds.push_back(bound);
  return bounds;
}

// text-embeddings-inference's: 15 us and 35 more, each half as long again as the one before.
prometheus::Histogram::BucketBoundaries TeiDurationBuckets() {
  prometheus::Histogram::BucketBoundaries bounds;
  double bound = 1.5e-5;
  for (int k = 0; k < 35; ++k, bound *= 1.5) bounds.push_back(bound);
  return bounds;
}

// Powers of two up to `most`.
prometheus::Histogram::BucketBoundaries PowerBuckets(double most) {
  prometheus::Histogram::BucketBoundaries bounds;
  for (double bound = 1; bound <= most; bound *= 2) bounds.push_back(bound);
  return bounds;
}

std::string_view FailureName(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
    case Code::kOutOfRange:
    case Code::kNotFound:
      return "validation";
    case Code::kFailedPrecondition:
    case Code::kUnimplemented:
      return "model_type";
    case Code::kResourceExhausted:
      return "overloaded";
    case Code::kCancelled:
    case Code::kDeadlineExceeded:
      return "dropped";
    default:
      return "inference";
  }
}

double Seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

// The four durations of a request, or of one of its inputs.
struct StageHistograms {
  prometheus::Histogram& total;
  prometheus::Histogram& tokenization;
  prometheus::Histogram& queue;
  prometheus::Histogram& inference;

  static StageHistograms Register(prometheus::Registry& registry, const std::string& what) {
    const auto add = [&](const std::string& stage, const std::string& help) -> auto& {
      return prometheus::BuildHistogram()
          .Name("te_" + what + stage)
          .Help(help)
          .Register(registry)
          .Add({}, TeiDurationBuckets());
    };
    return {add("_duration", "Whole time in seconds."),
            add("_tokenization_duration", "Time to tokenise."),
            add("_queue_duration", "Time from ready tokens to the first pass."),
            add("_inference_duration", "Time of the passes.")};
  }

  void Observe(double seconds, const ComputeTimes& times) const {
    total.Observe(seconds);
    tokenization.Observe(Seconds(times.tokenization));
    queue.Observe(Seconds(times.queue));
    inference.Observe(Seconds(times.inference));
  }
};

}  // namespace

struct Metrics::Impl {
  struct ReadGauge {
    prometheus::Gauge* gauge;
    std::function<double()> read;
  };

  struct ReadCounter {
    prometheus::Counter* counter;
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
  prometheus::Family<prometheus::Counter>& calls =
      prometheus::BuildCounter()
          .Name("garrison_grpc_messages_total")
          .Help("Messages answered by gRPC methods, by method and status.")
          .Register(registry);
  prometheus::Family<prometheus::Histogram>& call_durations =
      prometheus::BuildHistogram()
          .Name("garrison_grpc_message_duration_seconds")
          .Help("Time from a worker's start on a message to its answer, by method.")
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
  prometheus::Counter& truncated = prometheus::BuildCounter()
                                       .Name("garrison_truncated_inputs_total")
                                       .Help("Inputs of which the model did not read all.")
                                       .Register(registry)
                                       .Add({});
  prometheus::Family<prometheus::Counter>& te_requests = Family("te_request_count", "Requests.");
  prometheus::Family<prometheus::Counter>& te_successes =
      Family("te_request_success", "Requests that were answered.");
  prometheus::Family<prometheus::Counter>& te_failures =
      Family("te_request_failure", "Requests that failed.");
  prometheus::Counter& te_embeds = Family("te_embed_count", "Inputs to embed.").Add({});
  prometheus::Counter& te_embedded = Family("te_embed_success", "Inputs embedded.").Add({});
  prometheus::Counter& te_predicts = Family("te_predict_count", "Inputs to score.").Add({});
  prometheus::Counter& te_predicted = Family("te_predict_success", "Inputs scored.").Add({});
  StageHistograms te_request = StageHistograms::Register(registry, "request");
  StageHistograms te_embed = StageHistograms::Register(registry, "embed");
  StageHistograms te_predict = StageHistograms::Register(registry, "predict");
  prometheus::Histogram& te_lengths = Sizes("te_request_input_length", "Tokens of an input.");
  prometheus::Histogram& te_batch = Sizes("te_batch_next_size", "Sequences of one pass.");
  prometheus::Histogram& te_batch_tokens = Sizes("te_batch_next_tokens", "Tokens of one pass.");

  prometheus::Family<prometheus::Counter>& passes =
      Family("garrison_passes_total", "Passes through a model.");
  prometheus::Family<prometheus::Counter>& pass_sequences =
      Family("garrison_pass_sequences_total", "Sequences that passes computed, of all requests.");
  prometheus::Family<prometheus::Counter>& pass_tokens =
      Family("garrison_pass_tokens_total", "Tokens that passes computed.");
  prometheus::Family<prometheus::Counter>& pass_shared =
      Family("garrison_shared_sequences_total",
             "Sequences not computed, because an equal one was under way.");

  prometheus::Family<prometheus::Counter>& cache_hits = Family(
      "garrison_cache_hits_total", "Inputs whose vector was cached, or computed for another one.");
  prometheus::Family<prometheus::Counter>& cache_misses =
      Family("garrison_cache_misses_total", "Inputs whose vector had to be computed.");
  prometheus::Family<prometheus::Counter>& cache_saved =
      Family("garrison_cache_saved_tokens_total", "Tokens that hits did not have to compute.");
  prometheus::Family<prometheus::Counter>& cache_saved_usd =
      Family("garrison_cache_saved_usd_total", "What a vendor would have asked for those.");

  prometheus::Family<prometheus::Counter>& chats =
      Family("garrison_chat_requests_total", "Answers of models that chat, by how they ended.");
  prometheus::Family<prometheus::Counter>& guarded_chats =
      Family("garrison_guard_chats_total", "Answers of models that chat, by the guard's verdict.");
  prometheus::Family<prometheus::Counter>& chat_tokens =
      Family("garrison_chat_tokens_total", "Tokens of conversations, by kind.");
  prometheus::Family<prometheus::Counter>& chat_estimates =
      Family("garrison_chat_estimated_total", "Answers whose tokens nobody counted.");
  prometheus::Family<prometheus::Counter>& chat_usd =
      Family("garrison_chat_cost_usd_total", "What answers cost, as far as it is known.");
  prometheus::Family<prometheus::Histogram>& chat_durations =
      prometheus::BuildHistogram()
          .Name("garrison_chat_duration_seconds")
          .Help("Time to the end of an answer, by model.")
          .Register(registry);
  prometheus::Family<prometheus::Histogram>& chat_first =
      prometheus::BuildHistogram()
          .Name("garrison_chat_first_content_seconds")
          .Help("Time to the first content of an answer, by model.")
          .Register(registry);

  prometheus::Family<prometheus::Gauge>& pass_waiting =
      prometheus::BuildGauge()
          .Name("garrison_sequences_waiting")
          .Help("Sequences that wait for a pass, when the last one began.")
          .Register(registry);

  prometheus::Family<prometheus::Counter>& Family(const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
  }
  prometheus::Histogram& Sizes(const char* name, const char* help) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add(
        {}, PowerBuckets(1 << 20));
  }

  prometheus::Family<prometheus::Counter>& turns = prometheus::BuildCounter()
                                                       .Name("garrison_guard_turns_total")
                                                       .Help("Guarded turns by advised action.")
                                                       .Register(registry);
  std::vector<ReadGauge> gauges;
  std::mutex counters_mutex;  // of reading them: an increment is a difference
  std::vector<ReadCounter> counters;
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

void Metrics::CountCall(std::string_view method, std::string_view code, double seconds) {
  const std::string name(method);
  impl_->calls.Add({{"method", name}, {"code", std::string(code)}}).Increment();
  impl_->call_durations.Add({{"method", name}}, DurationBuckets()).Observe(seconds);
}

void Metrics::CountWork(const ModelWork& work, double seconds) {
  Impl& all = *impl_;
  const std::string method = work.batch ? "batch" : "single";
  all.te_requests.Add({{"method", method}}).Increment();
  all.te_successes.Add({{"method", method}}).Increment();
  all.te_request.Observe(seconds, work.times);
  const auto inputs = static_cast<double>(work.tokens.size());
  double tokens = 0;
  for (const std::size_t count : work.tokens) {
    tokens += static_cast<double>(count);
    all.te_lengths.Observe(static_cast<double>(count));
  }
  const bool embed = work.job == ModelWork::Job::kEmbed;
  (embed ? all.te_embeds : all.te_predicts).Increment(inputs);
  (embed ? all.te_embedded : all.te_predicted).Increment(inputs);
  (embed ? all.te_embed : all.te_predict).Observe(seconds, work.times);
  if (embed) {
    all.inputs.Increment(inputs);
    all.tokens.Increment(tokens);
  }
  all.truncated.Increment(static_cast<double>(work.truncated));
}

void Metrics::CountFailedWork(const ModelWork& work, Code code) {
  impl_->te_requests.Add({{"method", work.batch ? "batch" : "single"}}).Increment();
  impl_->te_failures.Add({{"err", std::string(FailureName(code))}}).Increment();
}

void Metrics::CountChat(const ChatWork& work, double seconds) {
  Impl& all = *impl_;
  all.chats.Add({{"model", work.model}, {"ending", work.Ending()}}).Increment();
  if (const auto& verdict = work.served.verdict) {
    all.guarded_chats.Add({{"status", std::string(verdict->status)}}).Increment();
  }
  // Of who answered: a fallback's tokens are not those of the model that was asked.
  if (work.served.by.empty()) return;
  const prometheus::Labels labels = {{"model", work.served.by}};
  const auto count = [&](const char* kind, std::uint64_t tokens) {
    all.chat_tokens.Add({{"model", work.served.by}, {"kind", kind}})
        .Increment(static_cast<double>(tokens));
  };
  count("input", work.usage.input);
  count("cache_read", work.usage.cache_read);
  count("cache_write", work.usage.cache_write + work.usage.cache_write_1h);
  count("output", work.usage.output);
  if (!work.usage_known) all.chat_estimates.Add(labels).Increment();
  if (work.cost) {
    all.chat_usd.Add(labels).Increment(static_cast<double>(*work.cost) /
                                       static_cast<double>(kPusdPerUsd));
  }
  all.chat_durations.Add(labels, LongDurationBuckets()).Observe(seconds);
  if (work.first_content) {
    all.chat_first.Add(labels, LongDurationBuckets()).Observe(Seconds(*work.first_content));
  }
}

void Metrics::CountTurn(std::string_view action) {
  impl_->turns.Add({{"action", std::string(action)}}).Increment();
}

void Metrics::CountPass(const std::string& model, const PassCounts& since) {
  Impl& all = *impl_;
  const auto sequences = static_cast<double>(since.sequences);
  const auto tokens = static_cast<double>(since.tokens);
  all.te_batch.Observe(sequences);
  all.te_batch_tokens.Observe(tokens);
  const prometheus::Labels labels = {{"model", model}};
  all.passes.Add(labels).Increment(static_cast<double>(since.passes));
  all.pass_sequences.Add(labels).Increment(sequences);
  all.pass_tokens.Add(labels).Increment(tokens);
  all.pass_shared.Add(labels).Increment(static_cast<double>(since.shared));
  all.pass_waiting.Add(labels).Set(static_cast<double>(since.waiting));
}

void Metrics::CountCacheUse(const std::string& model, std::uint64_t hits, std::uint64_t misses,
                            std::uint64_t saved_tokens, double saved_usd) {
  const prometheus::Labels labels = {{"model", model}};
  impl_->cache_hits.Add(labels).Increment(static_cast<double>(hits));
  impl_->cache_misses.Add(labels).Increment(static_cast<double>(misses));
  impl_->cache_saved.Add(labels).Increment(static_cast<double>(saved_tokens));
  if (saved_usd > 0) impl_->cache_saved_usd.Add(labels).Increment(saved_usd);
}

void Metrics::AddCounter(const std::string& name, const std::string& help,
                         std::function<double()> read) {
  auto& counter =
      prometheus::BuildCounter().Name(name).Help(help).Register(impl_->registry).Add({});
  impl_->counters.push_back({&counter, std::move(read)});
}

void Metrics::AddGauge(const std::string& name, const std::string& help,
                       std::function<double()> read) {
  auto& gauge = prometheus::BuildGauge().Name(name).Help(help).Register(impl_->registry).Add({});
  impl_->gauges.push_back({&gauge, std::move(read)});
}

std::string Metrics::Text() const {
  {
    const std::lock_guard lock(impl_->counters_mutex);
    for (const Impl::ReadCounter& entry : impl_->counters) {
      const double since = entry.read() - entry.counter->Value();
      if (since > 0) entry.counter->Increment(since);
    }
  }
  for (const Impl::ReadGauge& entry : impl_->gauges) entry.gauge->Set(entry.read());
  return prometheus::TextSerializer().Serialize(impl_->registry.Collect());
}

}  // namespace garrison
